/**
 * Agents that serve guests in a test, and what asks them without our client.
 */
import { type Duration, Effect, Exit, Layer, Logger, Ref, Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Certificate from "../../src/internal/agent/certificate.ts"
import * as Jobs from "../../src/internal/agent/jobs.ts"
import * as AgentServer from "../../src/layers/AgentServer.ts"
import * as JobStoreMemory from "../../src/layers/JobStoreMemory.ts"
import * as TokenStoreFile from "../../src/layers/TokenStoreFile.ts"
import type { Engine } from "../../src/services/Engine.ts"
import { TokenStore } from "../../src/services/TokenStore.ts"
import { tempDir } from "../layers/fixtures/support.ts"

/** The backups of one guest over this engine. They end with the scope. */
export const jobsOf = (guest: string, engine: Engine, readyTimeout: Duration.DurationInput = "1 minute") =>
  Effect.flatMap(
    JobStoreMemory.make(),
    (store) => Jobs.make({ guest, engine, store, readyTimeout, cancelLate: false })
  )

export type Way = "tls" | "plain" | "socket"

export interface ServeOptions {
  readonly guests: ReadonlyMap<string, Jobs.Jobs>
  readonly ways: ReadonlyArray<Way>
  readonly limits?: AgentServer.AgentServerLimits
  readonly stateDir?: string
}

/** An agent that listens in these ways; on a socket of each guest. What it logs is kept. */
export const serve = Effect.fnUntraced(function*(options: ServeOptions) {
  const directory = options.stateDir ?? (yield* tempDir)
  const stateDir = Path.join(directory, "state")
  const certificate = options.ways.includes("tls") ? yield* Certificate.own({ stateDir }) : undefined
  const socketOf = (guest: string) => Path.join(directory, `${guest}.sock`)
  const listeners = options.ways.flatMap((way): ReadonlyArray<AgentServer.AgentListener> => {
    switch (way) {
      case "tls":
        return [{ host: "127.0.0.1", port: 0, tls: certificate }]
      case "plain":
        return [{ host: "127.0.0.1", port: 0 }]
      case "socket":
        return [...options.guests.keys()].map((guest) => ({ socket: socketOf(guest), guest }))
    }
  })
  const lines = yield* Ref.make<ReadonlyArray<string>>([])
  const logger = Logger.make(({ logLevel, message }) => {
    Effect.runSync(Ref.update(lines, (all) => [...all, `${logLevel.label} ${String(message)}`]))
  })
  const scope = yield* Scope.make()
  const context = yield* AgentServer.layer({
    guests: options.guests,
    listeners,
    version: "test",
    ...options.limits === undefined ? {} : { limits: options.limits }
  }).pipe(
    Layer.provideMerge(TokenStoreFile.layer({ stateDir })),
    Layer.provide(Logger.replace(Logger.defaultLogger, logger)),
    Layer.buildWithScope(scope)
  )
  const close = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => close)
  const { urls } = yield* Effect.provide(AgentServer.AgentServer, context)
  const tokens = yield* Effect.provide(TokenStore, context)
  return {
    url: (way: Way) => urls.find((url) => url.startsWith(way === "tls" ? "https:" : "http:")) ?? "none",
    socketOf,
    tokens,
    certificate,
    stateDir,
    log: Ref.get(lines),
    close
  }
})

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
}

export interface Ask {
  readonly url?: string
  readonly socketPath?: string
  readonly method?: string
  readonly path: string
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  readonly agent?: Http.Agent
  readonly localAddress?: string
}

/** One request, by Node alone. Certificates are not looked at. */
export const ask = (options: Ask): Effect.Effect<Answer, Error> =>
  Effect.async((resume) => {
    const url = new URL(options.url ?? "http://agent")
    const request = (url.protocol === "https:" ? Https : Http).request(
      {
        ...options.socketPath === undefined
          ? { host: url.hostname, port: url.port }
          : { socketPath: options.socketPath },
        method: options.method ?? "GET",
        path: options.path,
        agent: options.agent ?? false,
        localAddress: options.localAddress,
        rejectUnauthorized: false,
        headers: {
          ...options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
          ...options.body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": String(Buffer.byteLength(options.body)) },
          ...options.headers
        }
      },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () =>
          resume(Effect.succeed({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString("utf8")
          })))
        response.on("error", (error) => resume(Effect.fail(error)))
      }
    )
    request.on("error", (error) => resume(Effect.fail(error)))
    request.end(options.body)
    return Effect.sync(() => request.destroy())
  })

/** Bytes as they are: sends the parts, with pauses, and answers with all that came, at the end of the connection. */
export const raw = (
  to: { readonly port: number } | { readonly path: string },
  parts: ReadonlyArray<string | { readonly pause: number }>
): Effect.Effect<{ readonly text: string; readonly took: number }> =>
  Effect.async((resume) => {
    const began = performance.now()
    const socket = "port" in to ? Net.connect({ host: "127.0.0.1", port: to.port }) : Net.connect({ path: to.path })
    let text = ""
    let ended = false
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1")
    })
    socket.on("error", () => undefined)
    socket.on("close", () => {
      ended = true
      resume(Effect.succeed({ text, took: performance.now() - began }))
    })
    const send = (rest: typeof parts): void => {
      const [first, ...others] = rest
      if (first === undefined || ended) return
      if (typeof first !== "string") {
        setTimeout(() => send(others), first.pause)
        return
      }
      socket.write(first, "latin1", () => send(others))
    }
    socket.on("connect", () => send(parts))
    return Effect.sync(() => socket.destroy())
  })

export const portOf = (url: string): number => Number(new URL(url).port)
