/**
 * The demo's database as a Compose project: on this machine's Docker, or on a dockerd that is started for the demo.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Dockerd from "../test/lab/docker/dockerd.ts"
import * as Engine from "../test/lab/docker/engine.ts"
import { imageName, images } from "../test/lab/docker/images.ts"
import * as PostgresService from "../test/lab/docker/postgres.ts"
import { make as makeWriter } from "../test/lab/docker/postgresWriter.ts"
import { project } from "../test/lab/docker/project.ts"
import { type Drill, readLog } from "../test/lab/postgresDrill.ts"
import { type Argv, attempt, execute, type LabError } from "../test/lab/postgresInstall.ts"
import { say, seconds } from "./lib/print.ts"
import type { Controlled } from "./lib/quiesce.ts"
import { loadMillis, type StageOptions } from "./stage.ts"

const projectName = "quiesce-demo"

/** The engine of this machine, if one answers. */
const ownEngine = Effect.gen(function*() {
  const host = process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock"
  const engine = Engine.make(host.replace(/^unix:\/\//, ""))
  yield* engine.call("GET", "/_ping", [200], undefined, { timeoutMillis: 2000 })
  return { host, engine, whose: "this machine's Docker" }
})

const labEngine = Effect.map(Dockerd.make(), ({ engine, host }) => ({
  host,
  engine,
  whose: "a dockerd that was started for this demo, apart from any other"
}))

/** A server in a container of its own on a copy of the data: its log tells what the copy is worth. */
const drillOn = (engine: Engine.Engine) =>
  Effect.fn("Demo.dockerDrill")(function*(home: string): Effect.fn.Return<Drill, LabError> {
    const data = Path.join(home, "data")
    yield* attempt("postmaster.pid", () => Fs.rm(Path.join(data, "postmaster.pid"), { force: true }))
    const server = yield* PostgresService.make({ data })
    const drill = project(engine, `${projectName}-drill`, { services: { db: server.service } })
    return yield* Effect.gen(function*() {
      yield* drill.up
      const started = yield* Effect.either(server.ready)
      const log = yield* engine.logs(yield* drill.id("db"))
      const found = readLog(log)
      if (started._tag === "Left") {
        return { ...found, started: false, evidence: started.left.message, ballast: 0, journal: new Set<number>() }
      }
      const [ballast] = yield* server.query("select count(*)::int4 as rows from ballast")
      const journal = yield* server.query("select id::int4 from journal")
      return {
        ...found,
        started: true,
        ballast: Number(ballast?.["rows"]),
        journal: new Set(journal.map((row) => Number(row["id"])))
      }
    }).pipe(Effect.ensuring(Effect.ignore(drill.down)))
  })

/** Starts it, fills it, and lets a client write. */
export const make = Effect.fn("Demo.dockerStage")(function*({ mb, type, work }: StageOptions) {
  const { engine, host, whose } = yield* Effect.orElse(ownEngine, () => labEngine)
  yield* images(engine, ["pg"])
  const data = Path.join(work, "notes", "data")
  yield* attempt(data, () => Fs.mkdir(data, { recursive: true }))
  const server = yield* PostgresService.make({
    data,
    settings: { max_wal_size: "128MB", min_wal_size: "32MB" },
    service: { restart: "unless-stopped", labels: { "quiesce.exec.prepare": "psql -h 127.0.0.1 -qc CHECKPOINT" } }
  })
  const shop = project(engine, projectName, { services: { db: server.service } })
  yield* Effect.addFinalizer(() => Effect.ignore(shop.down))
  yield* shop.up
  yield* server.ready
  say(`PostgreSQL runs as the Compose project '${projectName}' on ${whose} (image ${imageName("pg")}).`)
  say(`Its data is in ${work} (${type}); all of it is removed at the end.`)
  const begin = performance.now()
  const megabytes = yield* PostgresService.load(server, mb, loadMillis)
  const [ballast] = yield* server.query("select count(*)::int4 as rows from ballast")
  say(`${Math.round(megabytes)} MB were loaded in ${seconds(performance.now() - begin)}.`)
  const writer = yield* makeWriter(server)
  say("From now on a client writes one row after the other and notes when each is acknowledged.")
  const container = `${projectName}-db-1`
  const docker = (...words: ReadonlyArray<string>): Argv => ["docker", "-H", host, ...words]
  yield* execute(docker("--version"))
  const control: Controlled = { stack: { docker: { project: projectName } }, beside: { docker: { host } } }
  return {
    server: {
      data,
      argv: { start: docker("start", container), stop: docker("stop", "-t", "60", container) }
    },
    control,
    drill: drillOn(engine),
    writer,
    rows: Number(ballast?.["rows"])
  }
})
