/**
 * A guest that is not what it should be: it wants to be another one, or has no token, or sends what nobody should send.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck, Redacted, Ref, TestClock } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import type { Jobs } from "../../src/internal/agent/jobs.ts"
import { type Answer, ask, jobsOf, portOf, raw, serve, type ServeOptions } from "../support/agentServer.ts"
import { stepStorage } from "../support/stepEngine.ts"

/** Jobs that write down every call. */
const recorded = (jobs: Jobs, calls: Ref.Ref<ReadonlyArray<string>>): Jobs => {
  const say = (name: string) => Ref.update(calls, (all) => [...all, `${jobs.guest} ${name}`])
  const first = <A, E>(name: string, effect: Effect.Effect<A, E>) => Effect.zipRight(say(name), effect)
  return {
    guest: jobs.guest,
    preflight: first("preflight", jobs.preflight),
    request: (runId) => first(`request ${runId}`, jobs.request(runId)),
    prepare: (runId) => first(`prepare ${runId}`, jobs.prepare(runId)),
    quiesced: (runId) => first(`quiesced ${runId}`, jobs.quiesced(runId)),
    status: (runId, after, wait) => first(`status ${runId}`, jobs.status(runId, after, wait)),
    cancel: (runId) => first(`cancel ${runId}`, jobs.cancel(runId)),
    list: first("list", jobs.list),
    asked: (wait) => first("asked", jobs.asked(wait)),
    hosted: jobs.hosted,
    sweep: first("sweep", jobs.sweep)
  }
}

const generous = { requestsPerMinute: 1e9, failuresPerMinute: 1e9 }

/** Two guests, each with a token and a socket. */
const setUp = Effect.fnUntraced(function*(options: Partial<ServeOptions> = {}) {
  const calls = yield* Ref.make<ReadonlyArray<string>>([])
  const guest = Effect.fnUntraced(function*(name: string) {
    const storage = yield* stepStorage
    const jobs = yield* jobsOf(name, storage.engine)
    return { ...storage, jobs: recorded(jobs, calls) }
  })
  const a = yield* guest("a")
  const b = yield* guest("b")
  const server = yield* serve({
    guests: new Map([["a", a.jobs], ["b", b.jobs]]),
    ways: ["plain", "socket"],
    limits: generous,
    ...options
  })
  const [tokenA, tokenB] = [yield* server.tokens.make("a"), yield* server.tokens.make("b")].map(Redacted.value)
  const to = (method: string, path: string, token: string | undefined, body?: string) =>
    ask({ url: server.url("plain"), method, path, token, ...body === undefined ? {} : { body } })
  return { a, b, server, tokenA, tokenB, to, calls: Ref.get(calls), forget: Ref.set(calls, []) }
})

const routes = (runId: string): ReadonlyArray<readonly [method: string, path: string]> => [
  ["GET", `/v1/backups/${runId}`],
  ["GET", `/v1/backups/${runId}?after=3&wait=10s`],
  ["POST", `/v1/backups/${runId}/prepare`],
  ["POST", `/v1/backups/${runId}/quiesced`],
  ["DELETE", `/v1/backups/${runId}`]
]

const everyRoute = (runId: string): ReadonlyArray<readonly [method: string, path: string, body?: string]> => [
  ...routes(runId),
  ["GET", "/v1/health"],
  ["GET", "/v1/backups"],
  ["POST", "/v1/backups", JSON.stringify({ runId })],
  ["GET", "/v1/requests"],
  ["GET", "/v1/openapi.json"],
  ["GET", "/v1/nothing"],
  ["GET", "/"]
]

/** All that tells two answers from one another. */
const face = ({ headers, status, text }: Answer) => ({ status, headers: { ...headers, date: "" }, text })

