/**
 * The daemon of a configuration file, with every default filled in.
 */
import { DateTime, Either, Option } from "effect"
import { timetable } from "../domain/Timetable.ts"
import { defaults, type WatchPolicy } from "../domain/Watch.ts"
import type { WatchConfig } from "../domain/WatchConfig.ts"

/** The daemon. The time zone is also that of its timetables. */
export interface ResolvedWatch extends WatchPolicy {
  readonly timeZone: string
}

/** Resolves the daemon of the file, also where it says nothing of one. */
export const resolve = (config: WatchConfig = {}): ResolvedWatch => {
  const zone = Option.getOrElse(
    Option.flatMap(Option.fromNullable(config.timeZone), DateTime.zoneFromString),
    DateTime.zoneMakeLocal
  )
  const { retry, schedule = [], timeZone: _, ...rest } = config
  return {
    ...defaults,
    ...rest,
    retry: { ...defaults.retry, ...retry },
    timeZone: DateTime.zoneToString(zone),
    schedule: (typeof schedule === "string" ? [schedule] : schedule).flatMap((expression) =>
      Either.match(timetable(expression, zone), { onLeft: () => [], onRight: (one) => [one] })
    )
  }
}
