/**
 * The HTTP clients of the layers: over a UNIX socket or TCP, with TLS that is verified by the authorities of the system,
 * by given ones, or by the fingerprint of one certificate.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import { withTracerPropagation } from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent, buildConnector } from "@effect/platform-node/Undici"
import { Effect, type Scope } from "effect"
import { TLSSocket } from "node:tls"
import * as Fingerprint from "./fingerprint.ts"

/** Milliseconds to connect; requests have limits of their own. */
const connectTimeout = 5_000

/** What is at the other end, and how it proves that. */
export interface ClientOptions {
  readonly socketPath?: string | undefined
  /** Keys and certificates in PEM. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined
  /**
   * The one certificate that is accepted. It takes the place of the authorities and of the host's name, and is compared
   * before the first byte of a request is sent.
   */
  readonly fingerprint?: string | undefined
  /** Bytes of the largest answer. */
  readonly maxResponse: number
  readonly connections?: number | undefined
}

const pinned = (fingerprint: string): buildConnector.connector => {
  // a resumed session shows no certificate
  const connect = buildConnector({ rejectUnauthorized: false, timeout: connectTimeout, maxCachedSessions: 0 })
  return (options, callback) =>
    connect(options, (error, socket) => {
      if (error !== null) return callback(error, null)
      const found = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : undefined
      if (found !== undefined && Fingerprint.isSame(found, fingerprint)) return callback(null, socket)
      socket?.destroy()
      return callback(
        Object.assign(
          new Error(
            found === undefined
              ? "it does not speak TLS, so its fingerprint cannot be compared"
              : `its certificate has the fingerprint ${found}, not the one that is configured`
          ),
          { code: "CERT_FINGERPRINT" }
        ),
        null
      )
    })
}

const connectOptions = ({ socketPath, tls }: ClientOptions): buildConnector.BuildOptions =>
  socketPath === undefined
    ? { timeout: connectTimeout, ...tls, rejectUnauthorized: true }
    : { socketPath, timeout: connectTimeout }

/** A client of this other end. Its connections are closed with the scope. */
export const make = (options: ClientOptions): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Agent({
        connect: options.fingerprint === undefined ? connectOptions(options) : pinned(options.fingerprint),
        connections: options.connections ?? 8,
        pipelining: 1,
        maxResponseSize: options.maxResponse
      })
    ),
    (agent) => Effect.promise(() => agent.destroy())
  ).pipe(
    Effect.map((agent) => NodeHttpClient.makeUndici(agent)),
    // no trace headers for a stranger, no span for every poll
    Effect.map((client) => withTracerPropagation(client, false))
  )
