/**
 * An agent on another machine, or on this one: asked over HTTP with TLS, or over a UNIX socket.
 */
import { type Duration, Effect, Layer, Redacted, Schema } from "effect"
import * as Client from "../internal/agent/client.ts"
import * as Http from "../internal/http/client.ts"
import { Fingerprint } from "../internal/http/fingerprint.ts"
import { AgentClient } from "../services/AgentClient.ts"

/** Where the agent is. */
export type AgentAddress =
  /** `https://host:port`; `http://` for an agent of this machine alone. */
  | { readonly url: string }
  /** The UNIX socket that the agent keeps for this guest. */
  | { readonly socketPath: string }

/** Which agent is asked, and how it and this guest know each other. */
export type AgentClientHttpOptions = AgentAddress & {
  /** The token of this guest. A UNIX socket needs none. */
  readonly token?: Redacted.Redacted<string> | undefined
  /** SHA-256 of the one certificate that is accepted: `AA:BB:...`. */
  readonly fingerprint?: string | undefined
  /** Certificates of authorities, in PEM, in place of those of the system. */
  readonly ca?: string | undefined
  /** How long the agent may wait for a change before it answers. Default: 30 seconds. */
  readonly statusWait?: Duration.DurationInput | undefined
}

/** Bytes. A status is less than one thousand. */
const maxResponse = 64 * 1024

const local = new Set(["localhost", "127.0.0.1", "[::1]"])

const flawOf = (options: AgentClientHttpOptions): string | undefined => {
  if (options.fingerprint !== undefined && !Schema.is(Fingerprint)(options.fingerprint)) {
    return "the fingerprint is none: expected 32 pairs of hexadecimal digits with colons"
  }
  if (options.token !== undefined && !/^[\x21-\x7e]+$/.test(Redacted.value(options.token))) return "the token is none"
  if ("socketPath" in options) return undefined
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined
  if (url?.protocol === "https:") return undefined
  if (url?.protocol === "http:" && local.has(url.hostname)) return undefined
  return "its address is none: expected https://host:port, or http:// for this machine alone"
}

const make = Effect.fnUntraced(function*(options: AgentClientHttpOptions) {
  const { ca, fingerprint, statusWait = "30 seconds", token } = options
  const flaw = flawOf(options)
  const http = yield* Http.make({
    ...flaw === undefined && "socketPath" in options ? { socketPath: options.socketPath } : {},
    ...ca === undefined ? {} : { tls: { ca } },
    fingerprint,
    maxResponse
  })
  return yield* Client.make({
    http,
    url: "url" in options ? options.url.replace(/\/+$/, "") : "http://agent",
    secret: token === undefined ? "" : Redacted.value(token),
    fingerprint,
    statusWait,
    flaw
  })
})

/**
 * A client of an agent. Nothing is asked before it is used; what is wrong with the options is then said by every call.
 * Its connections are closed with the scope.
 */
export const layer = (options: AgentClientHttpOptions): Layer.Layer<AgentClient> =>
  Layer.scoped(AgentClient, make(options))
