/**
 * The three ways to back up one server that are compared, and what each costs its client.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Quiesce from "../demo/lib/quiesce.ts"
import { runScript, stopForTheSnapshot, stopForTheWholeBackup } from "../demo/lib/scripts.ts"
import { initialize, load, type Postgres } from "../test/lab/postgres.ts"
import { attempt, execute, type Install, LabError } from "../test/lab/postgresInstall.ts"
import { make as makeWriter } from "../test/lab/postgresWriter.ts"
import type { Place } from "./places.ts"
import { rotated, series } from "./statistics.ts"

export const names = ["whole", "script", "quiesce"] as const
export type Name = typeof names[number]

interface Cost {
  readonly downtime: number
  readonly total: number
}

const runQuiesce = (setup: Quiesce.Setup) =>
  Quiesce.run(setup).pipe(
    Effect.flatMap(({ exitCode, report, stderr }) =>
      exitCode === 0 && report?.consistency.level === "application"
        ? Effect.void
        : new LabError({ message: `quiesce run ended with exit code ${exitCode}:\n${report?.error ?? stderr}` })
    )
  )

/** Writes as much as a busy app would have between two backups, always the same amount. */
const churn = (server: Postgres) =>
  Effect.gen(function*() {
    yield* server.query("truncate churn")
    yield* execute(["sync"])
    yield* server.query("insert into churn select i, sha512(i::text::bytea) from generate_series(1, 200000) i")
    yield* Effect.sleep("500 millis")
  })

/**
 * Measures all variants in turns on one new server at the place. Stops early, with fewer repetitions, at the moment
 * `until` (`performance.now`).
 */
export const measure = Effect.fn("Bench.variants")(function*(options: {
  readonly programs: Install
  readonly place: Place
  readonly megabytes: number
  readonly repetitions: number
  readonly until: number
}) {
  const { megabytes, place, programs, repetitions, until } = options
  const home = Path.join(place.directory, "notes")
  yield* place.prepareData(Path.join(home, "data"), programs.account)
  const server = yield* initialize(programs, home)
  yield* load(server, { megabytes })
  yield* server.query("create table churn (id int, body bytea)")
  const writer = yield* makeWriter(server)
  const setup = yield* Quiesce.setUp(Path.join(place.directory, "quiesce"), {
    source: server.data,
    control: Quiesce.byCommands(server),
    snapshot: place.snapshotter
  })
  const archive = Path.join(place.directory, "archive.tar.zst")
  const script = Path.join(place.directory, "backup.sh")
  const snapshot = place.byHand(server.data, Path.join(home, "by-hand"))
  const variants = {
    whole: runScript(script, stopForTheWholeBackup(server, archive)),
    script: runScript(script, stopForTheSnapshot(server, archive, snapshot)),
    quiesce: runQuiesce(setup)
  }
  const cleanUp = attempt("the archives", async () => {
    await Fs.rm(archive, { force: true })
    await Fs.rm(setup.backups, { recursive: true, force: true })
    await Fs.mkdir(setup.backups)
  })
  const cost = (name: Name) =>
    Effect.gen(function*() {
      yield* churn(server)
      const begin = performance.now()
      yield* variants[name]
      const total = performance.now() - begin
      yield* writer.next
      const downtime = writer.longestGap(begin, performance.now()).millis
      yield* cleanUp
      return { downtime, total }
    })

  const costs: Record<Name, Array<Cost>> = { whole: [], script: [], quiesce: [] }
  for (let round = 0; round < repetitions && performance.now() < until; round++) {
    for (const name of rotated(names, round)) costs[name].push(yield* cost(name))
  }
  const of = (name: Name) => ({
    downtimeMs: series(costs[name].map((cost) => cost.downtime)),
    totalMs: series(costs[name].map((cost) => cost.total))
  })
  return { whole: of("whole"), script: of("script"), quiesce: of("quiesce"), repetitions: costs.whole.length }
}, Effect.scoped)
