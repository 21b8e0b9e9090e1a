import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import * as AgentServer from "../../src/layers/AgentServer.ts"
import * as TokenStoreFile from "../../src/layers/TokenStoreFile.ts"
import { type Ask, ask, jobsOf, serve, type ServeOptions } from "../support/agentServer.ts"
import { live } from "../support/live.ts"
import { stepStorage } from "../support/stepEngine.ts"
import { EngineRefused } from "../../src/services/Engine.ts"
import { tempDir } from "./fixtures/support.ts"

/** One guest over stepped storage, and its requests. */
const setUp = Effect.fnUntraced(function*(options: Partial<ServeOptions> = {}) {
  const storage = yield* stepStorage
  const jobs = yield* jobsOf("web1", storage.engine)
  const server = yield* serve({ guests: new Map([["web1", jobs]]), ways: ["plain", "socket"], ...options })
  const token = Redacted.value(yield* server.tokens.make("web1"))
  const to = (method: string, path: string, more: Partial<Ask> = {}) =>
    ask({ url: server.url("plain"), token, method, path, ...more })
  const json = (method: string, path: string, more: Partial<Ask> = {}) =>
    Effect.map(to(method, path, more), ({ status, text }) => ({ status, body: text === "" ? null : JSON.parse(text) }))
  const begin = Effect.gen(function*() {
    const runId = yield* RunId.make
    yield* json("POST", "/v1/backups", { body: JSON.stringify({ runId }) })
    yield* json("GET", `/v1/backups/${runId}?after=0&wait=5s`)
    return runId
  })
  return { ...storage, jobs, server, token, to, json, begin }
})

