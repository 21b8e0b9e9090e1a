/**
 * An agent for the guests of this host: serves the protocol over TLS, over TCP to this machine alone, or over a UNIX
 * socket for each guest.
 */
import { Context, Deferred, type Duration, Effect, Layer, Schema, type Scope } from "effect"
import { isIPv6 } from "node:net"
import { GuestName } from "../domain/Guest.ts"
import * as Admission from "../internal/agent/admission.ts"
import * as Api from "../internal/agent/api.ts"
import * as Audit from "../internal/agent/audit.ts"
import type { Jobs } from "../internal/agent/jobs.ts"
import * as Server from "../internal/http/server.ts"
import { TokenStore } from "../services/TokenStore.ts"

/** The agent cannot be reached: a place to listen is taken, or what was configured for it will not do. */
export class AgentServerFailed extends Schema.TaggedError<AgentServerFailed>()("AgentServerFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** An agent that serves. */
export class AgentServer extends Context.Tag("quiesce/layers/AgentServer")<AgentServer, {
  /** Where it can be reached: `https://host:port`, `http://127.0.0.1:port`, or the path of a socket. */
  readonly urls: ReadonlyArray<string>
}>() {}

/** Where an agent listens. */
export type AgentListener =
  /** TCP. Port 0 takes a free one. Without TLS (PEM) only for this machine. */
  | {
    readonly host: string
    readonly port: number
    readonly tls?: { readonly cert: string; readonly key: string } | undefined
  }
  /** A UNIX socket: who can connect is this guest, and needs no token. Default of the mode: 0600. */
  | { readonly socket: string; readonly guest: string; readonly mode?: number | undefined }

/** What an agent bears. */
export interface AgentServerLimits {
  /** Bytes of a request's body. Default: 4 KiB. */
  readonly body?: number
  /** Bytes of a request's line and headers. Default: 8 KiB. */
  readonly headers?: number
  /** For the headers. Default: 5 seconds. */
  readonly headersTimeout?: Duration.DurationInput
  /** For a whole request to come in; an answer may take longer. Default: 10 seconds. */
  readonly requestTimeout?: Duration.DurationInput
  /** How long a connection is kept without a request. Default: 15 seconds. */
  readonly idle?: Duration.DurationInput
  /** Connections of one listener. A controller that waits has one or two. Default: 64. */
  readonly connections?: number
  /** Connections from one remote address. Default: 32. */
  readonly connectionsPerAddress?: number
  /** Requests of one guest. Default: 300. */
  readonly requestsPerMinute?: number
  /** Requests of one guest that are not answered yet. Default: 16. */
  readonly requestsAtOnce?: number
  /** Failed authentications from one address that are looked at. Default: 30. */
  readonly failuresPerMinute?: number
}

/** Whom an agent serves, and where. */
export interface AgentServerOptions {
  readonly guests: ReadonlyMap<string, Jobs>
  readonly listeners: ReadonlyArray<AgentListener>
  readonly version: string
  readonly limits?: AgentServerLimits | undefined
}

const defaults = {
  body: 4096,
  headers: 8192,
  headersTimeout: "5 seconds",
  requestTimeout: "10 seconds",
  idle: "15 seconds",
  connections: 64,
  connectionsPerAddress: 32,
  requestsPerMinute: 300,
  requestsAtOnce: 16,
  failuresPerMinute: 30
} as const

const isGuestName = Schema.is(GuestName)

const isLoopback = (host: string) => host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

const failed = Effect.mapError((error: { readonly message: string }) =>
  new AgentServerFailed({ reason: error.message })
)

const flawOf = ({ guests, listeners }: AgentServerOptions): string | undefined => {
  const wrong = [...guests].find(([name, jobs]) => !isGuestName(name) || jobs.guest !== name)
  if (wrong !== undefined) return `${JSON.stringify(wrong[0])} is not the name of a guest`
  for (const listener of listeners) {
    if ("socket" in listener) {
      if (!guests.has(listener.guest)) {
        return `the socket ${listener.socket} is for guest '${listener.guest}', unknown here`
      }
    } else if (listener.tls === undefined && !isLoopback(listener.host)) {
      return `${listener.host} is not this machine alone: tokens would cross the network unprotected; set up TLS`
    }
  }
  return undefined
}

const make = Effect.fn("AgentServer.make")(
  function*(options: AgentServerOptions): Effect.fn.Return<
    AgentServer["Type"],
    AgentServerFailed,
    Scope.Scope | TokenStore
  > {
    const flaw = flawOf(options)
    if (flaw !== undefined) return yield* new AgentServerFailed({ reason: flaw })
    const { guests, listeners, version } = options
    const limits = { ...defaults, ...options.limits }
    const stopping = yield* Deferred.make<void>()
    const audit = yield* Audit.make
    const authentication = yield* Admission.make({
      ...limits,
      guests: new Set(guests.keys()),
      tokens: yield* TokenStore,
      audit
    })
    const app = yield* Api.make({ guests, authentication, audit, version, stopping })
    const listen = Effect.fnUntraced(function*(listener: AgentListener) {
      if ("socket" in listener) {
        const { guest, mode = 0o600, socket } = listener
        yield* Server.serve(Effect.provideService(app, Admission.Channel, { guest }), { socket, mode }, limits)
        return socket
      }
      const { host, tls } = listener
      const port = yield* Server.serve(app, listener, limits)
      return `${tls === undefined ? "http" : "https"}://${isIPv6(host) ? `[${host}]` : host}:${port}`
    })
    // closed together: each may have connections that it waits for
    const urls = yield* failed(Effect.parallelFinalizers(Effect.forEach(listeners, listen)))
    yield* Effect.forEach(urls, (url) => Effect.logInfo(`listens on ${url}`), { discard: true })
    // registered last, so done first: who waits is answered before the servers close
    yield* Effect.addFinalizer(() => Deferred.succeed(stopping, undefined))
    return { urls }
  }
)

/** Serves the guests until the scope closes; then who waits is answered at once, and every connection is closed. */
export const layer = (
  options: AgentServerOptions
): Layer.Layer<AgentServer, AgentServerFailed, TokenStore> => Layer.scoped(AgentServer, make(options))
