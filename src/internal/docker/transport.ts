/**
 * The HTTP client that reaches a Docker Engine: over its UNIX socket, or over TCP with TLS.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent } from "@effect/platform-node/Undici"
import { Effect, type Scope } from "effect"
import type { Endpoint } from "./endpoint.ts"

/** Milliseconds to connect; requests have limits of their own. */
const connectTimeout = 5_000

/** Bytes. A list of thousands of containers is less. */
const maxResponse = 64 * 1024 * 1024

const connectOptions = (endpoint: Endpoint) =>
  endpoint._tag === "Unix"
    ? { socketPath: endpoint.socketPath, timeout: connectTimeout }
    : { timeout: connectTimeout, ...endpoint.tls, rejectUnauthorized: true }

/** A client of this endpoint. Its connections are closed with the scope. */
export const make = (endpoint: Endpoint): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Agent({
        connect: connectOptions(endpoint),
        connections: 64,
        pipelining: 1,
        maxResponseSize: maxResponse
      })
    ),
    (agent) => Effect.promise(() => agent.destroy())
  ).pipe(
    Effect.map((agent) => NodeHttpClient.makeUndici(agent)),
    // no trace headers for an engine, no span for every poll
    Effect.map((client) => HttpClient.withTracerPropagation(client, false))
  )
