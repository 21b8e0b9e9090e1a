/**
 * A client that never stops writing, and remembers when each row was acknowledged: downtime as a user feels it.
 */
import { Effect, Schedule } from "effect"
import { connect, type Postgres } from "./postgres.ts"
import { attempt, LabError } from "./postgresInstall.ts"

/** A row that the server has promised to keep. Times are milliseconds on the monotonic clock (`performance.now`). */
export interface Acknowledged {
  readonly id: number
  readonly at: number
}

/** A time in which nothing was acknowledged. */
export interface Gap {
  readonly from: number
  readonly to: number
  readonly millis: number
}

export interface Writer {
  /** All rows so far, in order. */
  readonly acknowledged: () => ReadonlyArray<Acknowledged>
  /** The longest time without an acknowledgement that lies, at least in part, between the two moments. */
  readonly longestGap: (from: number, to: number) => Gap
  /** Waits for an acknowledgement after this moment. */
  readonly next: Effect.Effect<Acknowledged, LabError>
}

/**
 * The longest gap in a list of moments, in order, that lies at least in part between `from` and `to`. One that is still
 * open counts up to `to`.
 */
export const longestGap = (moments: ReadonlyArray<number>, from: number, to: number): Gap => {
  let longest: Gap = { from, to: from, millis: 0 }
  let before: number | undefined
  const open = (moments.at(-1) ?? to) < to ? [to] : []
  for (const moment of [...moments, ...open]) {
    if (before !== undefined && moment > from && before < to && moment - before > longest.millis) {
      longest = { from: before, to: moment, millis: moment - before }
    }
    before = moment
  }
  return longest
}

/**
 * Writes rows into the table `journal` until the scope closes, one at a time, with a pause after each; connects again
 * by itself. Returns once the first row is acknowledged.
 */
export const make = Effect.fn("PostgresWriter.make")(function*(server: Postgres, pauseMillis = 5) {
  const acknowledged: Array<Acknowledged> = []
  const waiting = new Set<(row: Acknowledged) => void>()
  let lastId = 0
  yield* server.query("create table journal (id bigint primary key)")

  const acknowledge = (id: number) => {
    const row = { id, at: performance.now() }
    acknowledged.push(row)
    for (const tell of waiting) tell(row)
    waiting.clear()
  }
  const session = Effect.scoped(Effect.gen(function*() {
    const client = yield* connect(server)
    const insert = Effect.suspend(() => {
      const id = ++lastId
      return attempt("insert", () => client.query("insert into journal values ($1)", [id]).then(() => acknowledge(id)))
    })
    yield* insert.pipe(Effect.timeout("10 seconds"), Effect.repeat(Schedule.spaced(pauseMillis)))
  }))
  yield* session.pipe(
    Effect.ignore,
    Effect.repeat(Schedule.spaced(pauseMillis)),
    Effect.interruptible,
    Effect.forkScoped
  )

  const next = Effect.async<Acknowledged>((resume) => {
    const tell = (row: Acknowledged) => resume(Effect.succeed(row))
    waiting.add(tell)
    return Effect.sync(() => waiting.delete(tell))
  }).pipe(Effect.timeoutFail({
    duration: "90 seconds",
    onTimeout: () => new LabError({ message: "the client could not write a single row for 90 seconds" })
  }))
  yield* next
  const writer: Writer = {
    acknowledged: () => acknowledged,
    longestGap: (from, to) => longestGap(acknowledged.map((row) => row.at), from, to),
    next
  }
  return writer
})
