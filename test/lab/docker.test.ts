import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { live, skipsForbidden } from "../support/live.ts"
import { kill9 } from "./agentBundle.ts"
import { compose, composeBinary } from "./docker/compose.ts"
import * as Dockerd from "./docker/dockerd.ts"
import * as Home from "./docker/home.ts"
import { images } from "./docker/images.ts"
import * as Podman from "./docker/podman.ts"
import * as PostgresService from "./docker/postgres.ts"
import { make as makeWriter } from "./docker/postgresWriter.ts"
import { project } from "./docker/project.ts"
import { workDirectory } from "./loopfs.ts"
import { execute } from "./postgresInstall.ts"

const lab = (...names: Parameters<typeof images>[1]) =>
  Effect.tap(Dockerd.make(), ({ engine }) => images(engine, names))

const read = (path: string) => Effect.promise(() => Fs.readFile(path, "utf8").catch(() => ""))

/** What is left of an engine: processes, mounts, files, control groups. */
const remains = (home: string) =>
  Effect.gen(function*() {
    const found: Array<string> = []
    for (const pid of yield* Effect.promise(() => Fs.readdir("/proc"))) {
      if ((yield* read(`/proc/${pid}/cmdline`)).includes(`${home}/`)) found.push(`process ${pid}`)
    }
    if ((yield* read("/proc/self/mounts")).includes(home)) found.push("mounts")
    const groups = yield* Effect.promise(() => Fs.readdir("/sys/fs/cgroup", { recursive: true }))
    found.push(...groups.filter((path) => path.includes(Path.basename(home))))
    const there = yield* Effect.promise(() => Fs.access(home).then(() => true, () => false))
    return there ? [...found, home] : found
  })

/** The sockets of the running containers that lie outside of the engine's directory. */
const shimSockets = (home: string) =>
  execute([
    "grep",
    "-rhoE",
    "--include=address",
    "--include=bootstrap.json",
    "/run/containerd/s/[0-9a-f]+",
    `${home}/exec`
  ])
    .pipe(Effect.map((text) => text.trim().split("\n")))