describe("a guest and the backups of another", () => {
  it.scopedLive("a run of another guest is as unknown as one that never was, on every route", () =>
    Effect.gen(function*() {
      const { a, b, calls, forget, server, to, tokenA, tokenB } = yield* setUp()
      const [ofA, ofB, nobodys] = [yield* RunId.make, yield* RunId.make, yield* RunId.make]
      yield* to("POST", "/v1/backups", tokenA, JSON.stringify({ runId: ofA }))
      yield* to("POST", "/v1/backups", tokenB, JSON.stringify({ runId: ofB }))
      yield* forget
      for (const [token, theirs, guest] of [[tokenA, ofB, "a"], [tokenB, ofA, "b"]] as const) {
        const ways = [
          (method: string, path: string) => to(method, path, token),
          (method: string, path: string) => ask({ socketPath: server.socketOf(guest), method, path })
        ]
        for (const way of ways) {
          const tried = yield* Effect.forEach(routes(theirs), ([method, path]) => way(method, path))
          const unknown = yield* Effect.forEach(routes(nobodys), ([method, path]) => way(method, path))
          assert.deepStrictEqual(tried.map(face), unknown.map(face))
          for (const { status, text } of tried) assert.deepStrictEqual([status, text], [404, "{\"_tag\":\"NotFound\"}"])
        }
        const list = yield* to("GET", "/v1/backups", token)
        assert.notInclude(list.text, theirs)
      }
      const touched = yield* calls
      assert.isFalse(touched.some((call) => call.startsWith("a") ? call.includes(ofA) : call.includes(ofB)))
      for (const [guest, runId] of [[a, ofA], [b, ofB]] as const) {
        const { phase } = yield* guest.jobs.status(runId, -1, 0)
        assert.strictEqual(phase, "ready")
      }
    }))

  it.scopedLive("the same run id at two guests is two backups", () =>
    Effect.gen(function*() {
      const { to, tokenA, tokenB } = yield* setUp()
      const runId = yield* RunId.make
      yield* to("POST", "/v1/backups", tokenA, JSON.stringify({ runId }))
      yield* to("DELETE", `/v1/backups/${runId}`, tokenA)
      const other = yield* to("POST", "/v1/backups", tokenB, JSON.stringify({ runId }))
      assert.strictEqual(JSON.parse(other.text).phase === "failed", false)
    }))

  it.scopedLive("no word of a request chooses the guest", () =>
    Effect.gen(function*() {
      const { calls, server, to, tokenA } = yield* setUp()
      const tried = [
        yield* to("GET", "/v1/health?guest=b", tokenA),
        yield* to("GET", "/v1/health?guest=b&guest=b", tokenA),
        yield* ask({
          url: server.url("plain"),
          path: "/v1/health",
          token: tokenA,
          headers: { "x-guest": "b", "x-forwarded-for": "b", host: "b", forwarded: "for=b", cookie: "guest=b" }
        }),
        yield* ask({ socketPath: server.socketOf("a"), path: "/v1/health?guest=b", headers: { host: "b" } })
      ]
      for (const { text } of tried) assert.strictEqual(JSON.parse(text).guest, "a")
      const runId = yield* RunId.make
      yield* to("POST", "/v1/backups", tokenA, JSON.stringify({ runId, guest: "b", principal: { guest: "b" } }))
      assert.isFalse((yield* calls).some((call) => call.startsWith("b")))
    }))
})

