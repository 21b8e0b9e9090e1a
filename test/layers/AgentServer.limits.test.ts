/**
 * A guest that sends slowly, much, often, or nothing at all.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Redacted } from "effect"
import * as Net from "node:net"
import * as RunId from "../../src/domain/RunId.ts"
import type { AgentServerLimits } from "../../src/layers/AgentServer.ts"
import { type Ask, ask, jobsOf, portOf, raw, serve } from "../support/agentServer.ts"
import { live } from "../support/live.ts"
import { stepStorage } from "../support/stepEngine.ts"

const setUp = Effect.fnUntraced(function*(limits: AgentServerLimits = {}, way: "plain" | "tls" = "plain") {
  const storage = yield* stepStorage
  const jobs = yield* jobsOf("web1", storage.engine)
  const other = yield* jobsOf("web2", (yield* stepStorage).engine)
  const server = yield* serve({ guests: new Map([["web1", jobs], ["web2", other]]), ways: [way], limits })
  const token = Redacted.value(yield* server.tokens.make("web1"))
  const url = server.url(way)
  const get = (path: string, more: Partial<Ask> = {}) => ask({ url, token, path, ...more })
  const header = `authorization: Bearer ${token}\r\nhost: x\r\n`
  return { ...storage, server, token, url, port: portOf(url), get, header }
})

/** Connections that are only opened. */
const connections = (port: number, count: number) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const sockets = Array.from({ length: count }, () =>
        Net.connect({ port, host: "127.0.0.1" }).on("error", () => undefined))
      yield* Effect.sleep("300 millis")
      return {
        sockets,
        open: () =>
          sockets.filter((socket) => !socket.closed && socket.readyState === "open").length
      }
    }),
    ({ sockets }) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  )

const fast = { headersTimeout: "500 millis", requestTimeout: "1 second" } as const

describe("who sends slowly", () => {
  it.scopedLive("headers: is cut off, and delays nobody else", () =>
    Effect.gen(function*() {
      const { get, header, port } = yield* setUp(fast)
      const slow = yield* Effect.fork(Effect.all([
        raw({ port }, []),
        raw({ port }, ["GET /v1/heal"]),
        raw({ port }, ["GET /v1/health HTTP/1.1\r\n", ...header.split("").flatMap((one) => [one, { pause: 100 }])])
      ], { concurrency: 3 }))
      yield* Effect.sleep("100 millis")
      const [took, answer] = yield* Effect.timed(get("/v1/health"))
      assert.strictEqual(answer.status, 200)
      assert.isBelow(Duration.toMillis(took), 500)
      for (const { text, took } of yield* Fiber.join(slow)) {
        assert.isBelow(took, 3500)
        assert.match(text, /^(HTTP\/1\.1 408 |$)/)
      }
    }))

  it.scopedLive("a body: is cut off", () =>
    Effect.gen(function*() {
      const { get, header, journal, port } = yield* setUp(fast)
      const start = `POST /v1/backups HTTP/1.1\r\n${header}content-type: application/json\r\ncontent-length: 60\r\n\r\n`
      const { took } = yield* raw({ port }, [start, ..."{\"runId\":".split("").flatMap((one) => [one, { pause: 300 }])])
      assert.isBelow(took, 4000)
      assert.strictEqual((yield* get("/v1/health")).status, 200)
      assert.deepStrictEqual(yield* journal, ["preflight"])
    }))

  it.scopedLive("nothing after an answer: loses its connection when it was idle for long", () =>
    Effect.gen(function*() {
      const { header, port } = yield* setUp({ idle: "500 millis" })
      const { text, took } = yield* raw({ port }, [`GET /v1/health HTTP/1.1\r\n${header}\r\n`])
      assert.match(text, /^HTTP\/1\.1 200 /)
      assert.isTrue(took > 400 && took < 3000, String(took))
    }))

  live("no TLS where TLS is spoken: is cut off", ["openssl"], () =>
    Effect.gen(function*() {
      const { get, port } = yield* setUp(fast, "tls")
      const { took } = yield* raw({ port }, [])
      assert.isBelow(took, 3000)
      yield* raw({ port }, ["GET / HTTP/1.1\r\n\r\n"])
      assert.strictEqual((yield* get("/v1/health")).status, 200)
    }))

  it.scopedLive("but who only waits is not cut off by any of these", () =>
    Effect.gen(function*() {
      const { controls, get } = yield* setUp({ ...fast, idle: "500 millis" })
      const runId = yield* RunId.make
      yield* get("/v1/backups", { method: "POST", body: JSON.stringify({ runId }) })
      yield* get(`/v1/backups/${runId}?after=0&wait=1s`)
      const [took, answer] = yield* Effect.timed(get(`/v1/backups/${runId}?after=1&wait=4s`))
      assert.isTrue(answer.status === 200 && Duration.toMillis(took) > 3900, `${answer.status} ${took}`)
      yield* controls.end("over")
    }))
})

