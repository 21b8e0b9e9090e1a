/**
 * The HTTP client that reaches a Docker Engine: over its UNIX socket, or over TCP with TLS.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type { Effect, Scope } from "effect"
import * as Client from "../http/client.ts"
import type { Endpoint } from "./endpoint.ts"

/** Bytes. A list of thousands of containers is less. */
const maxResponse = 64 * 1024 * 1024

/** A client of this endpoint. Its connections are closed with the scope. */
export const make = (endpoint: Endpoint): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Client.make({
    ...endpoint._tag === "Unix" ? { socketPath: endpoint.socketPath } : { tls: endpoint.tls },
    connections: 64,
    maxResponse
  })
