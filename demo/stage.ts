/**
 * What all parts of the demo share.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import type { Postgres } from "../test/lab/postgres.ts"
import { attempt, type Install, type LabError } from "../test/lab/postgresInstall.ts"
import type { Gap, Writer } from "../test/lab/postgresWriter.ts"
import type { checklist } from "./lib/print.ts"

export interface Stage {
  readonly work: string
  readonly programs: Install
  readonly server: Postgres
  readonly writer: Writer
  /** Rows of the table that fills the database. */
  readonly rows: number
  readonly check: ReturnType<typeof checklist>["check"]
}

/** What a backup cost. Times are milliseconds. */
export interface Measured<A> {
  readonly value: A
  readonly millis: number
  /** The longest time in which the client got no answer. */
  readonly gap: Gap
}

/** Lets the client write for a second, runs the action, and watches the client until that writes again. */
export const watched = <A>(stage: Stage, action: Effect.Effect<A, LabError>): Effect.Effect<Measured<A>, LabError> =>
  Effect.gen(function*() {
    yield* Effect.sleep("1 second")
    const begin = performance.now()
    const value = yield* action
    const millis = performance.now() - begin
    yield* stage.writer.next
    return { value, millis, gap: stage.writer.longestGap(begin, performance.now()) }
  })

export const megabytes = (path: string): Effect.Effect<number, LabError> =>
  Effect.map(attempt(path, () => Fs.stat(path)), (stat) => stat.size / 1e6)

export const remove = (path: string): Effect.Effect<void, LabError> =>
  attempt(path, () => Fs.rm(path, { recursive: true, force: true }))
