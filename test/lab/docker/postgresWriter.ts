/**
 * A client that never stops writing through TCP, and remembers when each row was acknowledged.
 */
import { Effect, Schedule } from "effect"
import { attempt, LabError } from "../postgresInstall.ts"
import { type Acknowledged, longestGap, type Writer } from "../postgresWriter.ts"
import type { PostgresService } from "./postgres.ts"

/**
 * Writes rows into the table `journal` until the scope closes, one at a time, with a pause after each; connects again
 * by itself. Returns once the first row is acknowledged.
 */
export const make = Effect.fn("PostgresServiceWriter.make")(function*(server: PostgresService, pauseMillis = 5) {
  const acknowledged: Array<Acknowledged> = []
  const waiting = new Set<(row: Acknowledged) => void>()
  yield* server.query("create table if not exists journal (id bigint primary key)")
  const [last] = yield* server.query("select coalesce(max(id), 0)::float8 as id from journal")
  let lastId = Number(last?.["id"])

  const acknowledge = (id: number) => {
    const row = { id, at: performance.now() }
    acknowledged.push(row)
    for (const tell of waiting) tell(row)
    waiting.clear()
  }
  const session = Effect.scoped(Effect.gen(function*() {
    const client = yield* server.connect
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
