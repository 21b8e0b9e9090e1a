import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted, Ref } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import * as Certificate from "../../src/internal/agent/certificate.ts"
import * as AgentClientHttp from "../../src/layers/AgentClientHttp.ts"
import { AgentClient, type AgentError } from "../../src/services/AgentClient.ts"
import { jobsOf, serve } from "../support/agentServer.ts"
import { faultyAgent } from "../support/faultyAgent.ts"
import { live } from "../support/live.ts"
import { stepStorage } from "../support/stepEngine.ts"
import { tempDir } from "./fixtures/support.ts"

const clientOf = (options: AgentClientHttp.AgentClientHttpOptions) =>
  Effect.flatMap(Layer.build(AgentClientHttp.layer(options)), (context) => Effect.provide(AgentClient, context))

/** A server that answers as it is told, and the requests that it has seen. */
const answering = (
  respond: (request: Http.IncomingMessage, response: Http.ServerResponse, n: number) => void,
  tls?: { readonly cert: string; readonly key: string }
) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly seen: Array<string>; readonly server: Http.Server | Https.Server }>(
      (resume) => {
        const seen: Array<string> = []
        const handle = (request: Http.IncomingMessage, response: Http.ServerResponse) => {
          seen.push(`${request.method} ${request.url} ${request.headers.authorization ?? ""}`)
          respond(request, response, seen.length - 1)
        }
        const server = tls === undefined ? Http.createServer(handle) : Https.createServer(tls, handle)
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`, seen, server }))
        })
      }
    ),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

const json = (response: Http.ServerResponse, status: number, body: unknown, headers: Http.OutgoingHttpHeaders = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

const health = { version: "test", guest: "web1", offer: { notes: [] } }

const secret = `web1~${"s".repeat(43)}`
const token = Redacted.make(secret)

describe("AgentClientHttp", () => {
  live(
    "tells which certificate it found, and which it wanted, before it sends a byte",
    ["openssl"],
    () =>
      Effect.gen(function*() {
        const own = yield* Certificate.own({ stateDir: Path.join(yield* tempDir, "state") })
        const other = yield* Certificate.own({ stateDir: Path.join(yield* tempDir, "state") })
        const { seen, url } = yield* answering((_, response) => json(response, 200, health), own)
        const client = yield* clientOf({ url, token, fingerprint: other.fingerprint })
        const runId = yield* RunId.make
        for (
          const call of [client.preflight, client.request(runId), client.status(runId, -1), client.quiesced(runId)]
        ) {
          const error = yield* Effect.flip(
            call as Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>
          )
          assert.strictEqual(error._tag, "AgentRefused")
          assert.include(error.message, own.fingerprint)
          assert.include(error.message, other.fingerprint)
        }
        assert.deepStrictEqual(seen, [])
        const right = yield* clientOf({ url, token, fingerprint: own.fingerprint.toLowerCase() })
        assert.deepStrictEqual(yield* right.preflight, { notes: [] })
        assert.deepStrictEqual(seen, [`GET /v1/health Bearer ${secret}`])
      })
  )

  live(
    "wants a certificate that an authority vouches for, where no fingerprint is given",
    ["openssl"],
    () =>
      Effect.gen(function*() {
        const own = yield* Certificate.own({ stateDir: Path.join(yield* tempDir, "state") })
        const { seen, url } = yield* answering((_, response) => json(response, 200, health), own)
        const named = url.replace("127.0.0.1", "localhost")
        const error = yield* Effect.flip((yield* clientOf({ url: named, token })).preflight)
        assert.strictEqual(error._tag, "AgentRefused")
        assert.include(error.message, "fingerprint")
        assert.deepStrictEqual(seen, [])
        assert.deepStrictEqual(yield* (yield* clientOf({ url: named, token, ca: own.cert })).preflight, { notes: [] })
        const elsewhere = yield* Effect.flip((yield* clientOf({ url, token, ca: own.cert })).preflight)
        assert.strictEqual(elsewhere._tag, "AgentRefused", "a certificate of another name")
      })
  )

  it.scopedLive("says by every call what is wrong with its options, and sends nothing", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* answering((_, response) => json(response, 200, health))
      const wrong: ReadonlyArray<AgentClientHttp.AgentClientHttpOptions> = [
        { url: "http://192.0.2.1:8443", token },
        { url: "http://127.0.0.1.example.org", token },
        { url: "ftp://127.0.0.1", token },
        { url: "nonsense", token },
        { url, token, fingerprint: "AA:BB" },
        { url, token: Redacted.make("two words") },
        { url, token: Redacted.make("line\nfeed") },
        { url, token: Redacted.make("") }
      ]
      for (const options of wrong) {
        const client = yield* clientOf(options)
        assert.strictEqual((yield* Effect.flip(client.preflight))._tag, "AgentRefused", JSON.stringify(options))
        assert.strictEqual((yield* Effect.flip(client.asked))._tag, "AgentRefused")
        assert.deepStrictEqual(yield* client.sweep, [])
      }
      assert.deepStrictEqual(seen, [])
    }))

  it.scopedLive("waits as it is told when it asks too much, but not for ever", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* answering((_, response, n) =>
        n === 0 ? json(response, 429, {}, { "retry-after": "1" }) : json(response, 200, health)
      )
      const client = yield* clientOf({ url, token })
      const [took] = yield* Effect.timed(client.preflight)
      assert.isTrue(Duration.toMillis(took) >= 990 && Duration.toMillis(took) < 2000, Duration.format(took))
      assert.strictEqual(seen.length, 2)
      const busy = yield* answering((_, response) => json(response, 429, {}, { "retry-after": "3600" }))
      const error = yield* Effect.flip((yield* clientOf({ url: busy.url, token })).preflight)
      assert.strictEqual(error._tag, "AgentUnavailable")
      assert.strictEqual(busy.seen.length, 1)
      const never = yield* answering((_, response) => json(response, 503, {}, { "retry-after": "1" }))
      const hung = yield* clientOf({ url: never.url, token, statusWait: 0 })
      const runId = yield* RunId.make
      const fiber = yield* Effect.fork(Effect.flip(hung.request(runId)))
      const [limit, last] = yield* Effect.timed(Fiber.join(fiber))
      assert.strictEqual(last._tag, "AgentUnavailable")
      assert.isBelow(Duration.toMillis(limit), 11_000)
    }))

  it.scopedLive("is answered in the end by an agent that it asks too much", () =>
    Effect.gen(function*() {
      const { engine } = yield* stepStorage
      const jobs = yield* jobsOf("web1", engine)
      const server = yield* serve({
        guests: new Map([["web1", jobs]]),
        ways: ["socket"],
        limits: { requestsPerMinute: 60 }
      })
      const client = yield* clientOf({ socketPath: server.socketOf("web1") })
      const calls = Effect.forEach(Array.from({ length: 62 }), () => client.preflight, { discard: true })
      const [took] = yield* Effect.timed(calls)
      assert.isAbove(Duration.toMillis(took), 900)
    }))

  it.scopedLive("a question that an agent never answers has an end", () =>
    Effect.gen(function*() {
      const { url } = yield* answering(() => undefined)
      const client = yield* clientOf({ url, token, statusWait: "100 millis" })
      const runId = yield* RunId.make
      const calls = [client.request(runId), client.quiesced(runId), client.status(runId, 0)]
      const ends = yield* Effect.forEach(calls, (call) => Effect.timed(Effect.flip(call)), { concurrency: 3 })
      for (const [took, error] of ends) {
        assert.strictEqual(error._tag, "AgentUnavailable")
        assert.isBelow(Duration.toMillis(took), 11_000)
      }
    }))

  it.scopedLive(
    "says what an answer means, by its status alone where it is none of an agent",
    () =>
      Effect.gen(function*() {
        const page = "<html><body>hello</body></html>"
        const cases: ReadonlyArray<readonly [status: number, type: string, body: string, tag: string]> = [
          [401, "text/html", page, "AgentRefused"],
          [403, "text/html", page, "AgentRefused"],
          [404, "application/json", "{\"_tag\":\"NotFound\"}", "BackupUnknown"],
          [404, "text/html", page, "AgentAnswerInvalid"],
          [404, "application/json", "{}", "AgentAnswerInvalid"],
          [409, "application/json", "{\"_tag\":\"Busy\",\"reason\":\"x\"}", "AgentBusy"],
          [409, "application/json", "{\"_tag\":\"Refused\",\"reason\":\"x\"}", "AgentRefused"],
          [409, "application/json", "{\"_tag\":\"Other\"}", "AgentAnswerInvalid"],
          [400, "application/json", "{\"_tag\":\"HttpApiDecodeError\",\"issues\":[],\"message\":\"\"}", "AgentRefused"],
          [408, "text/html", page, "AgentUnavailable"],
          [500, "application/json", "{}", "AgentUnavailable"],
          [599, "text/html", page, "AgentUnavailable"],
          [200, "text/html", page, "AgentAnswerInvalid"],
          [200, "application/json", page, "AgentAnswerInvalid"],
          [200, "application/json", "null", "AgentAnswerInvalid"],
          [201, "application/json", "{}", "AgentAnswerInvalid"],
          [204, "application/json", "", "AgentAnswerInvalid"],
          [301, "text/html", page, "AgentAnswerInvalid"],
          [418, "text/html", page, "AgentAnswerInvalid"]
        ]
        const runId = yield* RunId.make
        for (const [status, type, body, tag] of cases) {
          const { url } = yield* answering((_, response) => {
            response.writeHead(status, { "content-type": type })
            response.end(status === 204 ? undefined : body)
          })
          const client = yield* clientOf({ url, token, statusWait: 0 })
          const error = yield* Effect.flip(status === 404 ? client.status(runId, 0) : client.request(runId))
          assert.strictEqual(error._tag, tag, `${status} ${type} ${body}: ${error.message}`)
          // 404 and 409 mean nothing here
          if (status === 404 || status === 409) {
            assert.strictEqual(
              (yield* Effect.flip(client.preflight))._tag,
              body.includes("Refused") ? tag : "AgentAnswerInvalid"
            )
          }
        }
      }),
    60_000
  )

  it.scopedLive("takes no status of another run, of another type, or of any size", () =>
    Effect.gen(function*() {
      const runId = yield* RunId.make
      const good = { runId, revision: 3, phase: "snapshotted" }
      const cases: ReadonlyArray<readonly [type: string, body: object, says: string]> = [
        ["application/json", { ...good, runId: yield* RunId.make }, "it is about run"],
        ["text/plain", good, "not JSON"],
        ["application/jsonp", good, "not JSON"],
        ["application/json", { ...good, more: "x".repeat(70_000) }, "too large"]
      ]
      for (const [type, body, says] of cases) {
        const { url } = yield* answering((_, response) => {
          response.writeHead(200, { "content-type": type })
          response.end(JSON.stringify(body))
        })
        const client = yield* clientOf({ url, token, statusWait: 0 })
        for (
          const call of [client.request(runId), client.quiesced(runId), client.status(runId, 0), client.cancel(runId)]
        ) {
          const error = yield* Effect.flip(call as Effect.Effect<unknown, AgentError>)
          assert.strictEqual(error._tag, "AgentAnswerInvalid", says)
          assert.include(error.message, says)
        }
      }
    }))

  it.scopedLive("a phase that it does not know is passed on as it is", () =>
    Effect.gen(function*() {
      const runId = yield* RunId.make
      const { url } = yield* answering((_, response) =>
        json(response, 200, { runId, revision: 3, phase: "rewinding", more: { from: "the future" } })
      )
      const client = yield* clientOf({ url, token })
      assert.deepStrictEqual(yield* client.status(runId, 1), { runId, revision: 3, phase: "rewinding" })
    }))

  it.scopedLive("its token is in no error, and in nothing that an agent can put into a report", () =>
    Effect.gen(function*() {
      const runId = yield* RunId.make
      const evil = [
        { runId, revision: 1, phase: "failed", error: `the token is ${secret}`, artifact: `/backup/${secret}` },
        { runId: secret, revision: 1, phase: "failed" },
        { _tag: "Busy", reason: `\u001b[2J${secret}` },
        { _tag: "Refused", reason: secret }
      ]
      for (const [n, body] of evil.entries()) {
        const { url } = yield* answering((_, response) => json(response, n < 2 ? 200 : 409, body))
        const client = yield* clientOf({ url, token })
        const said = yield* Effect.either(client.request(runId))
        const text = JSON.stringify(said) + String(said._tag === "Left" ? said.left.message : "")
        assert.notInclude(text, secret, text)
        assert.notInclude(said._tag === "Left" ? said.left.message : "", "\u001b")
      }
      const { url } = yield* answering((_, response) =>
        json(response, 200, { ...health, offer: { notes: [`hello ${secret}`] } })
      )
      assert.deepStrictEqual((yield* (yield* clientOf({ url, token })).preflight).notes, ["hello <redacted>"])
    }))

  it.scopedLive("a cancel that takes long is waited for", () =>
    Effect.gen(function*() {
      const runId = yield* RunId.make
      const { seen, url } = yield* answering((request, response, n) =>
        json(response, request.method === "DELETE" ? 202 : 200, {
          runId,
          revision: n,
          phase: n < 3 ? "running" : "failed"
        })
      )
      const client = yield* clientOf({ url, token, statusWait: "200 millis" })
      yield* client.cancel(runId)
      assert.strictEqual(seen.length, 4)
      assert.include(seen[1], "after=0")
    }))

  it.scopedLive("asks for a run of the host until there is one, at a pace of its own where the agent has none", () =>
    Effect.gen(function*() {
      const runId = yield* RunId.make
      const { seen, url } = yield* answering((_, response, n) =>
        json(response, 200, { requests: n < 2 ? [] : [{ runId }] })
      )
      const client = yield* clientOf({ url, token })
      const [took, asked] = yield* Effect.timed(client.asked)
      assert.strictEqual(asked, runId)
      assert.strictEqual(seen.length, 3)
      assert.isAbove(Duration.toMillis(took), 1900)
      assert.include(seen[0], "/v1/requests?wait=30s")
    }))

  it.scopedLive("hears at once of a run that the host has begun", () =>
    Effect.gen(function*() {
      const { engine } = yield* stepStorage
      const jobs = yield* jobsOf("web1", engine)
      const server = yield* serve({ guests: new Map([["web1", jobs]]), ways: ["socket"] })
      const client = yield* clientOf({ socketPath: server.socketOf("web1") })
      const asked = yield* Effect.fork(client.asked)
      yield* Effect.sleep("200 millis")
      const hosted = yield* Effect.fork(jobs.hosted("UPID", "10 seconds"))
      const [took, runId] = yield* Effect.timed(Fiber.join(asked))
      assert.isBelow(Duration.toMillis(took), 500)
      yield* client.request(runId)
      yield* client.quiesced(runId)
      assert.deepStrictEqual(yield* Fiber.join(hosted), { quiet: true, runId })
    }))

  it.scopedLive("survives a restart of its agent: the first question after it is asked again", () =>
    Effect.gen(function*() {
      const { engine } = yield* stepStorage
      const jobs = yield* jobsOf("web1", engine)
      const server = yield* serve({ guests: new Map([["web1", jobs]]), ways: ["socket"] })
      const dead = yield* Ref.make(false)
      const between = yield* faultyAgent(server.socketOf("web1"), (_, n) => n === 1 ? "reset" : undefined)
      const client = yield* clientOf({ url: between.url })
      yield* client.preflight
      yield* Ref.set(dead, true)
      assert.deepStrictEqual((yield* client.preflight).snapshotter, "steps")
      assert.strictEqual(between.calls.get("preflight"), 3)
    }))

  it.scopedLive("says what is wrong where nobody listens", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* tempDir, "none.sock")
      const error = yield* Effect.flip((yield* clientOf({ socketPath: path })).preflight)
      assert.strictEqual(error._tag, "AgentUnavailable")
      assert.include(error.message, "no such socket")
      const { server, url } = yield* answering(() => undefined)
      yield* Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
      const refused = yield* Effect.flip((yield* clientOf({ url })).preflight)
      assert.strictEqual(refused._tag, "AgentUnavailable")
      assert.include(refused.message, "nothing listens there")
    }))
})
