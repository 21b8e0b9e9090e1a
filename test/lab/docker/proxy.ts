/**
 * A proxy in front of the socket of an engine: it writes down what is asked, and can be told to misbehave.
 */
import { Effect } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { attempt } from "../postgresInstall.ts"

/** What the proxy does with a request instead of passing it on and back. */
export type Fault =
  | { readonly _tag: "Status"; readonly status: number; readonly body?: string }
  /** Bytes that are no HTTP. */
  | { readonly _tag: "Garbage" }
  /** Passed on; only the first half of the answer comes back, as if it were all. */
  | { readonly _tag: "Truncated" }
  /** Cuts the connection; the engine never hears of it. */
  | { readonly _tag: "Close" }
  /** Passed on; when the engine has done it, the connection is cut: the effect without the answer. */
  | { readonly _tag: "LoseAnswer" }
  | { readonly _tag: "Delay"; readonly millis: number }
  /** The engine never hears of it, and no answer comes. */
  | { readonly _tag: "Silent" }

/** Which requests a fault meets. */
export interface When {
  /** `METHOD route`, as it is written down: of the routes with an id one name for all. */
  readonly on: string | RegExp
  /** The first of the requests that it meets, counted from 1. Default: 1. */
  readonly from?: number
  /** How many it meets. Default: all. */
  readonly times?: number
  /** It meets none that comes later than this. Default: without end. */
  readonly forMillis?: number
}

export interface Proxy {
  /** For DOCKER_HOST. */
  readonly host: string
  /** What was asked since the last `forget`, as `METHOD route`: without version and query, with `{id}` for ids. */
  readonly asked: () => ReadonlyArray<string>
  readonly forget: Effect.Effect<void>
  /** From now on; until `behave`. The first fault that meets a request is the one that counts. */
  readonly misbehave: (when: When, fault: Fault) => Effect.Effect<void>
  /** How many requests the faults have met since the last `behave`. */
  readonly met: () => number
  readonly behave: Effect.Effect<void>
}

/** `/v1.41/containers/0123/json?size=1` is `/containers/{id}/json`. */
export const routeOf = (url: string): string =>
  url.replace(/\?.*$/, "").replace(/^\/v\d+\.\d+(?=\/)/, "")
    .replace(/^\/(containers|exec)\/[^/]+\/(?=[^/]+$)/, "/$1/{id}/")

interface Rule {
  readonly when: When
  readonly fault: Fault
  readonly since: number
  seen: number
}

const isNow = ({ seen, since, when: { forMillis = Infinity, from = 1, times = Infinity } }: Rule) =>
  seen >= from && seen < from + times && performance.now() - since <= forMillis

const garbage = "\u0016\u0003\u0001 this is no HTTP\r\n\r\n"

interface Upstream {
  readonly answer: Http.IncomingMessage
  readonly body: Buffer
}

/** Asks the engine, and reads all of its answer. */
const whole = (socketPath: string, request: Http.IncomingMessage) =>
  new Promise<Upstream>((resolve, reject) => {
    const { headers, method, url } = request
    const sent = Http.request({ socketPath, method, path: url, headers, agent: false }, (answer) => {
      const pieces: Array<Buffer> = []
      answer.on("error", reject)
      answer.on("data", (piece: Buffer) => pieces.push(piece))
      answer.on("end", () => resolve({ answer, body: Buffer.concat(pieces) }))
    })
    sent.on("error", reject)
    request.pipe(sent)
  })

/** Passes a request on and the answer back, piece by piece as they come: also those of a command that still runs. */
const pass = (socketPath: string, request: Http.IncomingMessage, response: Http.ServerResponse) => {
  const { headers, method, url } = request
  const sent = Http.request({ socketPath, method, path: url, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers)
    response.flushHeaders()
    answer.on("error", () => response.destroy())
    answer.pipe(response)
  })
  // as the engine itself, which is not there
  sent.on("error", () => request.socket.destroy())
  response.on("close", () => sent.destroy())
  request.pipe(sent)
}

const act = async (
  fault: Fault,
  socketPath: string,
  request: Http.IncomingMessage,
  response: Http.ServerResponse
): Promise<void> => {
  switch (fault._tag) {
    case "Status":
      response.writeHead(fault.status, { "content-type": "application/json" })
      response.end(fault.body ?? JSON.stringify({ message: "the proxy says so" }))
      return
    case "Garbage":
      request.socket.end(garbage)
      return
    case "Close":
      request.socket.destroy()
      return
    case "Silent":
      return
    case "Delay":
      setTimeout(() => pass(socketPath, request, response), fault.millis)
      return
    case "LoseAnswer":
      await whole(socketPath, request)
      request.socket.destroy()
      return
    case "Truncated": {
      const { answer, body } = await whole(socketPath, request)
      response.writeHead(answer.statusCode ?? 500, { "content-type": "application/json" })
      response.end(body.subarray(0, Math.floor(body.length / 2)))
    }
  }
}

/** A connection that becomes a stream (`Upgrade: tcp`): what was said so far goes on as it was, then both ways. */
const upgrade = (socketPath: string, request: Http.IncomingMessage, client: Net.Socket, head: Buffer) => {
  const engine = Net.connect(socketPath, () => {
    const lines = request.rawHeaders.flatMap((name, index, all) =>
      index % 2 === 0 ? [`${name}: ${all[index + 1]}`] : []
    )
    engine.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`)
    engine.write(head)
    client.pipe(engine).pipe(client)
  })
  for (const [one, other] of [[client, engine], [engine, client]] as const) one.on("error", () => other.destroy())
}

/** Starts one. `at` is the path of its socket, or nothing for a port of this machine. */
export const make = Effect.fn("Proxy.make")(function*(socketPath: string, at?: string) {
  let asked: Array<string> = []
  let rules: Array<Rule> = []
  let met = 0
  const faultFor = (name: string) => {
    for (const rule of rules) {
      const { on } = rule.when
      if (typeof on === "string" ? on !== name : !on.test(name)) continue
      rule.seen += 1
      if (!isNow(rule)) continue
      met += 1
      return rule.fault
    }
    return undefined
  }
  const sockets = new Set<Net.Socket>()
  const server = Http.createServer((request, response) => {
    const name = `${request.method} ${routeOf(request.url ?? "")}`
    asked.push(name)
    const fault = faultFor(name)
    if (fault === undefined) return pass(socketPath, request, response)
    act(fault, socketPath, request, response).catch(() => request.socket.destroy())
  })
  server.on("connection", (socket: Net.Socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    // a client that went away
    socket.on("error", () => socket.destroy())
  })
  server.on("upgrade", (request: Http.IncomingMessage, client: Net.Socket, head: Buffer) => {
    asked.push(`${request.method} ${routeOf(request.url ?? "")}`)
    upgrade(socketPath, request, client, head)
  })
  const host = yield* Effect.acquireRelease(
    attempt(`a proxy of ${socketPath}`, () =>
      new Promise<string>((resolve, reject) => {
        server.once("error", reject)
        const listening = () => {
          const address = server.address()
          resolve(typeof address === "object" ? `tcp://127.0.0.1:${address?.port}` : `unix://${address}`)
        }
        if (at === undefined) server.listen(0, "127.0.0.1", listening)
        else server.listen(at, listening)
      })),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  const proxy: Proxy = {
    host,
    asked: () => [...asked],
    forget: Effect.sync(() => void (asked = [])),
    misbehave: (when, fault) => Effect.sync(() => void rules.push({ when, fault, since: performance.now(), seen: 0 })),
    met: () => met,
    behave: Effect.sync(() => {
      rules = []
      met = 0
    })
  }
  return proxy
})
