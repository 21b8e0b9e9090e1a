/**
 * Times of the wall clock at which a run is due.
 */
import { Cron, type DateTime, Either } from "effect"

/** Times at which a run is due: a cron expression in a time zone. */
export interface Timetable {
  /** Minute, hour, day of the month, month, day of the week. */
  readonly expression: string
  readonly cron: Cron.Cron
}

const minute = 60_000

/** The first time of one timetable after this moment. */
const nextOf = ({ cron }: Timetable, after: number): number => {
  const first = Cron.next(cron, after).getTime()
  if (first > after) return first
  // in an hour that the clock shows again, Cron answers with the first one, which is over
  const start = Math.floor(after / minute) * minute - 1_000
  for (let step = 1;; step++) {
    const later = Cron.next(cron, start + step * minute).getTime()
    if (later > after) return later
  }
}

/**
 * The first due time after this moment, if there is any timetable. A time that the clock leaves out in spring is as much
 * later as the clock is put forward; a time that it shows twice in autumn is due the first time only.
 */
export const nextDue = (schedule: ReadonlyArray<Timetable>, after: number): number | undefined =>
  schedule.length === 0 ? undefined : Math.min(...schedule.map((timetable) => nextOf(timetable, after)))

/** Reads a cron expression with its five fields, or says what is wrong with it. */
export const timetable = (expression: string, zone: DateTime.TimeZone): Either.Either<Timetable, string> =>
  expression.trim().split(/\s+/).length === 5
    ? Cron.parse(expression, zone).pipe(
      Either.mapLeft(({ input, message }) =>
        `${message.charAt(0).toLowerCase()}${message.slice(1)}${input === undefined ? "" : `: '${input}'`}`
      ),
      Either.flatMap((cron) =>
        // 30 February
        Either.try({
          try: () => {
            Cron.next(cron, 0)
            return { expression, cron }
          },
          catch: () => "there is no such day"
        })
      )
    )
    : Either.left("there must be five fields: minute, hour, day of the month, month, day of the week")
