/**
 * The demo's database as a plain server of this machine, started and stopped by commands.
 */
import { Effect } from "effect"
import * as Path from "node:path"
import { initialize, load } from "../test/lab/postgres.ts"
import { drill } from "../test/lab/postgresDrill.ts"
import { install } from "../test/lab/postgresInstall.ts"
import { make as makeWriter } from "../test/lab/postgresWriter.ts"
import { say, seconds } from "./lib/print.ts"
import { byCommands } from "./lib/quiesce.ts"
import { loadMillis, type StageOptions } from "./stage.ts"

/** Starts it, fills it, and lets a client write. */
export const make = Effect.fn("Demo.commandStage")(function*({ mb, type, work }: StageOptions) {
  const programs = yield* install(work)
  const server = yield* initialize(programs, Path.join(work, "notes"))
  say(`PostgreSQL runs as user '${programs.account.name}' in ${work} (${type}); all of it is removed at the end.`)
  const begin = performance.now()
  const { megabytes, rows } = yield* load(server, { megabytes: mb, maxMillis: loadMillis })
  say(`${Math.round(megabytes)} MB were loaded in ${seconds(performance.now() - begin)}.`)
  const writer = yield* makeWriter(server)
  say("From now on a client writes one row after the other and notes when each is acknowledged.")
  return { server, control: byCommands(server), drill: (home: string) => drill(programs, home), writer, rows }
})
