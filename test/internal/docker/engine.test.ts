import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Engine from "../../../src/internal/docker/engine.ts"
import * as Transport from "../../../src/internal/docker/transport.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { idOf } from "./fixtures.ts"

const id = idOf("web")

/** What the server answers: a status and a body, which goes as JSON where it is no text. */
interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

type Script = (route: string, body: string, request: Http.IncomingMessage, response: Http.ServerResponse) =>
  | Reply
  | undefined

const clientOf = (socketPath: string) => {
  const endpoint = { _tag: "Unix", host: `unix://${socketPath}`, origin: "http://docker", socketPath } as const
  return Effect.flatMap(Transport.make(endpoint), (http) => Engine.make(http, endpoint))
}

/** A server on a socket of its own. All of its connections are cut at the end. */
const listening = Effect.fnUntraced(function*(server: Net.Server) {
  const socketPath = Path.join(yield* tempDir, "d.sock")
  const sockets = new Set<Net.Socket>()
  server.on("connection", (socket: Net.Socket) => sockets.add(socket))
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(socketPath, () => resume(Effect.void))),
    () =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )
  return yield* clientOf(socketPath)
})

const negotiated = "/v1.41"

/** An engine of API version 1.41, whose other answers are those of the script. */
const engine = Effect.fnUntraced(function*(script: Script) {
  const asked: Array<string> = []
  const server = Http.createServer((request, response) => {
    const pieces: Array<Buffer> = []
    request.on("data", (piece: Buffer) => pieces.push(piece))
    request.on("end", () => {
      const route = `${request.method} ${request.url}`
      asked.push(route)
      const reply = script(route, Buffer.concat(pieces).toString(), request, response) ??
        (response.headersSent || response.writableEnded || response.destroyed
          ? undefined
          : route === "GET /_ping"
          ? { headers: { "Api-Version": "1.41" }, body: "OK" }
          : undefined)
      if (reply === undefined) return
      const { body = "", headers = {}, status = 200 } = reply
      response.writeHead(status, headers)
      response.end(typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body))
    })
  })
  return { engine: yield* listening(server), asked }
})

/** One that answers all connections with these bytes, and closes them. */
const raw = (bytes: string | Buffer) =>
  listening(Net.createServer((socket) => {
    socket.on("error", () => {})
    if (bytes.length === 0) return void socket.destroy()
    socket.once("data", () => socket.end(bytes))
  }))

const inspected = {
  Id: id,
  Name: "/web",
  State: { Status: "running" },
  Config: { Labels: { a: "b" }, Later: { x: 1 } },
  HostConfig: {},
  Later: []
}

const frame = (stream: number, payload: string | Buffer) => {
  const content = Buffer.from(payload)
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(content.length, 4)
  return Buffer.concat([header, content])
}

const shortly = Effect.timeoutFail({ duration: "3 seconds", onTimeout: () => new Error("it hangs") })

