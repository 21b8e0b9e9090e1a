/**
 * HTTP servers of the layers: over a UNIX socket or TCP, with limits for whoever sends slowly, much, or nothing at all.
 * The defaults of Node are loose: 5 minutes for a request, no limit of connections.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import type * as HttpApp from "@effect/platform/HttpApp"
import { withMaxBodySize } from "@effect/platform/HttpIncomingMessage"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Duration, Effect, Option, type Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { originOf } from "./origin.ts"
import * as Place from "./place.ts"

/** What one server bears. */
export interface ServerLimits {
  /** Bytes of a request's body, and of its line and headers. */
  readonly body: number
  readonly headers: number
  /** For the headers, and for the whole request, from its first byte. */
  readonly headersTimeout: Duration.DurationInput
  readonly requestTimeout: Duration.DurationInput
  /** How long a connection is kept without a request. */
  readonly idle: Duration.DurationInput
  readonly connections: number
  /** Connections from one remote address. */
  readonly connectionsPerAddress: number
}

/** Where a server listens. */
export type Listener =
  | { readonly socket: string; readonly mode: number }
  | {
    readonly host: string
    readonly port: number
    readonly tls?: { readonly cert: string; readonly key: string } | undefined
  }

/** How long open requests have to end when the server stops. */
const grace = Duration.millis(500)

/** Paths need no more than this. A router could take `;` for a query, or decode what was not meant to be a name. */
const plainUrl = /^\/[\w./-]*(\?[\w.~%+=&-]*)?$/

/** What is refused before anything else is looked at. Bodies without a length are: nobody needs them here. */
export const refusalOf = (
  { headers, method, url = "" }: Pick<Http.IncomingMessage, "headers" | "method" | "url">,
  { body }: Pick<ServerLimits, "body">
): number | undefined => {
  if (method !== "GET" && method !== "POST" && method !== "DELETE") return 405
  if (!plainUrl.test(url)) return 400
  if (headers["transfer-encoding"] !== undefined) return 411
  const length = Number(headers["content-length"] ?? 0)
  if (length > body) return 413
  if (length > 0 && method !== "POST") return 400
  return length > 0 && !/^application\/json\s*(;|$)/i.test(headers["content-type"] ?? "") ? 415 : undefined
}

type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse) => void

const gate = (limits: ServerLimits, handler: Handler): Handler => (request, response) => {
  const status = refusalOf(request, limits)
  if (status === undefined) return handler(request, response)
  response.writeHead(status, {
    connection: "close",
    "content-length": 0,
    ...status === 405 ? { allow: "GET, POST, DELETE" } : {}
  })
  response.end()
}

/** Keeps the sockets, and lets no address have more than its part of them. */
const admission = (server: Http.Server | Https.Server, limits: ServerLimits) => {
  const sockets = new Set<Socket>()
  const counts = new Map<string, number>()
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress === undefined ? undefined : originOf(socket.remoteAddress)
    const count = address === undefined ? 0 : counts.get(address) ?? 0
    if (count >= limits.connectionsPerAddress) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    if (address !== undefined) counts.set(address, count + 1)
    socket.once("close", () => {
      sockets.delete(socket)
      if (address === undefined) return
      const left = (counts.get(address) ?? 1) - 1
      if (left === 0) counts.delete(address)
      else counts.set(address, left)
    })
  })
  return sockets
}

const create = (place: Listener, limits: ServerLimits): Http.Server | Https.Server => {
  const options: Http.ServerOptions = {
    maxHeaderSize: limits.headers,
    headersTimeout: Duration.toMillis(limits.headersTimeout),
    requestTimeout: Duration.toMillis(limits.requestTimeout),
    keepAliveTimeout: Duration.toMillis(limits.idle),
    // how often the two timeouts are looked at
    connectionsCheckingInterval: 1_000
  }
  const server = "socket" in place || place.tls === undefined
    ? Http.createServer(options)
    : Https.createServer({
      ...options,
      ...place.tls,
      minVersion: "TLSv1.2",
      handshakeTimeout: Duration.toMillis(limits.headersTimeout)
    })
  server.maxConnections = limits.connections
  return server
}

const stop = (server: Http.Server | Https.Server, sockets: ReadonlySet<Socket>) =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeIdleConnections()
  }).pipe(
    Effect.interruptible,
    Effect.timeoutOption(grace),
    Effect.zipRight(Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
    }))
  )

/** Serves the app until the scope closes. Answers with the port, for TCP. */
export const serve = Effect.fnUntraced(
  function*(app: HttpApp.Default, place: Listener, limits: ServerLimits): Effect.fn.Return<
    number | undefined,
    Place.ListenFailed,
    Scope.Scope
  > {
    const handler = yield* NodeHttpServer.makeHandler(
      withMaxBodySize(app, Option.some(FileSystem.Size(limits.body)))
    )
    const server = yield* Effect.try({
      try: () => create(place, limits),
      catch: (error) => new Place.ListenFailed({ place: Place.describe(place), reason: Place.reasonOf(error) })
    })
    const sockets = admission(server, limits)
    server.on("request", gate(limits, handler))
    yield* "socket" in place ? Place.bindSocket(server, place) : Place.bindPort(server, place)
    // an accept that fails (too many open files) fails alone
    server.on("error", () => undefined)
    yield* Effect.addFinalizer(() => stop(server, sockets))
    const address: string | AddressInfo | null = server.address()
    return address === null || typeof address === "string" ? undefined : address.port
  }
)
