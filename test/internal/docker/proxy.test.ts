/**
 * The proxy of the lab does what it is told: else the tests with it would say nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Proxy from "../../lab/docker/proxy.ts"
import { tempDir } from "../../layers/fixtures/support.ts"

const list = "GET /containers/json"

/** A server behind a proxy, and a client that keeps its connection. */
const setUp = Effect.gen(function*() {
  const directory = yield* tempDir
  const [socketPath, at] = [Path.join(directory, "engine.sock"), Path.join(directory, "proxy.sock")]
  const heard: Array<string> = []
  const server = Http.createServer((request, response) => {
    heard.push(request.url ?? "")
    response.writeHead(200, { "content-type": "application/json" })
    request.on("data", (piece: Buffer) => response.write(piece))
    request.on("end", () => response.end(JSON.stringify({ url: request.url })))
  })
  server.on("upgrade", (_request, client: Net.Socket, head: Buffer) => {
    client.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    client.write(head)
    client.pipe(client)
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(socketPath, () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const proxy = yield* Proxy.make(socketPath, at)
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() => new Http.Agent({ keepAlive: true, maxSockets: 1 })),
    (agent) => Effect.sync(() => agent.destroy())
  )
  const ports = new Set<unknown>()
  const ask = (path: string, method = "GET", body = "") =>
    Effect.async<string, Error>((resume) => {
      const sent = Http.request({ socketPath: at, path, method, agent }, (answer) => {
        let text = `${answer.statusCode} `
        answer.on("error", (error) => resume(Effect.fail(error)))
        answer.on("data", (piece: Buffer) => text += piece.toString())
        answer.on("end", () => resume(Effect.succeed(text)))
      })
      sent.on("socket", (socket) => ports.add(socket))
      sent.on("error", (error) => resume(Effect.fail(error)))
      sent.end(body)
      return Effect.sync(() => sent.destroy())
    })
  return { ask, at, connections: () => ports.size, heard, proxy }
})

const answerTo = (url: string) => `200 ${JSON.stringify({ url })}`

it("names routes without version, query and ids", () => {
  const routes: ReadonlyArray<readonly [url: string, route: string]> = [
    ["/_ping", "/_ping"],
    ["/v1.41/version", "/version"],
    ["/v1.41/containers/json?all=true&filters=%7B%7D", "/containers/json"],
    ["/v1.41/containers/0123abc/json", "/containers/{id}/json"],
    ["/containers/a%2Fb/stop?t=3", "/containers/{id}/stop"],
    ["/v1.47/exec/0123/start", "/exec/{id}/start"],
    ["/v1.47/containers/create?name=x", "/containers/create"]
  ]
  for (const [url, route] of routes) assert.strictEqual(Proxy.routeOf(url), route)
})

describe("the proxy", () => {
  it.scopedLive("passes on what comes, on connections that are kept, and writes it down", () =>
    Effect.gen(function*() {
      const { ask, connections, heard, proxy } = yield* setUp
      for (let round = 0; round < 3; round++) {
        assert.strictEqual(yield* ask("/v1.41/containers/json?all=1"), answerTo("/v1.41/containers/json?all=1"))
      }
      assert.strictEqual(
        yield* ask("/exec/1/start", "POST", "a body"),
        `200 a body${JSON.stringify({ url: "/exec/1/start" })}`
      )
      assert.strictEqual(connections(), 1)
      assert.strictEqual(heard.length, 4)
      assert.deepStrictEqual(proxy.asked(), [list, list, list, "POST /exec/{id}/start"])
      yield* proxy.forget
      assert.deepStrictEqual(proxy.asked(), [])
    }))

  it.scopedLive("passes on a connection that becomes a stream", () =>
    Effect.gen(function*() {
      const { at } = yield* setUp
      const text = yield* Effect.async<string>((resume) => {
        let text = ""
        const socket = Net.connect(at, () => {
          socket.write("POST /v1.41/exec/1/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        })
        socket.on("data", (piece: Buffer) => {
          text += piece.toString()
          if (text.endsWith("\r\n\r\n")) socket.write("and back")
          if (!text.endsWith("and back")) return
          socket.destroy()
          resume(Effect.succeed(text))
        })
      })
      assert.match(text, /^HTTP\/1\.1 101 UPGRADED\r\n.*\r\n\r\nand back$/s)
    }))

  const faults: ReadonlyArray<readonly [name: string, fault: Proxy.Fault, result: RegExp, heard: number]> = [
    ["answers an error", { _tag: "Status", status: 500 }, /^500 \{"message":"the proxy says so"\}$/, 0],
    ["answers what is no HTTP", { _tag: "Garbage" }, /^Parse Error/, 0],
    ["answers the half", { _tag: "Truncated" }, /^200 \{"url":"\/cont$/, 1],
    ["cuts the connection before", { _tag: "Close" }, /^socket hang up/, 0],
    ["cuts the connection after", { _tag: "LoseAnswer" }, /^socket hang up/, 1],
    ["never answers", { _tag: "Silent" }, /^nothing/, 0],
    ["answers late", { _tag: "Delay", millis: 300 }, /^nothing/, 0]
  ]
  for (const [name, fault, result, expected] of faults) {
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        const { ask, heard, proxy } = yield* setUp
        yield* proxy.misbehave({ on: list }, fault)
        const answer = yield* Effect.either(
          ask("/containers/json").pipe(
            Effect.timeoutTo({ duration: "200 millis", onSuccess: (text) => text, onTimeout: () => "nothing" })
          )
        )
        assert.match(Either.isRight(answer) ? answer.right : answer.left.message, result)
        assert.strictEqual(heard.length, expected)
        assert.strictEqual(proxy.met(), 1)
        yield* proxy.behave
        assert.strictEqual(yield* ask("/containers/json"), answerTo("/containers/json"))
      }))
  }

  it.scopedLive("delays", () =>
    Effect.gen(function*() {
      const { ask, proxy } = yield* setUp
      yield* proxy.misbehave({ on: list }, { _tag: "Delay", millis: 100 })
      const began = performance.now()
      assert.strictEqual(yield* ask("/containers/json"), answerTo("/containers/json"))
      assert.isAtLeast(performance.now() - began, 99)
    }))

  it.scopedLive("misbehaves only when it is told to", () =>
    Effect.gen(function*() {
      const { ask, proxy } = yield* setUp
      const statuses = (count: number) =>
        Effect.map(
          Effect.all(Array.from({ length: count }, () => ask("/containers/json"))),
          (answers) => answers.map((text) => text.slice(0, 3)).join(" ")
        )
      const fault = { _tag: "Status", status: 500 } as const
      yield* proxy.misbehave({ on: /^GET \/containers/, from: 2, times: 2 }, fault)
      assert.strictEqual(yield* statuses(5), "200 500 500 200 200")
      assert.strictEqual(yield* ask("/_ping"), answerTo("/_ping"))
      yield* proxy.behave
      yield* proxy.misbehave({ on: list, forMillis: 100 }, fault)
      assert.strictEqual(yield* statuses(1), "500")
      yield* Effect.sleep("110 millis")
      assert.strictEqual(yield* statuses(1), "200")
    }))

  it.scopedLive("is cut where the engine is not there, and can be at a port", () =>
    Effect.gen(function*() {
      const proxy = yield* Proxy.make("/nowhere.sock")
      const port = Number(/^tcp:\/\/127\.0\.0\.1:(\d+)$/.exec(proxy.host)?.[1])
      const error = yield* Effect.flip(Effect.async<void, Error>((resume) => {
        Http.get({ port, host: "127.0.0.1", path: "/_ping", agent: false }, () => resume(Effect.void))
          .on("error", (error) => resume(Effect.fail(error)))
      }))
      assert.strictEqual(error.message, "socket hang up")
    }))
})