describe("the version of the API", () => {
  const versions: ReadonlyArray<readonly [offered: string, agreed: string]> = [
    ["1.24", "v1.24"],
    ["1.41", "v1.41"],
    ["1.47", "v1.47"],
    ["1.48", "v1.47"],
    ["1.52", "v1.47"],
    ["1.99", "v1.47"],
    ["1.100", "v1.47"],
    ["2.0", "v1.47"]
  ]
  for (const [offered, agreed] of versions) {
    it.scopedLive(`is ${agreed} where the engine speaks ${offered}`, () =>
      Effect.gen(function*() {
        const { asked, engine: docker } = yield* engine((route) =>
          route === "GET /_ping" ? { headers: { "Api-Version": offered }, body: "OK" } : { body: [] }
        )
        yield* docker.list({})
        yield* docker.list({ all: true })
        assert.deepStrictEqual(asked, [
          "GET /_ping",
          `GET /${agreed}/containers/json?all=false`,
          `GET /${agreed}/containers/json?all=true`
        ])
      }))
  }

  for (const header of [undefined, "", "latest", "1"]) {
    it.scopedLive(`is asked for where _ping says ${JSON.stringify(header)}`, () =>
      Effect.gen(function*() {
        const version = { Version: "4.3.1", ApiVersion: "1.40", Components: [{ Name: "Podman Engine" }] }
        const { asked, engine: docker } = yield* engine((route) =>
          route === "GET /_ping"
            ? { headers: header === undefined ? {} : { "Api-Version": header }, body: "OK" }
            : { body: route === "GET /version" ? version : [] }
        )
        yield* docker.list({})
        assert.deepStrictEqual(asked, ["GET /_ping", "GET /version", "GET /v1.40/containers/json?all=false"])
        assert.strictEqual(yield* docker.describe, "Podman 4.3.1 (API 1.40)")
      }))
  }

  it.scopedLive("is no version where nobody says one", () =>
    Effect.gen(function*() {
      const { engine: docker } = yield* engine((route) =>
        route === "GET /_ping" ? { body: "OK" } : { body: { Version: "1", ApiVersion: "new" } }
      )
      const error = yield* Effect.flip(docker.list({}))
      assert.strictEqual(
        error.message,
        `the answer of ${docker.host} to GET /_ping is not that of a Docker engine: it names no API version`
      )
    }))

  it.scopedLive("is found again when the engine has been replaced", () =>
    Effect.gen(function*() {
      let offered = "1.41"
      const { asked, engine: docker } = yield* engine((route) =>
        route === "GET /_ping"
          ? { headers: { "Api-Version": offered }, body: "OK" }
          : route.includes(`/v${offered}/`)
          ? { status: route.startsWith("POST") ? 204 : 200, body: route.startsWith("POST") ? "" : inspected }
          : { status: 400, body: { message: "client version 1.41 is too old. Minimum supported API version is 1.44" } }
      )
      yield* docker.inspect(id)
      offered = "1.45"
      assert.isTrue(yield* docker.start(id, "1 second"))
      yield* docker.inspect(id)
      assert.deepStrictEqual(asked, [
        "GET /_ping",
        `GET /v1.41/containers/${id}/json`,
        `POST /v1.41/containers/${id}/start`,
        "GET /_ping",
        `POST /v1.45/containers/${id}/start`,
        `GET /v1.45/containers/${id}/json`
      ])
    }))

  it.scopedLive("is not asked for again and again", () =>
    Effect.gen(function*() {
      const { asked, engine: docker } = yield* engine((route) =>
        route === "GET /_ping" ? undefined : { status: 400, body: { message: "client version 1.41 is too new" } }
      )
      assert.strictEqual((yield* Effect.flip(docker.inspect(id)))._tag, "EngineRefused")
      assert.strictEqual(asked.length, 4)
    }))
})

describe("requests", () => {
  it.scopedLive("are those of the API, and no others", () =>
    Effect.gen(function*() {
      const { asked, engine: docker } = yield* engine((route) =>
        route === "GET /_ping" ? undefined : route.startsWith("GET") ? { body: [] } : { status: 204 }
      )
      yield* docker.list({ labels: ["a=b", "c=d e"], all: true })
      yield* docker.stop(id, { grace: undefined, timeout: "1 second" })
      yield* docker.stop(id, { grace: 0, timeout: "1 second" })
      yield* docker.stop("a/b", { grace: 7, timeout: "1 second" })
      yield* docker.start(id, "1 second")
      yield* docker.pause(id)
      yield* docker.unpause(id)
      const filters = encodeURIComponent(JSON.stringify({ label: ["a=b", "c=d e"] }))
      assert.deepStrictEqual(asked, [
        "GET /_ping",
        `GET ${negotiated}/containers/json?all=true&filters=${filters}`,
        `POST ${negotiated}/containers/${id}/stop`,
        `POST ${negotiated}/containers/${id}/stop?t=0`,
        `POST ${negotiated}/containers/a%2Fb/stop?t=7`,
        `POST ${negotiated}/containers/${id}/start`,
        `POST ${negotiated}/containers/${id}/pause`,
        `POST ${negotiated}/containers/${id}/unpause`
      ])
    }))

  it.scopedLive("succeed where it is so already (304)", () =>
    Effect.gen(function*() {
      const { engine: docker } = yield* engine((route) => route === "GET /_ping" ? undefined : { status: 304 })
      assert.isFalse(yield* docker.start(id, "1 second"))
      yield* docker.stop(id, { grace: undefined, timeout: "1 second" })
    }))

  it.scopedLive("are answered with what is known here, and the rest is left out", () =>
    Effect.gen(function*() {
      const { engine: docker } = yield* engine((route) => route === "GET /_ping" ? undefined : { body: inspected })
      const found = yield* docker.inspect(id)
      assert.deepStrictEqual(found.Config.Labels, { a: "b" })
      assert.notProperty(found, "Later")
      assert.deepStrictEqual(found.Mounts, [])
    }))

  it.scopedLive("are sent again on a connection that was kept from before a restart, where they only ask", () =>
    Effect.gen(function*() {
      let cut = false
      const { asked, engine: docker } = yield* engine((route, _body, request) => {
        if (route === "GET /_ping") return undefined
        if (cut) {
          cut = false
          request.socket.destroy()
          return undefined
        }
        return route.startsWith("POST") ? { status: 204 } : { body: inspected }
      })
      yield* docker.inspect(id)
      cut = true
      yield* docker.inspect(id)
      assert.strictEqual(asked.length, 4)
      cut = true
      const error = yield* Effect.flip(docker.start(id, "1 second"))
      assert.strictEqual(error._tag, "EngineUnreachable")
      assert.strictEqual(asked.length, 5)
      yield* docker.start(id, "1 second")
    }))
})

