/**
 * A PostgreSQL in a container on a btrfs, with a load on it and a client that watches it.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { Readable } from "node:stream"
import { spawn } from "../../src/internal/process.ts"
import * as Dockerd from "../../test/lab/docker/dockerd.ts"
import { imageName, images } from "../../test/lab/docker/images.ts"
import * as PostgresService from "../../test/lab/docker/postgres.ts"
import { type Project, project } from "../../test/lab/docker/project.ts"
import { loopMount } from "../../test/lab/loopfs.ts"
import { attempt, execute, LabError } from "../../test/lab/postgresInstall.ts"

/** A time without an answer, in milliseconds since the epoch. */
interface Gap {
  readonly from: number
  readonly to: number
}

export interface Site {
  readonly mount: string
  /** The subvolume that holds the data. */
  readonly source: string
  readonly docker: Dockerd.Dockerd
  readonly project: Project
  readonly server: PostgresService.PostgresService
  readonly megabytes: number
  /** The longest time without an answer, in milliseconds, that ended after this moment (since the epoch). */
  readonly longestGap: (since: number) => number
}

export const now = (): number => performance.timeOrigin + performance.now()

/** Bytes of a row of pgbench's largest table, with its index. */
const bytesPerAccount = 152

export const prepareCommand = "psql -h 127.0.0.1 -qc CHECKPOINT"

const probe = Effect.fnUntraced(function*(port: number) {
  const gaps: Array<Gap> = []
  const child = yield* spawn({ argv: [process.execPath, "bench/docker/probe.mjs", String(port)] }).pipe(
    Effect.mapError(({ message }) => new LabError({ message }))
  )
  ReadLine.createInterface({ input: child.stdout ?? Readable.from([]) }).on("line", (line) => {
    gaps.push(JSON.parse(line) as Gap)
  })
  return (since: number) => Math.max(0, ...gaps.filter(({ to }) => to > since).map(({ from, to }) => to - from))
})

/** Makes it all, with about this much data. */
export const make = Effect.fn("DockerBench.site")(function*(megabytes: number) {
  const mount = yield* loopMount("btrfs", { megabytes: megabytes * 8 + 4000, mountOptions: "noatime" }).pipe(
    Effect.mapError(({ message }) => new LabError({ message }))
  )
  const source = Path.join(mount, "data")
  yield* execute(["btrfs", "-q", "subvolume", "create", source])
  yield* attempt(source, () => Fs.mkdir(Path.join(source, "pg")))
  const docker = yield* Dockerd.make()
  yield* images(docker.engine, ["bb", "pg"])
  const server = yield* PostgresService.make({
    data: Path.join(source, "pg"),
    settings: { checkpoint_timeout: "15min", max_wal_size: "4GB", shared_buffers: "128MB" },
    service: { labels: { "quiesce.exec.prepare": prepareCommand }, hostConfig: { ShmSize: 268435456 } }
  })
  const made = project(docker.engine, "bench", { services: { db: server.service } })
  yield* made.up
  yield* server.ready
  const scale = Math.max(1, Math.ceil((megabytes * 1e6) / (100_000 * bytesPerAccount)))
  const { code, output } = yield* docker.engine.exec(yield* made.id("db"), [
    "pgbench",
    "-h",
    "127.0.0.1",
    "-q",
    "-i",
    "-s",
    String(scale),
    "postgres"
  ])
  if (code !== 0) return yield* new LabError({ message: `pgbench -i: ${output}` })
  yield* server.query("CHECKPOINT")
  const [size] = yield* server.query("select pg_database_size('postgres')::float8 as bytes")
  const site: Site = {
    mount,
    source,
    docker,
    project: made,
    server,
    megabytes: Number(size?.["bytes"]) / 1e6,
    longestGap: yield* probe(server.port)
  }
  return site
})

/** 300 transactions a second from four clients, again after each interruption, until the scope closes. */
export const load = ({ docker, server }: Site) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const run = `while :; do pgbench -h 127.0.0.1 -n -c 4 -R 300 -T 3600 postgres >/dev/null 2>&1; sleep 0.1; done`
      const id = yield* docker.engine.create("bench-load", {
        Image: imageName("pg"),
        Entrypoint: ["sh", "-c", run],
        Env: [`PGPORT=${server.port}`, "PGUSER=postgres"],
        HostConfig: { NetworkMode: "host" }
      })
      yield* docker.engine.start(id)
      return id
    }),
    (id) => Effect.ignore(docker.engine.remove(id))
  )
