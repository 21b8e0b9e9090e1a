/**
 * Bytes at the sockets of a real agent: whatever comes, it answers with HTTP or not at all, and then serves as before.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { ask, jobsOf, portOf, raw, serve } from "../support/agentServer.ts"
import { scriptedEngine } from "../support/engines.ts"
import { live } from "../support/live.ts"
import { changedText, noise } from "./mutate.ts"
import { random } from "./random.ts"
import { wanted } from "./targets/requests.ts"

const seed = Number(process.env["SEED"] ?? 1)

/** The bytes of input number `index`, as latin1: a request or two that are almost right, or noise. */
const bytesOf = (index: number): string => {
  const r = random(seed, index)
  if (r.chance(20)) return noise(r)
  const request = () => {
    const { body, headers, method, url } = wanted(r)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")
    return `${method} ${url} HTTP/1.1\r\nHost: a\r\n${lines}${r.chance(2) ? "Connection: close\r\n" : ""}\r\n${body}`
  }
  const one = request()
  const text = r.chance(2)
    ? changedText(r, one, [
      "\r\n",
      "\r\n\r\n",
      "HTTP/1.0",
      "HTTP/2.0",
      "Content-Length: 5\r\n",
      "Transfer-Encoding: chunked\r\n",
      "0\r\n\r\n",
      "Expect: 100-continue\r\n",
      "Upgrade: h2c\r\n"
    ])
    : one
  return r.chance(6) ? text + request() : text
}

/** This many, some of them side by side. */
export const sockets = (inputs: number) => {
  const count = Number(process.env["RUNS"] ?? inputs)
  live(`sockets of an agent: ${count} inputs`, [], () =>
    Effect.gen(function*() {
      const { engine } = yield* scriptedEngine({ end: {} })
      const agent = yield* serve({
        guests: new Map([["web", yield* jobsOf("web", engine)]]),
        ways: ["plain", "socket"],
        limits: {
          requestsPerMinute: 1e9,
          failuresPerMinute: 1e9,
          requestsAtOnce: 1e6,
          connectionsPerAddress: 1e6,
          connections: 1e6,
          headersTimeout: "1 second",
          requestTimeout: "2 seconds",
          idle: "500 millis"
        }
      })
      const port = portOf(agent.url("plain"))
      yield* Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) =>
        Effect.gen(function*() {
          const bytes = bytesOf(index)
          const to = index % 4 === 0 ? { port } : { path: agent.socketOf("web") }
          const { text } = yield* raw(to, [bytes]).pipe(
            Effect.timeoutFail({
              duration: "60 seconds",
              onTimeout: () => new Error(`SEED=${seed} input ${index}: the connection stays open`)
            })
          )
          assert.match(
            text,
            /^$|^HTTP\/1\.1 (?:[124]\d\d|505) /,
            `SEED=${seed} input ${index}: ${JSON.stringify(bytes)}`
          )
          if ("port" in to) assert.notInclude(text, "\"guest\":\"web\"")
        }), { concurrency: 64, discard: true })
      const answer = yield* ask({ socketPath: agent.socketOf("web"), path: "/v1/health" })
      assert.strictEqual(answer.status, 200)
      const log = yield* agent.log
      assert.deepStrictEqual(log.filter((line) => line.startsWith("ERROR")), [])
    }), 300_000)
}