describe("an error of the engine", () => {
  const failing = (status: number, body: unknown) =>
    Effect.flatMap(
      engine((route) => route === "GET /_ping" ? undefined : { status, body }),
      ({ engine: docker }) => Effect.all([Effect.flip(docker.inspect(id)), Effect.flip(docker.start(id, "1 second"))])
    )

  const cases: ReadonlyArray<readonly [status: number, body: unknown, tag: string, message: string]> = [
    [404, { message: "No such container: x" }, "ContainerNotFound", "No such container: x"],
    [409, { message: "it is paused" }, "EngineConflict", "the Docker engine cannot do this now: it is paused"],
    [500, { message: "broken" }, "EngineRefused", "the Docker engine answered 500 to ROUTE: broken"],
    [500, { cause: "c", message: "of Podman", response: 500 }, "EngineRefused", "answered 500 to ROUTE: of Podman"],
    [400, "plain text\n", "EngineRefused", "the Docker engine answered 400 to ROUTE: plain text"],
    [403, "", "EngineRefused", "the Docker engine answered 403 to ROUTE: no reason is given"],
    [502, "<html>".padEnd(2000, "x"), "EngineRefused", `answered 502 to ROUTE: ${"<html>".padEnd(500, "x")}`],
    [500, "{\"message\":", "EngineRefused", "the Docker engine answered 500 to ROUTE: {\"message\":"],
    [500, { message: 7 }, "EngineRefused", "the Docker engine answered 500 to ROUTE: {\"message\":7}"],
    [301, "", "EngineRefused", "the Docker engine answered 301 to ROUTE: no reason is given"]
  ]
  for (const [status, body, tag, message] of cases) {
    it.scopedLive(`${status} ${JSON.stringify(body).slice(0, 40)}`, () =>
      Effect.gen(function*() {
        for (const error of yield* failing(status, body)) {
          assert.strictEqual(error._tag, tag)
          assert.include(error.message, message.replace("ROUTE", error.route))
        }
      }))
  }

  it.scopedLive("404 is a container that is not there only where a container was asked for", () =>
    Effect.gen(function*() {
      const { engine: docker } = yield* engine(() => ({ status: 404, body: { message: "page not found" } }))
      assert.strictEqual(
        (yield* Effect.flip(docker.list({}))).message,
        "the Docker engine answered 404 to GET /_ping: page not found"
      )
      const { engine: half } = yield* engine((route) =>
        route === "GET /_ping" ? undefined : { status: 404, body: { message: "page not found" } }
      )
      assert.strictEqual((yield* Effect.flip(half.list({})))._tag, "EngineRefused")
      assert.strictEqual((yield* Effect.flip(half.exec(id, ["x"], "1 second")))._tag, "ContainerNotFound")
    }))
})

