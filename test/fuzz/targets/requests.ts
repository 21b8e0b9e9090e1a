/**
 * Requests to an agent: through the gate and the whole application, without a socket.
 */
import { toWebHandler } from "@effect/platform/HttpApp"
import { Deferred, Effect, Either, Exit, Logger, Scope } from "effect"
import * as Admission from "../../../src/internal/agent/admission.ts"
import * as Api from "../../../src/internal/agent/api.ts"
import * as Audit from "../../../src/internal/agent/audit.ts"
import { refusalOf } from "../../../src/internal/http/server.ts"
import * as TokenStoreFile from "../../../src/layers/TokenStoreFile.ts"
import { TokenStore } from "../../../src/services/TokenStore.ts"
import { jobsOf } from "../../support/agentServer.ts"
import { scriptedEngine } from "../../support/engines.ts"
import * as assert from "../assert.ts"
import type { Prepared } from "../fuzz.ts"
import { almostJson, almostText, text } from "../mutate.ts"
import type { Random } from "../random.ts"

const runId = "01900000-0000-7000-8000-000000000001"

export interface Wanted {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const methods = ["GET", "GET", "GET", "POST", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH"] as const

const urls = [
  "/v1/health",
  "/v1/backups",
  `/v1/backups/${runId}`,
  `/v1/backups/${runId}?after=3&wait=0s`,
  `/v1/backups/${runId}/quiesced`,
  `/v1/backups/${runId}/prepare`,
  "/v1/requests?wait=0s",
  "/v1/openapi.json",
  "/v1/backups/../../etc/passwd",
  "/",
  "//",
  "/v1/backups/%00"
] as const

/** Nothing here may wait: the clock is the real one. */
const url = almostText(urls, [
  "/",
  "//",
  "..",
  "?",
  "&after=",
  "%2f",
  "%00",
  ";",
  "#",
  "/v1",
  "after=-1",
  "after=1e9",
  "\u00e9"
])

const body = almostJson([{ runId }, { runId, guest: "db" }, { runId: "x" }, [runId], null])

export const wanted = (r: Random): Wanted => {
  const said = body(r)
  return {
    method: r.pick(methods),
    url: url(r).replaceAll(/wait=[1-9]/g, "wait=0"),
    headers: {
      ...r.chance(3)
        ? {}
        : {
          authorization: r.pick([
            "Bearer web~wrong",
            "Bearer ",
            "Basic x",
            "Bearer db~x",
            `Bearer ${"a".repeat(3_000)}`
          ])
        },
      ...r.chance(8) ? { [`x-${r.int(9)}`]: text(r).replaceAll(/[^\x20-\x7e]/g, "") } : {},
      "content-type": r.chance(5) ? "text/plain" : "application/json",
      ...r.chance(9) ? { "transfer-encoding": "chunked" } : {},
      "content-length": r.chance(9) ? r.pick(["-1", "1e9", "4097", "x", ""]) : String(Buffer.byteLength(said))
    },
    body: said
  }
}

/** What the agent may answer, ever. */
const known = new Set([200, 202, 204, 400, 401, 404, 405, 409, 411, 413, 415, 429])

const requests: Prepared = async () => {
  const scope = await Effect.runPromise(Scope.make())
  const logged: Array<string> = []
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => void (logLevel.label === "ERROR" && logged.push(String(message))))
  )
  const handler = await Effect.runPromise(
    Effect.gen(function*() {
      const { engine } = yield* scriptedEngine({ end: {} })
      const jobs = yield* jobsOf("web", engine)
      const guests = new Map([["web", jobs]])
      const audit = yield* Audit.make
      const authentication = yield* Admission.make({
        guests: new Set(guests.keys()),
        tokens: yield* TokenStore,
        audit,
        requestsPerMinute: 1e9,
        requestsAtOnce: 1e6,
        failuresPerMinute: 1e9
      })
      const app = yield* Api.make({
        guests,
        authentication,
        audit,
        version: "1",
        stopping: yield* Deferred.make<void>()
      })
      return {
        socket: toWebHandler(
          app.pipe(Effect.provideService(Admission.Channel, { guest: "web" }), Effect.provide(logger))
        ),
        port: toWebHandler(Effect.provide(app, logger))
      }
    }).pipe(
      Effect.provide(TokenStoreFile.layer({ stateDir: "/nonexistent/state" })),
      Effect.provide(logger),
      Scope.extend(scope)
    )
  )
  let served = 0
  return {
    make: (r: Random) => ({ ...wanted(r), viaPort: r.chance(4) }),
    check: async ({ body, headers, method, url, viaPort }: Wanted & { readonly viaPort: boolean }) => {
      const refusal = refusalOf({ method, url, headers }, { body: 4096 })
      if (refusal !== undefined) {
        assert.isTrue(known.has(refusal))
        return
      }
      const { "content-length": length, "transfer-encoding": chunked, ...rest } = headers
      assert.isTrue(chunked === undefined && !(Number(length) > 4096))
      const hasBody = method === "POST" && Number(length) > 0
      // the request of the web makes a path of `..`, which the one of Node does not
      const request = new Request(`http://agent${url}`, { method, headers: rest, ...hasBody ? { body } : {} })
      const response = await (viaPort ? handler.port : handler.socket)(request)
      const said = await response.text()
      served++
      assert.isTrue(known.has(response.status), `status ${response.status}: ${said}`)
      assert.isTrue(logged.length === 0, `it failed within: ${logged[0]}`)
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      if (viaPort) {
        assert.isTrue(
          response.status === 401 || response.status === 404 || url.startsWith("/v1/openapi"),
          `let in with ${response.status}`
        )
      }
      assert.isFalse(/\bdb\b/.test(said), "it says a word of what was asked")
      if (response.status === 400) assert.include(said, "the request cannot be read")
      const parsed = Either.try(() => said === "" ? null : JSON.parse(said) as unknown)
      assert.isTrue(Either.isRight(parsed), "an answer that is no JSON")
    },
    close: async () => {
      assert.isTrue(served > 0, "no request came through the gate")
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}

export const http: Readonly<Record<string, Prepared>> = { "requests to an agent": requests }