describe("AgentServer", () => {
  it.scopedLive("takes a backup to its end, asked by curl alone", () =>
    Effect.gen(function*() {
      const { begin, controls, journal, json } = yield* setUp()
      assert.deepStrictEqual(yield* json("GET", "/v1/health"), {
        status: 200,
        body: { version: "test", guest: "web1", offer: { mode: "snapshot", snapshotter: "steps", notes: ["a note"] } }
      })
      const runId = yield* begin
      const path = `/v1/backups/${runId}`
      assert.deepStrictEqual(yield* json("POST", `${path}/prepare`), { status: 204, body: null })
      assert.strictEqual((yield* json("POST", `${path}/quiesced`)).body.phase, "ready")
      yield* controls.snapshot
      yield* controls.end()
      let status = yield* json("GET", path)
      while (status.body.phase !== "done") {
        status = yield* json("GET", `${path}?after=${status.body.revision}&wait=5`)
      }
      assert.strictEqual(status.body.artifact, "/artifact")
      const list = yield* json("GET", "/v1/backups")
      assert.deepStrictEqual(list.body, [status.body])
      assert.deepStrictEqual(yield* journal, ["preflight", `run ${runId}`, "prepare", "read"])
    }))

  it.scopedLive("lists the newest first, says when it is busy, and refuses a late cancel", () =>
    Effect.gen(function*() {
      const { begin, controls, json } = yield* setUp()
      const first = yield* begin
      const other = { body: JSON.stringify({ runId: yield* RunId.make }) }
      const busy = yield* json("POST", "/v1/backups", other)
      assert.strictEqual(busy.status, 409)
      assert.deepStrictEqual(busy.body, { _tag: "Busy", reason: `the backup of run ${first} has not ended yet` })
      assert.strictEqual((yield* json("POST", "/v1/backups", { body: JSON.stringify({ runId: first }) })).status, 200)
      const cancelled = yield* json("DELETE", `/v1/backups/${first}`)
      assert.deepStrictEqual([cancelled.status, cancelled.body.phase], [200, "failed"])
      const second = yield* begin
      yield* json("POST", `/v1/backups/${second}/quiesced`)
      yield* controls.snapshot
      yield* Effect.sleep("50 millis")
      const late = yield* json("DELETE", `/v1/backups/${second}`)
      assert.deepStrictEqual([late.status, late.body._tag], [409, "Refused"])
      const list = yield* json("GET", "/v1/backups")
      assert.deepStrictEqual(list.body.map(({ runId }: { readonly runId: string }) => runId), [second, first])
    }))

  it.scopedLive("an engine that refuses is a typed refusal", () =>
    Effect.gen(function*() {
      const { engine } = yield* stepStorage
      const jobs = yield* jobsOf("web1", { ...engine, preflight: new EngineRefused({ reason: "no space" }) })
      const server = yield* serve({ guests: new Map([["web1", jobs]]), ways: ["socket"] })
      const answer = yield* ask({ socketPath: server.socketOf("web1"), path: "/v1/health" })
      assert.deepStrictEqual([answer.status, JSON.parse(answer.text)], [409, { _tag: "Refused", reason: "no space" }])
    }))

  it.scopedLive("answers a question that waits within milliseconds of the change", () =>
    Effect.gen(function*() {
      const { controls, begin, json } = yield* setUp()
      const runId = yield* begin
      yield* json("POST", `/v1/backups/${runId}/quiesced`)
      yield* Effect.sleep("50 millis")
      const { body } = yield* json("GET", `/v1/backups/${runId}`)
      const waiting = yield* Effect.fork(
        Effect.timed(json("GET", `/v1/backups/${runId}?after=${body.revision}&wait=30s`))
      )
      yield* Effect.sleep("200 millis")
      const [late] = yield* Effect.timed(Effect.zipRight(controls.snapshot, Fiber.join(waiting)))
      assert.isBelow(Duration.toMillis(late), 300)
      const [took, answer] = yield* Fiber.join(waiting)
      assert.isAbove(Duration.toMillis(took), 190)
      assert.strictEqual(answer.body.phase, "snapshotted")
    }))

  it.scopedLive("waits as long as it is told: seconds, a text, at most a minute; and answers then", () =>
    Effect.gen(function*() {
      const { begin, json } = yield* setUp()
      const path = `/v1/backups/${yield* begin}`
      const { body } = yield* json("GET", path)
      const timed = (wait: string) =>
        Effect.map(Effect.timed(json("GET", `${path}?after=${body.revision}&wait=${wait}`)), ([took, { status }]) => ({
          took: Duration.toMillis(took),
          status
        }))
      const short = yield* timed("300ms")
      assert.isTrue(short.status === 200 && short.took >= 290 && short.took < 1000, JSON.stringify(short))
      const second = yield* timed("1")
      assert.isTrue(second.status === 200 && second.took >= 990 && second.took < 2000, JSON.stringify(second))
      assert.isBelow((yield* timed("0s")).took, 200)
      for (const wrong of ["", "soon", "-1", "1e3", "30%20s", "NaN"]) {
        assert.strictEqual((yield* timed(wrong)).status, 400, wrong)
      }
      for (const after of ["-2", "x", "1.5", "9007199254740993"]) {
        assert.strictEqual((yield* json("GET", `${path}?after=${after}`)).status, 400, after)
      }
      const hour = yield* Effect.fork(timed("1h"))
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* Fiber.poll(hour))._tag, "None", "a longer one means a minute")
      yield* Fiber.interrupt(hour)
    }))

  it.scopedLive("asks the guest for a run that the host has begun", () =>
    Effect.gen(function*() {
      const { jobs, json } = yield* setUp()
      assert.deepStrictEqual(yield* json("GET", "/v1/requests"), { status: 200, body: { requests: [] } })
      const waiting = yield* Effect.fork(json("GET", "/v1/requests?wait=30s"))
      yield* Effect.sleep("100 millis")
      const hosted = yield* Effect.fork(jobs.hosted("UPID", "10 seconds"))
      const { body } = yield* Fiber.join(waiting)
      assert.deepStrictEqual((yield* json("GET", "/v1/requests")).body, body, "also without a wait")
      const runId = body.requests[0].runId
      yield* json("POST", "/v1/backups", { body: JSON.stringify({ runId }) })
      assert.deepStrictEqual((yield* json("GET", "/v1/requests")).body, { requests: [] })
      yield* json("POST", `/v1/backups/${runId}/quiesced`)
      assert.deepStrictEqual(yield* Fiber.join(hosted), { quiet: true, runId })
    }))

  it.scopedLive("serves the document of its routes, and every answer says that it is not to be kept", () =>
    Effect.gen(function*() {
      const { json, to } = yield* setUp()
      const { body } = yield* json("GET", "/v1/openapi.json")
      assert.strictEqual(body.openapi, "3.1.0")
      const routes = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
      )
      assert.deepStrictEqual(routes.sort(), [
        "DELETE /v1/backups/{runId}",
        "GET /v1/backups",
        "GET /v1/backups/{runId}",
        "GET /v1/health",
        "GET /v1/requests",
        "POST /v1/backups",
        "POST /v1/backups/{runId}/prepare",
        "POST /v1/backups/{runId}/quiesced"
      ])
      assert.deepStrictEqual(Object.values(body.components.securitySchemes), [{ type: "http", scheme: "bearer" }])
      for (const methods of Object.values(body.paths as Record<string, Record<string, { responses: object }>>)) {
        for (const { responses } of Object.values(methods)) {
          assert.includeMembers(Object.keys(responses), ["400", "401", "429"])
        }
      }
      for (const path of ["/v1/health", "/v1/nothing", "/v1/openapi.json"]) {
        assert.strictEqual((yield* to("GET", path)).headers["cache-control"], "no-store")
      }
    }))

  it.scopedLive("stops within a second, and answers who waits", () =>
    Effect.gen(function*() {
      const { begin, json, server } = yield* setUp()
      const runId = yield* begin
      const { body } = yield* json("GET", `/v1/backups/${runId}`)
      const idle = Net.connect({ path: server.socketOf("web1") }).on("error", () => undefined)
      const { hostname, port } = new URL(server.url("plain"))
      Net.connect({ host: hostname, port: Number(port) }).on("error", () => undefined)
      const poll = yield* Effect.fork(json("GET", `/v1/backups/${runId}?after=${body.revision}&wait=60s`))
      const questions = yield* Effect.fork(
        ask({ socketPath: server.socketOf("web1"), path: "/v1/requests?wait=60s" })
      )
      yield* Effect.sleep("200 millis")
      const [took] = yield* Effect.timed(server.close)
      assert.isBelow(Duration.toMillis(took), 1500)
      assert.strictEqual((yield* Fiber.join(poll)).body.phase, "ready")
      const answer = yield* Fiber.join(questions)
      assert.deepStrictEqual([answer.status, answer.headers.connection], [200, "close"])
      assert.isTrue(idle.closed || idle.destroyed || (yield* Effect.sleep("100 millis"), idle.closed))
      assert.isFalse(Fs.existsSync(server.socketOf("web1")))
      assert.strictEqual((yield* Effect.either(json("GET", "/v1/health")))._tag, "Left")
    }))

  it.scopedLive("writes down which backups began and how they ended", () =>
    Effect.gen(function*() {
      const { begin, controls, json, server } = yield* setUp()
      const first = yield* begin
      yield* json("POST", "/v1/backups", { body: JSON.stringify({ runId: first }) })
      yield* json("DELETE", `/v1/backups/${first}`)
      const second = yield* begin
      yield* json("POST", `/v1/backups/${second}/quiesced`)
      yield* controls.snapshot
      yield* controls.end()
      yield* json("GET", `/v1/backups/${second}?after=100&wait=1s`)
      yield* Effect.sleep("200 millis")
      const log = (yield* server.log).filter((line) => line.includes("the backup of run"))
      assert.deepStrictEqual(log, [
        `INFO guest web1: the backup of run ${first} was asked for`,
        `INFO guest web1: the backup of run ${first} has ended: failed: cancelled`,
        `INFO guest web1: the backup of run ${second} was asked for`,
        `INFO guest web1: the backup of run ${second} has ended: done, /artifact`
      ])
    }))
})