describe("who is not known", () => {
  it.scopedLive("gets the same answer on every route, whatever is wrong, and reaches nothing", () =>
    Effect.gen(function*() {
      const { calls, server, to, tokenA = "", tokenB = "" } = yield* setUp()
      const runId = yield* RunId.make
      const secret = tokenA.split("~")[1] ?? ""
      const stranger = Redacted.value(yield* server.tokens.make("not-served"))
      const wrong = [
        undefined,
        "",
        "x",
        secret,
        `b~${secret}`,
        `${tokenA}x`,
        tokenA.slice(0, -1),
        stranger,
        `${tokenA},${tokenB}`
      ]
      const answers = yield* Effect.forEach(
        wrong,
        (token) => Effect.forEach(everyRoute(runId), ([method, path, body]) => to(method, path, token, body))
      )
      const schemes = ["Basic", "bearer?", "Token"]
      const others = yield* Effect.forEach(
        schemes,
        (scheme) =>
          ask({ url: server.url("plain"), path: "/v1/health", headers: { authorization: `${scheme} ${secret}` } })
      )
      const faces = new Set([...answers.flat(), ...others].map((answer) => JSON.stringify(face(answer))))
      assert.strictEqual(faces.size, 1, [...faces].join("\n"))
      const [only = ""] = faces
      assert.deepInclude(JSON.parse(only), { status: 401, text: "{\"_tag\":\"Unauthorized\"}" })
      assert.deepStrictEqual(yield* calls, [])
    }))

  it.scopedLive("is one whose token has been revoked or replaced, from the next request on", () =>
    Effect.gen(function*() {
      const { server, to, tokenA } = yield* setUp()
      const status = (token: string | undefined) => Effect.map(to("GET", "/v1/health", token), (one) => one.status)
      assert.strictEqual(yield* status(tokenA), 200)
      const second = Redacted.value(yield* server.tokens.make("a"))
      assert.deepStrictEqual([yield* status(tokenA), yield* status(second)], [200, 200])
      const third = Redacted.value(yield* server.tokens.make("a"))
      assert.deepStrictEqual(yield* Effect.forEach([tokenA, second, third], status), [401, 200, 200])
      yield* server.tokens.revoke("a")
      assert.deepStrictEqual(yield* Effect.forEach([tokenA, second, third], status), [401, 401, 401])
    }))

  it.scoped("is one whose token has expired", () =>
    Effect.gen(function*() {
      const { server } = yield* setUp()
      const token = yield* server.tokens.make("a", { expiresIn: Duration.hours(1) })
      const status = Effect.map(
        ask({ url: server.url("plain"), path: "/v1/health", token: Redacted.value(token) }),
        (answer) => answer.status
      )
      assert.strictEqual(yield* status, 200)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* status, 401)
    }))

  it.scopedLive("is one that brings a token of another guest to a socket, and is never that other one", () =>
    Effect.gen(function*() {
      const { server, tokenA, tokenB } = yield* setUp()
      const health = (token: string | undefined) => ask({ socketPath: server.socketOf("b"), path: "/v1/health", token })
      assert.strictEqual((yield* health(tokenA)).status, 401)
      assert.strictEqual((yield* health("nonsense")).status, 401)
      assert.strictEqual(JSON.parse((yield* health(tokenB)).text).guest, "b")
      assert.strictEqual(JSON.parse((yield* health(undefined)).text).guest, "b")
    }))

  it.scopedLive("is written down, but not without end, and keeps nobody else out", () =>
    Effect.gen(function*() {
      const { server, to, tokenA } = yield* setUp({ limits: { ...generous, failuresPerMinute: 20 } })
      const answers = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => n),
        (n) => to("GET", "/v1/health", `a~wrong${n}`)
      )
      const limited = answers.filter(({ status }) => status === 429)
      const looked = answers.filter(({ status }) => status === 401).length
      assert.isTrue(looked >= 20 && looked < 30 && limited.length === 100 - looked, String(looked))
      for (const { headers } of limited) assert.match(headers["retry-after"] ?? "", /^[1-9]\d*$/)
      assert.strictEqual((yield* to("GET", "/v1/health", tokenA)).status, 200, "from the same address")
      const lines = (yield* server.log).filter((line) => line.includes("authentication failed"))
      assert.isTrue(lines.length > 0 && lines.length <= 13, `${lines.length} lines`)
      assert.strictEqual(lines[0], "WARN authentication failed: from 127.0.0.1, as guest a")
    }))
})

