/**
 * Where the Docker Engine is, as the Docker command line reads it: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH.
 */
import { Config, Effect, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

/** The address of the engine cannot be used. */
export class EndpointInvalid extends Schema.TaggedError<EndpointInvalid>()("EndpointInvalid", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** Keys and certificates in PEM. */
export interface Tls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** `host` is how a person names it; `origin` is what stands before the path of a request. */
export type Endpoint =
  | { readonly _tag: "Unix"; readonly host: string; readonly origin: string; readonly socketPath: string }
  | { readonly _tag: "Tcp"; readonly host: string; readonly origin: string; readonly tls: Tls | undefined }

/** The engine of this machine. */
export const defaultHost = "unix:///var/run/docker.sock"

const variable = (name: string) =>
  Config.string(name).pipe(
    Effect.orElseSucceed(() => ""),
    Effect.map((value) => value === "" ? undefined : value)
  )

const readPem = (directory: string, name: string) =>
  Effect.tryPromise({
    try: () => Fs.readFile(Path.join(directory, name), "utf8"),
    catch: (error) =>
      new EndpointInvalid({
        reason: `DOCKER_CERT_PATH: ${Path.join(directory, name)} cannot be read: ${
          error instanceof Error ? error.message : String(error)
        }`
      })
  })

/** Where and how TLS is asked for, the engine is always verified: an unverified one could be anybody. */
const tls = Effect.gen(function*() {
  const verify = yield* variable("DOCKER_TLS_VERIFY")
  const directory = yield* variable("DOCKER_CERT_PATH")
  if (verify === undefined && directory === undefined) return undefined
  const place = directory ?? Path.join((yield* variable("HOME")) ?? "/root", ".docker")
  const [ca, cert, key] = yield* Effect.all([
    readPem(place, "ca.pem"),
    readPem(place, "cert.pem"),
    readPem(place, "key.pem")
  ])
  return { ca, cert, key } satisfies Tls
})

const schemes = "unix:///path/to/docker.sock or tcp://address:port"

/** The host that DOCKER_HOST names, or the default one. */
export const hostFromEnvironment: Effect.Effect<string> = Effect.map(
  variable("DOCKER_HOST"),
  (host) => host ?? defaultHost
)

/** Reads an address, with the keys of the environment where it is a network address. */
export const parse = (host: string): Effect.Effect<Endpoint, EndpointInvalid> =>
  Effect.gen(function*() {
    if (host.startsWith("unix://")) {
      const socketPath = host.slice("unix://".length)
      if (Path.isAbsolute(socketPath)) return { _tag: "Unix", host, origin: "http://docker", socketPath }
    }
    if (/^(tcp|http|https):\/\//.test(host)) {
      const address = host.replace(/^tcp:/, "http:")
      const url = URL.canParse(address) ? new URL(address) : undefined
      if (url !== undefined && url.hostname !== "") {
        const keys = yield* tls
        const secure = keys !== undefined || host.startsWith("https:")
        const port = url.port === "" ? (secure ? "2376" : "2375") : url.port
        return { _tag: "Tcp", host, origin: `${secure ? "https" : "http"}://${url.hostname}:${port}`, tls: keys }
      }
    }
    return yield* new EndpointInvalid({
      reason: `'${host}' is no address of a Docker engine that can be used here: expected ${schemes}`
    })
  })