describe("where an agent listens", () => {
  const make = (listeners: ReadonlyArray<AgentServer.AgentListener>) =>
    Effect.gen(function*() {
      const { engine } = yield* stepStorage
      const jobs = yield* jobsOf("web1", engine)
      const stateDir = Path.join(yield* tempDir, "state")
      const context = yield* Layer.build(
        AgentServer.layer({ guests: new Map([["web1", jobs]]), listeners, version: "test" }).pipe(
          Layer.provide(TokenStoreFile.layer({ stateDir }))
        )
      )
      return yield* Effect.provide(AgentServer.AgentServer, context)
    })

  const flaw = (listeners: ReadonlyArray<AgentServer.AgentListener>) =>
    Effect.map(Effect.flip(make(listeners)), ({ message }) => message)

  it.scopedLive("only on this machine without TLS", () =>
    Effect.gen(function*() {
      for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.org", "example.org", ""]) {
        assert.include(yield* flaw([{ host, port: 0 }]), "set up TLS", host)
      }
      const { urls } = yield* make([{ host: "127.0.0.1", port: 0 }, { host: "localhost", port: 0 }])
      assert.match(urls[0] ?? "", /^http:\/\/127\.0\.0\.1:[1-9]\d+$/)
      assert.match(urls[1] ?? "", /^http:\/\/localhost:[1-9]\d+$/)
    }))

  it.scopedLive("says why it cannot", () =>
    Effect.gen(function*() {
      const { urls: [url = ""] } = yield* make([{ host: "127.0.0.1", port: 0 }])
      const taken = Number(new URL(url).port)
      assert.include(yield* flaw([{ host: "127.0.0.1", port: taken }]), "another program listens there")
      const directory = yield* tempDir
      assert.include(yield* flaw([{ socket: Path.join(directory, "x"), guest: "db1" }]), "unknown here")
      assert.include(yield* flaw([{ socket: Path.join(directory, "x".repeat(120)), guest: "web1" }]), "too long")
      Fs.writeFileSync(Path.join(directory, "file"), "mine")
      assert.include(yield* flaw([{ socket: Path.join(directory, "file"), guest: "web1" }]), "no socket")
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "file"), "utf8"), "mine")
      assert.include(
        yield* flaw([{ host: "127.0.0.1", port: 0, tls: { cert: "nonsense", key: "nonsense" } }]),
        "cannot listen"
      )
    }))

  it.scopedLive("on a socket that only its owner can use, in place of one that a dead agent left", () =>
    Effect.gen(function*() {
      const socket = Path.join(yield* tempDir, "deep", "web1.sock")
      Fs.mkdirSync(Path.dirname(socket))
      // closed by a death: its name stays
      const dead = Net.createServer()
      yield* Effect.async<void>((resume) => void dead.listen(`${socket}.dead`, () => resume(Effect.void)))
      Fs.renameSync(`${socket}.dead`, socket)
      yield* Effect.async<void>((resume) => void dead.close(() => resume(Effect.void)))
      assert.isTrue(Fs.lstatSync(socket).isSocket())
      yield* make([{ socket, guest: "web1" }])
      assert.strictEqual(Fs.statSync(socket).mode & 0o777, 0o600)
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(socket)), ["web1.sock"])
      const answer = yield* ask({ socketPath: socket, path: "/v1/health" })
      assert.strictEqual(answer.status, 200)
      assert.include(yield* flaw([{ socket, guest: "web1" }]), "another program listens there")
      const other = `${socket}2`
      yield* make([{ socket: other, guest: "web1", mode: 0o666 }])
      assert.strictEqual(Fs.statSync(other).mode & 0o777, 0o666)
    }))

  live("with TLS of today alone", ["openssl"], () =>
    Effect.gen(function*() {
      const { server, token } = yield* setUp({ ways: ["tls"] })
      const { connect } = yield* Effect.promise(() => import("node:tls"))
      const port = Number(new URL(server.url("tls")).port)
      const speak = (version: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3") =>
        Effect.async<string>((resume) => {
          const socket = connect({
            port,
            host: "127.0.0.1",
            rejectUnauthorized: false,
            minVersion: version,
            maxVersion: version,
            ciphers: "DEFAULT:@SECLEVEL=0"
          }, () => {
            resume(Effect.succeed(socket.getProtocol() ?? ""))
            socket.destroy()
          }).on("error", () => resume(Effect.succeed("refused")))
        })
      const spoken = yield* Effect.forEach(["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const, speak)
      assert.deepStrictEqual(spoken, ["refused", "refused", "TLSv1.2", "TLSv1.3"])
      const answer = yield* ask({ url: server.url("tls"), token, path: "/v1/health" })
      assert.strictEqual(answer.status, 200)
    }))
})