describe("what nobody should send", () => {
  const runIdLike = FastCheck.oneof(
    FastCheck.string({ maxLength: 60 }),
    FastCheck.fullUnicodeString({ maxLength: 30 }),
    FastCheck.constantFrom(
      "..",
      "%2e%2e",
      "..%2f..%2fetc%2fpasswd",
      "%00",
      "%",
      "%zz",
      "__proto__",
      "constructor",
      "*",
      "0198c0de-0000-7000-8000-000000000000%0a",
      "0198C0DE-0000-7000-8000-000000000000",
      "0198c0de-0000-4000-8000-000000000000",
      "0198c0de-0000-7000-8000-000000000000//x",
      "0198c0de-0000-7000-8000-000000000000/../x",
      "$(id)",
      "-rf"
    )
  )

  const printable = (text: string) => /^[\x21-\x7e]*$/.test(text) && !/[?#]/.test(text)

  it.scopedLive("hostile run ids, on every route and in bodies, never reach the backups", () =>
    Effect.gen(function*() {
      const { calls, server, tokenA } = yield* setUp()
      const run = Effect.runPromise
      const agent = new Http.Agent({ keepAlive: true, maxSockets: 4 })
      const valid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
      const send = (method: string, path: string, body?: string) =>
        ask({ url: server.url("plain"), token: tokenA, agent, method, path, ...body === undefined ? {} : { body } })
      yield* Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(runIdLike, FastCheck.nat(4), async (text, n) => {
            const id = printable(text) ? text : encodeURIComponent(text)
            // with nothing but slashes it is the list
            if (valid.test(id) || /^\/*$/.test(id)) return
            const [method, path] = routes(id)[n] ?? ["GET", "/"]
            const answer = await run(send(method, path))
            assert.isTrue(answer.status >= 400 && answer.status < 500, `${method} ${path}: ${answer.status}`)
            const body = await run(send("POST", "/v1/backups", JSON.stringify({ runId: text })))
            assert.strictEqual(body.status, 400)
            assert.notInclude(body.text, "expected")
            assert.include(answer.status === 404 ? [notFound] : ["", unreadable], answer.text)
            assert.strictEqual(body.text, unreadable)
          }),
          { numRuns: 300 }
        )
      )
      agent.destroy()
      assert.deepStrictEqual(yield* calls, [])
    }))

  const notFound = "{\"_tag\":\"NotFound\"}"
  const unreadable = "{\"_tag\":\"HttpApiDecodeError\",\"issues\":[],\"message\":\"the request cannot be read\"}"

  it.scopedLive("bodies that are no request", () =>
    Effect.gen(function*() {
      const { calls, server, tokenA } = yield* setUp()
      const post = (body: string | Buffer, type = "application/json") =>
        ask({
          url: server.url("plain"),
          path: "/v1/backups",
          token: tokenA,
          method: "POST",
          body,
          headers: { "content-type": type }
        })
      const bodies = [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        "{}",
        "{\"runId\":1}",
        "{\"runId\":{\"toString\":\"x\"}}",
        "{\"__proto__\":{\"runId\":\"x\"}}",
        "[".repeat(4000),
        `${"{\"a\":".repeat(600)}1${"}".repeat(600)}`,
        Buffer.from([0xff, 0xfe, 0, 0])
      ]
      for (const body of bodies) {
        const answer = yield* post(body)
        assert.deepStrictEqual([answer.status, answer.text], [400, unreadable], String(body).slice(0, 40))
      }
      const runId = JSON.stringify({ runId: yield* RunId.make })
      const form = `--x\r\ncontent-disposition: form-data; name="runId"; filename="y"\r\n\r\nz\r\n--x--\r\n`
      assert.strictEqual((yield* post(form, "multipart/form-data; boundary=x")).status, 415)
      assert.strictEqual((yield* post("runId=x", "application/x-www-form-urlencoded")).status, 415)
      for (const type of ["text/plain", "application/jsonp", "text/html, application/json", ""]) {
        assert.strictEqual((yield* post(runId, type)).status, 415, type)
      }
      assert.strictEqual((yield* post(`${runId}${" ".repeat(5000)}`)).status, 413)
      assert.deepStrictEqual(yield* calls, [])
      assert.strictEqual((yield* post(runId, "application/json; charset=utf-8")).status, 200)
    }))

  it.scopedLive("other verbs, and bytes that are no HTTP", () =>
    Effect.gen(function*() {
      const { calls, server, tokenA } = yield* setUp()
      for (const method of ["PUT", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND"]) {
        const answer = yield* ask({ url: server.url("plain"), path: "/v1/backups", token: tokenA, method })
        assert.deepStrictEqual([answer.status, answer.headers.allow], [405, "GET, POST, DELETE"], method)
      }
      const port = portOf(server.url("plain"))
      const line = `authorization: Bearer ${tokenA}\r\nhost: x\r\n`
      const body = JSON.stringify({ runId: yield* RunId.make })
      const wrong = [
        "nonsense\r\n\r\n",
        `GET /v1/health HTTP/1.1\r\n${line}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`,
        `POST /v1/backups HTTP/1.1\r\n${line}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
        `POST /v1/backups HTTP/1.1\r\n${line}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n` +
        `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
        `GET /v1/health HTTP/1.1\r\n${line}x: a\nb\r\n bad: folded\r\n\r\n`,
        `GET /v1/health HTTP/1.1\r\n${line}content-length: 3\r\n\r\nabc`,
        "CONNECT example.org:80 HTTP/1.1\r\nhost: example.org:80\r\n\r\n",
        `GET /v1/health HTTP/1.1\r\nauthorization: Bearer ${tokenA}\r\n\r\n`,
        `GET /v1/health HTTP/1.1\r\n${line}x: ${"y".repeat(9000)}\r\n\r\n`,
        `GET /v1/health?${"y".repeat(9000)} HTTP/1.1\r\n${line}\r\n`
      ]
      for (const text of wrong) {
        const answer = yield* raw({ port }, [text])
        assert.match(answer.text, /^(HTTP\/1\.1 4\d\d |$)/, text.slice(0, 60))
      }
      assert.deepStrictEqual(yield* calls, [])
    }))

  it.scopedLive("a token is in no answer, log or file, and a name cannot write lines into the log", () =>
    Effect.gen(function*() {
      const { server, to, tokenA = "" } = yield* setUp()
      const secret = tokenA.split("~")[1] ?? ""
      const evil = "a%0aERROR%20forged\u001b[31m"
      const runId = yield* RunId.make
      const sent = [
        yield* to("POST", "/v1/backups", tokenA, JSON.stringify({ runId })),
        yield* to("POST", "/v1/backups", tokenA, JSON.stringify({ runId: secret })),
        yield* to("GET", `/v1/backups/${secret}`, tokenA),
        yield* to("GET", `/v1/backups/${encodeURIComponent(evil)}`, tokenA),
        yield* to("GET", `/v1/health?x=${secret}`, `${tokenA}x`),
        yield* to("GET", `/v1/health`, `b\tERROR~${secret}`),
        yield* to("DELETE", `/v1/backups/${runId}`, tokenA)
      ]
      const said = [...sent.map(({ headers, text }) => JSON.stringify(headers) + text), ...yield* server.log].join("\n")
      assert.notInclude(said, secret)
      assert.notInclude(said, "forged")
      assert.isFalse((yield* server.log).some((line) => /\p{Cc}/u.test(line)))
      const files = Fs.readdirSync(server.stateDir, { recursive: true, withFileTypes: true }).filter((one) =>
        one.isFile()
      )
      for (const file of files) {
        assert.notInclude(Fs.readFileSync(Path.join(file.parentPath, file.name), "utf8"), secret)
      }
    }))

  it.scopedLive(
    "ten thousand bad requests leave nothing behind: neither memory nor lines",
    () =>
      Effect.gen(function*() {
        const { calls, server, tokenA, to } = yield* setUp({ limits: { ...generous, failuresPerMinute: 30 } })
        const agent = new Http.Agent({ keepAlive: true, maxSockets: 16 })
        const { default: V8 } = yield* Effect.promise(() => import("node:v8"))
        const { runInNewContext } = yield* Effect.promise(() => import("node:vm"))
        V8.setFlagsFromString("--expose-gc")
        const gc: () => void = runInNewContext("gc")
        const heap = Effect.sync(() => {
          gc()
          return process.memoryUsage().heapUsed
        })
        const bad = (n: number) => {
          const token = n % 3 === 0 ? `a~${n}` : n % 3 === 1 ? `guest${n}~x` : tokenA
          const path = n % 3 === 2 ? `/v1/backups/${n}` : `/v1/x${n}`
          return ask({ url: server.url("plain"), path, token, agent, headers: { [`x-${n}`]: String(n) } })
        }
        const flood = (from: number, to: number) =>
          Effect.forEach(
            Array.from({ length: to - from }, (_, n) => from + n),
            (n) =>
              Effect.map(bad(n), ({ status }) => {
                assert.isTrue(status >= 400 && status < 500, String(status))
              }),
            { concurrency: 16, discard: true }
          )
        yield* flood(0, 2000)
        const before = yield* heap
        yield* flood(2000, 12_000)
        const grown = (yield* heap) - before
        agent.destroy()
        assert.isBelow(grown, 4_000_000)
        assert.isBelow((yield* server.log).length, 40)
        assert.deepStrictEqual(yield* calls, [])
        assert.strictEqual((yield* to("GET", "/v1/health", tokenA)).status, 200)
      }),
    120_000
  )
})