describe("an answer that is none", () => {
  const answering = (body: unknown) =>
    Effect.map(
      engine((route) => route === "GET /_ping" ? undefined : { body }),
      ({ engine: docker }) => docker
    )

  const bad: ReadonlyArray<readonly [what: string, body: unknown]> = [
    ["truncated JSON", JSON.stringify(inspected).slice(0, 60)],
    ["nothing", ""],
    ["text", "OK"],
    ["null", "null"],
    ["a list for an object", []],
    ["no state", { ...inspected, State: undefined }],
    ["a number for an id", { ...inspected, Id: 7 }],
    ["an empty id", { ...inspected, Id: "" }],
    ["labels that are no text", { ...inspected, Config: { Labels: { a: 1 } } }]
  ]
  for (const [what, body] of bad) {
    it.scopedLive(what, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip((yield* answering(body)).inspect(id))
        assert.strictEqual(error._tag, "EngineAnswerInvalid")
        assert.match(
          error.message,
          /^the answer of unix:\/\/\S+ to GET \/containers\/\w+\/json is not that of a Docker/
        )
        assert.isBelow(error.message.length, 800)
      }))
  }

  it.scopedLive("a list with one that is none", () =>
    Effect.gen(function*() {
      const docker = yield* answering([{ Id: "a" }, { Names: [] }])
      assert.strictEqual((yield* Effect.flip(docker.list({})))._tag, "EngineAnswerInvalid")
    }))

  for (
    const [what, bytes, tag] of [
      ["garbage", "\u0000\u0001garbage\r\n\r\n", "EngineAnswerInvalid"],
      ["the greeting of another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "EngineAnswerInvalid"],
      ["nothing: the connection is closed", "", "EngineUnreachable"],
      ["half a header", "HTTP/1.1 200 OK\r\nApi-Ver", "EngineUnreachable"],
      ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "EngineUnreachable"]
    ] as const
  ) {
    it.scopedLive(`bytes: ${what}`, () =>
      Effect.gen(function*() {
        const docker = yield* raw(bytes)
        const calls = [Effect.asVoid(docker.list({})), Effect.asVoid(docker.start(id, "2 seconds"))]
        for (const call of [...calls, Effect.asVoid(docker.describe)]) {
          const error = yield* Effect.flip(shortly(call))
          assert.strictEqual("_tag" in error ? error._tag : error.message, tag)
          assert.include(error.message, docker.host)
        }
      }))
  }

  it.scopedLive("a body without end", () =>
    Effect.gen(function*() {
      const piece = Buffer.alloc(1024 * 1024, " ")
      let sent = 0
      const { engine: docker } = yield* engine((route, _body, _request, response) => {
        if (route === "GET /_ping") return undefined
        response.writeHead(200)
        const more = (): void => {
          if (response.destroyed) return
          sent += piece.length
          response.write(piece, more)
        }
        more()
        return undefined
      })
      const error = yield* Effect.flip(docker.list({}))
      assert.include(["EngineUnreachable", "EngineAnswerInvalid"], error._tag)
      // twice, with what is on its way
      assert.isBelow(sent, 2 * 64 * 1024 * 1024 + 32 * 1024 * 1024)
    }))
})

describe("an engine that never answers", () => {
  /** The client, and how to wait until the server has taken so many requests for these routes. */
  const silent = Effect.fnUntraced(function*(stuck: string) {
    let taken: ReadonlyArray<() => void> = []
    const { engine: docker } = yield* engine((route) => {
      if (!route.includes(stuck)) return undefined
      for (const one of taken) one()
      return undefined
    })
    const arrived = Effect.async<void>((resume) => {
      taken = [() => resume(Effect.void)]
    })
    return { docker, arrived }
  })

  const calls: ReadonlyArray<
    readonly [
      name: string,
      call: (docker: Engine.Engine) => Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>,
      limit: string
    ]
  > = [
    ["list", (docker) => docker.list({}), "10s"],
    ["inspect", (docker) => docker.inspect(id), "10s"],
    ["pause", (docker) => docker.pause(id), "10s"],
    ["unpause", (docker) => docker.unpause(id), "10s"],
    ["stop", (docker) => docker.stop(id, { grace: 1, timeout: "2 minutes" }), "2m"],
    ["start", (docker) => docker.start(id, "30 seconds"), "30s"],
    ["exec", (docker) => docker.exec(id, ["true"], "5 seconds"), "5s"]
  ]
  for (const [name, call, limit] of calls) {
    for (const stuck of ["/_ping", "/containers/"]) {
      it.scoped(`${name}, stuck at ${stuck}`, () =>
        Effect.gen(function*() {
          const { arrived, docker } = yield* silent(stuck)
          const waiting = yield* Effect.fork(arrived)
          yield* Effect.yieldNow()
          const fiber = yield* Effect.fork(Effect.flip(call(docker)))
          yield* Fiber.join(waiting)
          yield* TestClock.adjust("3 minutes")
          const error = yield* Fiber.join(fiber)
          assert.strictEqual(error._tag, "EngineTimeout")
          assert.match(
            error.message,
            new RegExp(`^the Docker engine at unix://\\S+ did not answer .* within ${limit}$`)
          )
        }))
    }
  }

  it.scopedLive("lets the wait be interrupted, and the next question be answered", () =>
    Effect.gen(function*() {
      let stuck = true
      const { engine: docker } = yield* engine((route) =>
        route === "GET /_ping" || stuck ? undefined : { body: inspected }
      )
      const waited = yield* docker.inspect(id).pipe(Effect.timeoutOption("100 millis"))
      assert.strictEqual(waited._tag, "None")
      stuck = false
      yield* shortly(docker.inspect(id))
    }))
})