describe("the Docker lab", () => {
  live("runs a project in the order of its dependencies, and leaves nothing", ["docker"], () =>
    Effect.gen(function*() {
      const { home, sockets } = yield* Effect.scoped(Effect.gen(function*() {
        const { engine, root } = yield* lab("bb")
        const shop = project(engine, "shop", {
          services: {
            db: {
              healthcheck: { test: ["CMD", "test", "-e", "/data/up"], interval: "100 millis" },
              volumes: ["v:/data"]
            },
            fill: { command: ["touch", "/data/up"], volumes: ["v:/data"] },
            web: { dependsOn: { db: { condition: "service_healthy", restart: true } }, scale: 2 },
            late: { dependsOn: { fill: { condition: "service_completed_successfully" } } },
            side: { networkMode: "service:db" }
          }
        })
        yield* shop.up
        const db = yield* shop.inspect("db")
        assert.strictEqual(db.State.Health?.Status, "healthy")
        assert.strictEqual(db.Name, "/shop-db-1")
        assert.strictEqual(
          (yield* shop.inspect("web")).Config.Labels["com.docker.compose.depends_on"],
          "db:service_healthy:true"
        )
        assert.strictEqual((yield* shop.inspect("side")).HostConfig.NetworkMode, `container:${db.Id}`)
        assert.deepStrictEqual(yield* engine.exec(db.Id, ["sh", "-c", "echo to both >&2; exit 3"]), {
          code: 3,
          output: "to both\n"
        })
        const oneOff = yield* shop.oneOff("web", ["sleep", "60"])
        assert.strictEqual((yield* engine.inspect(oneOff)).Config.Labels["com.docker.compose.oneoff"], "True")
        assert.notStrictEqual(yield* shop.recreate("web"), db.Id)
        yield* engine.pause(yield* shop.id("web"))
        yield* shop.remove("late")
        assert.deepStrictEqual(yield* shop.states, {
          "db-1": "running",
          "fill-1": "exited",
          "side-1": "running",
          "web-1": "paused",
          "web-2": "running"
        })
        yield* engine.stop(db.Id)
        assert.strictEqual((yield* engine.inspect(db.Id)).State.ExitCode, 0)
        return { home: root, sockets: yield* shimSockets(root) }
      }))
      assert.deepStrictEqual(yield* remains(home), [])
      assert.isAbove(sockets.length, 2)
      assert.deepStrictEqual(sockets.filter((path) => existsSync(path)), [])
    }))

  live("restarts containers as their policies say", ["docker"], () =>
    Effect.gen(function*() {
      const dockerd = yield* lab("bb")
      const policies = project(dockerd.engine, "policies", {
        services: {
          no: {},
          failure: { restart: "on-failure" },
          unless: { restart: "unless-stopped", scale: 2 },
          always: { restart: "always", scale: 2 }
        }
      })
      yield* policies.up
      yield* dockerd.engine.stop(yield* policies.id("unless", 2))
      yield* dockerd.engine.stop(yield* policies.id("always", 2))
      yield* dockerd.restart
      const afterRestart = {
        "always-1": "running",
        "always-2": "running",
        "failure-1": "exited",
        "no-1": "exited",
        "unless-1": "running",
        "unless-2": "exited"
      }
      assert.deepStrictEqual(yield* policies.states, afterRestart)
      const pid = dockerd.pid()
      yield* dockerd.kill
      yield* dockerd.start
      assert.notStrictEqual(dockerd.pid(), pid)
      assert.deepStrictEqual(yield* policies.states, { ...afterRestart, "unless-1": "exited" })
    }))

  live("has daemons that do not answer, or are gone, beside others that do", ["docker"], () =>
    Effect.gen(function*() {
      const [stuck, well] = yield* Effect.all([Dockerd.make(), Dockerd.make()], { concurrency: 2 })
      const ping = (dockerd: Dockerd.Dockerd) =>
        dockerd.engine.request("GET", "/_ping", undefined, { timeoutMillis: 300 }).pipe(Effect.map(({ text }) => text))
      yield* stuck.pause
      assert.include((yield* Effect.flip(ping(stuck))).message, "no answer in time")
      assert.strictEqual(yield* ping(well), "OK")
      yield* stuck.resume
      assert.strictEqual(yield* ping(stuck), "OK")
      yield* stuck.stop
      assert.match((yield* Effect.flip(ping(stuck))).message, /ENOENT|ECONNREFUSED/)
    }))

  live("has a PostgreSQL that a client can write to, and is stopped cleanly", ["docker"], () =>
    Effect.gen(function*() {
      const { engine } = yield* lab("pg")
      const data = yield* workDirectory
      const postgres = yield* PostgresService.make({
        data,
        settings: { shared_buffers: "16MB" },
        service: { labels: { "quiesce.exec.prepare": "CHECKPOINT" } }
      })
      const notes = project(engine, "notes", { services: { db: postgres.service } })
      yield* notes.up
      yield* postgres.ready
      const writer = yield* makeWriter(postgres)
      assert.isAbove(yield* PostgresService.load(postgres, 2), 8)
      const db = yield* notes.id("db")
      const from = performance.now()
      yield* engine.stop(db)
      assert.strictEqual((yield* engine.inspect(db)).State.ExitCode, 0)
      assert.include(yield* engine.logs(db), "database system is shut down")
      yield* engine.start(db)
      yield* writer.next
      assert.isAbove(writer.longestGap(from, performance.now()).millis, 50)
      assert.strictEqual((yield* engine.exec(db, ["psql", "-Atc", "select 1"])).output, "1\n")
      assert.deepStrictEqual(yield* postgres.query("show shared_buffers"), [{ shared_buffers: "16MB" }])
      yield* engine.until(db, "healthy", ({ State }) => State.Health?.Status === "healthy")
      const [journal] = yield* postgres.query("select count(*)::int as rows from journal")
      assert.isAtLeast(Number(journal?.["rows"]), writer.acknowledged().length)
    }))

  live("makes projects that the real Compose takes for its own", ["docker"], () =>
    Effect.gen(function*() {
      const program = yield* composeBinary
      if (Option.isNone(program)) console.warn("there is no Compose v2 here, and none can be had: not tested")
      if (Option.isNone(program)) return assert.isFalse(skipsForbidden, "there is no Compose v2, and none can be had")
      const { engine, host } = yield* lab("bb")
      const shop = project(engine, "shop", { services: { db: {}, web: { dependsOn: { db: {} } } } })
      yield* shop.up
      const run = (...args: ReadonlyArray<string>) => compose(program.value, host, ...args)
      assert.include(yield* run("ls", "--format", "json"), "\"Name\":\"shop\",\"Status\":\"running(2)\"")
      assert.deepStrictEqual((yield* run("-p", "shop", "ps", "--services")).trim().split("\n").sort(), ["db", "web"])
      yield* run("-p", "shop", "stop")
      assert.deepStrictEqual(yield* shop.states, { "db-1": "exited", "web-1": "exited" })
      yield* run("-p", "shop", "start")
      assert.deepStrictEqual(yield* shop.states, { "db-1": "running", "web-1": "running" })
    }))

  live("has podman behind the same client, and leaves nothing", ["docker", "podman"], () =>
    Effect.gen(function*() {
      const home = yield* Effect.scoped(Effect.gen(function*() {
        const { engine, root } = yield* Podman.make()
        yield* images(engine, ["bb"])
        assert.match(String((yield* engine.request("GET", "/_ping")).headers["server"]), /^Libpod/)
        const shop = project(engine, "shop", { services: { db: {}, web: { dependsOn: { db: {} } } } })
        yield* shop.up
        const db = yield* shop.id("db")
        assert.deepStrictEqual(yield* engine.exec(db, ["echo", "hello"]), { code: 0, output: "hello\n" })
        yield* engine.stop(db)
        assert.strictEqual((yield* engine.inspect(db)).State.ExitCode, 0)
        assert.deepStrictEqual(yield* shop.states, { "db-1": "exited", "web-1": "running" })
        return root
      }))
      assert.deepStrictEqual(yield* remains(home), [])
    }))

  live("removes what a killed test run left", ["docker"], () =>
    Effect.gen(function*() {
      const outfile = Path.join(yield* workDirectory, "abandoned.mjs")
      const entry = Path.join(import.meta.dirname, "docker/abandoned.ts")
      const options = { bundle: true, platform: "node", target: "node20", format: "esm", logLevel: "error" } as const
      yield* Effect.promise(() => build({ entryPoints: [entry], outfile, ...options }))
      const child = spawn(process.execPath, [outfile], { stdio: ["ignore", "pipe", "inherit"] })
      const said = yield* Effect.promise(() => new Promise<string>((resolve) => child.stdout.once("data", resolve)))
      const home = String(said).trim()
      yield* kill9(child)
      assert.isAbove((yield* remains(home)).length, 3)
      yield* Effect.scoped(Home.make)
      assert.deepStrictEqual(yield* remains(home), [])
    }))
})
