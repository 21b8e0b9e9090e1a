/**
 * What all parts of the demo share.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import type { Postgres } from "../test/lab/postgres.ts"
import type { Drill } from "../test/lab/postgresDrill.ts"
import { attempt, type LabError } from "../test/lab/postgresInstall.ts"
import type { Gap, Writer } from "../test/lab/postgresWriter.ts"
import type { checklist } from "./lib/print.ts"
import type { Controlled } from "./lib/quiesce.ts"

/** Loading stops after this time, so that the demo is short on a slow machine too. */
export const loadMillis = 10_000

/** What a stage is made from. */
export interface StageOptions {
  readonly work: string
  readonly mb: number
  /** The type of the file system of `work`. */
  readonly type: string
}

export interface Stage {
  readonly work: string
  readonly server: { readonly data: string; readonly argv: Pick<Postgres["argv"], "start" | "stop"> }
  /** How `quiesce.yaml` names the server. */
  readonly control: Controlled
  /** Starts a server on a copy of the data in `home/data`, asks it, and stops it. */
  readonly drill: (home: string) => Effect.Effect<Drill, LabError>
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