describe("a command in a container", () => {
  interface Exec {
    readonly output?: string | Buffer | ReadonlyArray<Buffer>
    readonly states?: ReadonlyArray<object>
    readonly drop?: boolean
  }

  /** Writes the output as an engine does: a stream without a length, piece by piece, that ends with the connection. */
  const running = Effect.fnUntraced(function*({ drop = false, output = "", states }: Exec) {
    const bodies: Array<string> = []
    const left = [...states ?? [{ Running: false, ExitCode: 0 }]]
    const found = yield* engine((route, body, request) => {
      if (route === "GET /_ping") return undefined
      if (body !== "") bodies.push(body)
      if (route.endsWith(`/containers/${id}/exec`)) return { status: 201, body: { Id: "e1" } }
      if (route.endsWith("/exec/e1/json")) return { body: left.length > 1 ? left.shift() : left[0] }
      const pieces = typeof output === "string" || Buffer.isBuffer(output) ? [Buffer.from(output)] : output
      request.socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
      const next = (index: number): void => {
        const piece = pieces[index]
        if (piece === undefined) return void (drop ? request.socket.destroy() : request.socket.end())
        request.socket.write(piece, () => setTimeout(next, 2, index + 1))
      }
      next(0)
      return undefined
    })
    return { ...found, bodies, run: found.engine.exec(id, ["sh", "-c", "it"], "2 seconds") }
  })

  it.scopedLive("is sent as it is, and gives its exit code and output", () =>
    Effect.gen(function*() {
      const { asked, bodies, run } = yield* running({
        output: Buffer.concat([frame(1, "out\n"), frame(2, "err\n"), frame(1, "more\n")]),
        states: [{ Running: false, ExitCode: 3 }]
      })
      assert.deepStrictEqual(yield* run, { exitCode: 3, output: "out\nerr\nmore" })
      assert.deepStrictEqual(asked, [
        "GET /_ping",
        `POST ${negotiated}/containers/${id}/exec`,
        `POST ${negotiated}/exec/e1/start`,
        `GET ${negotiated}/exec/e1/json`
      ])
      assert.deepStrictEqual(bodies.map((body) => JSON.parse(body) as unknown), [
        { Cmd: ["sh", "-c", "it"], AttachStdout: true, AttachStderr: true },
        { Detach: false, Tty: false }
      ])
    }))

  it.scopedLive("may write in pieces that end anywhere", () =>
    Effect.gen(function*() {
      const text = "ünïcödé ✓ ".repeat(3)
      const bytes = Buffer.from(text)
      // a frame for every byte, and then cut anew
      const framed = Buffer.concat([...bytes].map((_, index) => frame(1 + index % 2, bytes.subarray(index, index + 1))))
      const cuts = Array.from({ length: Math.ceil(framed.length / 50) }, (_, index) =>
        framed.subarray(50 * index, 50 * index + 50))
      const { run } = yield* running({ output: cuts })
      assert.strictEqual((yield* run).output, text.trim())
    }))

  it.scopedLive("may write without frames, nothing, or less than a frame says", () =>
    Effect.gen(function*() {
      const output = (given: string | Buffer) =>
        Effect.flatMap(running({ output: given }), ({ run }) => Effect.map(run, ({ output }) => output))
      assert.strictEqual(yield* output("plain text\r\n"), "plain text")
      assert.strictEqual(yield* output(""), "")
      assert.strictEqual(yield* output(frame(1, "cut off").subarray(0, 11)), "cut")
      assert.strictEqual(yield* output(Buffer.concat([frame(1, "a"), Buffer.from([1, 0, 0])])), "a")
    }))

  it.scopedLive("may write much: the end of it counts", () =>
    Effect.gen(function*() {
      const pieces = Array.from({ length: 100 }, (_, index) => frame(1, `${index} `.padEnd(50_000, "x")))
      const { run } = yield* running({ output: [...pieces, frame(2, "the end")] })
      const { output } = yield* run
      assert.strictEqual(output.length, 4096)
      assert.isTrue(output.endsWith("xthe end"))
    }))

  it.scopedLive("has an exit code that comes late", () =>
    Effect.gen(function*() {
      const { asked, run } = yield* running({
        states: [
          { Running: true, ExitCode: null },
          { Running: false, ExitCode: null },
          { Running: false },
          { Running: false, ExitCode: 9 }
        ]
      })
      assert.strictEqual((yield* run).exitCode, 9)
      assert.strictEqual(asked.filter((route) => route.endsWith("/exec/e1/json")).length, 4)
    }))

  it.scopedLive("is not taken for ended when its connection is cut", () =>
    Effect.gen(function*() {
      const { engine: docker } = yield* running({
        output: frame(1, "so far"),
        drop: true,
        states: [{ Running: true, ExitCode: null }]
      })
      const error = yield* Effect.flip(docker.exec(id, ["x"], "300 millis"))
      assert.include(["EngineTimeout", "EngineUnreachable"], error._tag)
    }))

  it.scopedLive("is not waited for without end", () =>
    Effect.gen(function*() {
      const { engine: docker } = yield* running({ states: [{ Running: true, ExitCode: null }] })
      const error = yield* Effect.flip(docker.exec(id, ["x"], "200 millis"))
      assert.match(error.message, /did not answer POST \/containers\/\{id\}\/exec within 200ms$/)
    }))

  it.scopedLive("that nobody waits for is found by its words", () =>
    Effect.gen(function*() {
      const command = (entrypoint: string, words: ReadonlyArray<string>, Running = true) => ({
        Running,
        ExitCode: Running ? null : 0,
        ProcessConfig: { entrypoint, arguments: words }
      })
      const execs: Readonly<Record<string, object>> = {
        e1: command("sh", ["-c", "over"], false),
        e2: command("sh", ["-c", "at work"]),
        e4: command("alone", [])
      }
      const { engine: docker } = yield* engine((route) => {
        if (route === "GET /_ping") return undefined
        if (route.endsWith(`${id}/json`)) return { body: { ...inspected, ExecIDs: ["e1", "e2", "e3", "e4"] } }
        const found = execs[/exec\/(\w+)\/json/.exec(route)?.[1] ?? ""]
        return found === undefined ? { status: 404, body: { message: "No such exec instance" } } : { body: found }
      })
      assert.isTrue(yield* docker.isAtWork(id, ["sh", "-c", "at work"]))
      assert.isTrue(yield* docker.isAtWork(id, ["alone"]))
      assert.isFalse(yield* docker.isAtWork(id, ["sh", "-c", "over"]))
      assert.isFalse(yield* docker.isAtWork(id, ["sh", "-c", "at", "work"]))
    }))
})