describe("who sends much", () => {
  it.scopedLive("a huge body is not read, with a length or without", () =>
    Effect.gen(function*() {
      const { get, header, journal, port } = yield* setUp()
      const before = process.memoryUsage().rss
      for (const length of ["content-length: 1073741824", "transfer-encoding: chunked"]) {
        for (const [method, path] of [["POST", "/v1/backups"], ["GET", "/v1/health"], ["DELETE", "/v1/backups/x"]]) {
          const start = `${method} ${path} HTTP/1.1\r\n${header}content-type: application/json\r\n${length}\r\n\r\n`
          const parts = Array.from({ length: 64 }, () => "x".repeat(64 * 1024))
          const { text, took } = yield* raw({ port }, [start, ...parts])
          assert.match(text, /^(HTTP\/1\.1 4\d\d |$)/)
          assert.isBelow(took, 2000)
        }
      }
      assert.isBelow(process.memoryUsage().rss - before, 100 * 1024 * 1024)
      assert.strictEqual((yield* get("/v1/health")).status, 200)
      assert.deepStrictEqual(yield* journal, ["preflight"])
    }))

  it.scopedLive("many requests on one connection are answered in turn, and counted", () =>
    Effect.gen(function*() {
      const { header, port } = yield* setUp({ requestsPerMinute: 50 })
      const one = `GET /v1/backups HTTP/1.1\r\n${header}\r\n`
      const last = `GET /v1/backups HTTP/1.1\r\n${header}connection: close\r\n\r\n`
      const { text } = yield* raw({ port }, [one.repeat(99) + last])
      const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status)
      assert.strictEqual(statuses.length, 100)
      const good = statuses.filter((status) => status === "200").length
      // a slow machine has earned some more meanwhile
      assert.isTrue(good >= 50 && good < 60, String(good))
      assert.strictEqual(statuses.filter((status) => status === "429").length, 100 - good)
    }))

  it.scopedLive("too many requests a minute: is told when to come again, alone, and not always in the log", () =>
    Effect.gen(function*() {
      const { get, server } = yield* setUp({ requestsPerMinute: 20 })
      const answers = yield* Effect.forEach(Array.from({ length: 60 }), () => get("/v1/backups"))
      const limited = answers.filter(({ status }) => status === 429)
      assert.isTrue(limited.length > 30 && limited.length <= 40, String(limited.length))
      for (const { headers, text } of limited) {
        assert.match(headers["retry-after"] ?? "", /^[1-3]$/)
        assert.deepStrictEqual(JSON.parse(text), {
          _tag: "TooManyRequests",
          retryAfterSeconds: Number(headers["retry-after"])
        })
      }
      const other = Redacted.value(yield* server.tokens.make("web2"))
      assert.strictEqual((yield* get("/v1/backups", { token: other })).status, 200)
      yield* Effect.sleep("3100 millis")
      assert.strictEqual((yield* get("/v1/backups")).status, 200)
      const log = (yield* server.log).filter((line) => line.includes("too many"))
      assert.isTrue(log.length > 0 && log.length <= 14, String(log.length))
    }))

  it.scopedLive("too many questions at once: the rest are put off, and places come back", () =>
    Effect.gen(function*() {
      const { get } = yield* setUp({ requestsAtOnce: 4 })
      const ask = get("/v1/requests?wait=2s")
      const open = yield* Effect.forEach([1, 2, 3, 4], () => Effect.fork(ask))
      yield* Effect.sleep("200 millis")
      assert.strictEqual((yield* get("/v1/backups")).status, 429)
      yield* Effect.forEach(open.slice(0, 2), Fiber.interrupt)
      yield* Effect.sleep("200 millis")
      assert.strictEqual((yield* get("/v1/backups")).status, 200)
      for (const fiber of open.slice(2)) assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      const all = yield* Effect.forEach(Array.from({ length: 40 }), () => get("/v1/backups"))
      assert.isTrue(all.every(({ status }) => status === 200))
    }))
})

describe("who opens many connections", () => {
  it.scopedLive("has no more of them than is allowed in all", () =>
    Effect.gen(function*() {
      const { get, port } = yield* setUp({ connections: 10, connectionsPerAddress: 1000 })
      const { open, sockets } = yield* connections(port, 30)
      assert.isAtMost(open(), 10)
      sockets.forEach((socket) => socket.destroy())
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* get("/v1/health")).status, 200)
    }))

  it.scopedLive("has its part of them alone", () =>
    Effect.gen(function*() {
      const { get, port } = yield* setUp({ connectionsPerAddress: 5 })
      const { open, sockets } = yield* connections(port, 30)
      assert.isAtMost(open(), 5)
      const elsewhere = yield* get("/v1/health", { localAddress: "127.0.0.2" })
      assert.strictEqual(elsewhere.status, 200)
      sockets.forEach((socket) => socket.destroy())
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* get("/v1/health")).status, 200)
    }))

  it.scopedLive("a thousand guests can wait at once, where that is configured", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 1000 }, (_, n) => `guest${n}`)
      const { engine } = yield* stepStorage
      const jobs = yield* Effect.forEach(names, (name) => jobsOf(name, engine))
      const guests = new Map(jobs.map((one) => [one.guest, one]))
      const server = yield* serve({
        guests,
        ways: ["plain"],
        limits: { connections: 1100, connectionsPerAddress: 1100 }
      })
      const tokens = yield* Effect.forEach(names, (name) => server.tokens.make(name))
      const answers = yield* Effect.forEach(
        tokens,
        (token) => ask({ url: server.url("plain"), token: Redacted.value(token), path: "/v1/requests?wait=5s" }),
        { concurrency: "unbounded" }
      )
      assert.isTrue(answers.every(({ status }) => status === 200))
    }), 120_000)
})