describe("an engine that cannot be reached", () => {
  const reason = (socketPath: string) =>
    Effect.scoped(
      Effect.flatMap(clientOf(socketPath), (docker) =>
        Effect.all([Effect.flip(docker.list({})), Effect.flip(docker.start(id, "1 second"))]))
    )

  it.scopedLive("is not there", () =>
    Effect.gen(function*() {
      for (const { _tag, message } of yield* reason("/nowhere/docker.sock")) {
        assert.strictEqual(_tag, "EngineUnreachable")
        assert.strictEqual(
          message,
          "there is no Docker engine at unix:///nowhere/docker.sock: start it, or name another address with DOCKER_HOST"
        )
      }
    }))

  it.scopedLive("has left its socket behind", () =>
    Effect.gen(function*() {
      const socketPath = Path.join(yield* tempDir, "d.sock")
      // a name that no process listens at
      Fs.writeFileSync(socketPath, "")
      for (const { message } of yield* reason(socketPath)) {
        assert.strictEqual(
          message,
          `the Docker engine at unix://${socketPath} does not answer (connection refused): is it running?`
        )
      }
    }))

  it.scopedLive.skipIf(process.getuid?.() !== 0)("may not be used by this user", () =>
    Effect.gen(function*() {
      const socketPath = Path.join(yield* tempDir, "d.sock")
      const server = Net.createServer()
      yield* Effect.acquireRelease(
        Effect.async<void>((resume) => void server.listen(socketPath, () => resume(Effect.void))),
        () => Effect.sync(() => void server.close())
      )
      Fs.chmodSync(Path.dirname(socketPath), 0o755)
      Fs.chmodSync(socketPath, 0o600)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.seteuid?.(65_534)),
        () => Effect.sync(() => process.seteuid?.(0))
      )
      for (const { message } of yield* reason(socketPath)) {
        assert.strictEqual(
          message,
          `this user may not use the Docker engine at unix://${socketPath} (permission denied): run as root, or as a ` +
            "member of the group docker"
        )
      }
    }))
})
