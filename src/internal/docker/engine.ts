/**
 * A thin client of the Docker Engine API: the routes that stopping and starting need, and no others.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Duration, Effect, Option, ParseResult, Predicate, Ref, Schedule, Schema } from "effect"
import {
  ContainerNotFound,
  EngineAnswerInvalid,
  EngineConflict,
  type EngineError,
  EngineRefused,
  EngineTimeout,
  EngineUnreachable
} from "./errors.ts"
import { isTooDeep } from "../jsonDepth.ts"
import { printable } from "../oneLine.ts"
import * as Schemas from "./schemas.ts"

/** Which containers a list names: labels as `key=value`, and whether also those that do not run. */
export interface ListFilter {
  readonly labels?: ReadonlyArray<string> | undefined
  readonly all?: boolean | undefined
}

/** How a command in a container ended. `output` is the last of what it wrote. */
export interface ExecResult {
  readonly exitCode: number
  readonly output: string
}

/** One engine. An answer with status 304 is a success: what was asked for is so already. */
export interface Engine {
  readonly host: string
  /** What the engine is, for people: `Docker 28.5.2 (API 1.51)`. */
  readonly describe: Effect.Effect<string, EngineError>
  readonly list: (filter: ListFilter) => Effect.Effect<ReadonlyArray<Schemas.Summary>, EngineError>
  readonly inspect: (id: string) => Effect.Effect<Schemas.Container, EngineError>
  /** `grace` (seconds) before SIGKILL; without it the container's own. */
  readonly stop: (
    id: string,
    options: { readonly grace: number | undefined; readonly timeout: Duration.DurationInput }
  ) => Effect.Effect<void, EngineError>
  /** Answers with whether the engine started it: not so, when it took it for running. */
  readonly start: (id: string, timeout: Duration.DurationInput) => Effect.Effect<boolean, EngineError>
  readonly pause: (id: string) => Effect.Effect<void, EngineError>
  readonly unpause: (id: string) => Effect.Effect<void, EngineError>
  /** Runs a command in a running container to its end. At the timeout it is not waited for any longer. */
  readonly exec: (
    id: string,
    argv: ReadonlyArray<string>,
    timeout: Duration.DurationInput
  ) => Effect.Effect<ExecResult, EngineError>
  /** Whether this command runs in the container now, also one that nobody waits for any longer. */
  readonly isAtWork: (id: string, argv: ReadonlyArray<string>) => Effect.Effect<boolean, EngineError>
}

/** For a question. */
const ask = Duration.seconds(10)

/** The newest API version that this client knows: an engine of today still speaks it. */
const newest = [1, 47] as const

const earlier = (a: readonly [number, number], b: readonly [number, number]) =>
  a[0] === b[0] ? a[1] < b[1] : a[0] < b[0]

const versionOf = (text: string | undefined): readonly [number, number] | undefined => {
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(text ?? "") ?? []
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)]
}

/** The `errno` name of a failed connection, or what the transport says. */
const codeOf = (cause: unknown): string => {
  if (Predicate.hasProperty(cause, "code") && typeof cause.code === "string" && !cause.code.startsWith("UND_")) {
    return cause.code
  }
  return cause instanceof Error ? cause.message : String(cause)
}

/** There is no such container or command: the answers to other routes with this status mean something else. */
const ofContainer = /\/(containers\/[^/]+|exec)\/[^/]+/

const isTransport = Predicate.or(Predicate.isTagged("RequestError"), Predicate.isTagged("ResponseError"))

/** The messages of an exec without a terminal come in frames: 8 bytes of header, of which the last 4 are the length. */
const unframe = (bytes: Buffer): string => {
  const parts: Array<Buffer> = []
  let at = 0
  while (at + 8 <= bytes.length && (bytes[at] ?? 3) <= 2) {
    const length = bytes.readUInt32BE(at + 4)
    parts.push(bytes.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  // joined first: a frame may end within a character
  return printable((at === 0 ? bytes : Buffer.concat(parts)).toString("utf8").trim().slice(-4096))
}

/** The engine at `origin`, reached by `http`. Nothing is asked yet. */
export const make = Effect.fnUntraced(function*(
  http: HttpClient.HttpClient,
  endpoint: { readonly host: string; readonly origin: string }
): Effect.fn.Return<Engine> {
  const { host, origin } = endpoint
  const negotiated = yield* Ref.make(Option.none<string>())

  const failure = (route: string) => (error: unknown): EngineError => {
    const cause = isTransport(error) && Predicate.hasProperty(error, "cause") ? error.cause : error
    // the bytes are no HTTP
    if (cause instanceof Error && cause.name === "HTTPParserError") {
      return new EngineAnswerInvalid({ host, route, reason: codeOf(cause) })
    }
    return new EngineUnreachable({ host, route, code: codeOf(cause) })
  }

  const problem = Effect.fnUntraced(function*(route: string, response: HttpClientResponse.HttpClientResponse) {
    const text = yield* Effect.mapError(response.text, failure(route))
    // some versions answer errors in plain text
    const reason = Option.match(Schema.decodeUnknownOption(Schema.parseJson(Schemas.Problem))(text), {
      onNone: () => printable(text.trim().slice(0, 500)) || "no reason is given",
      onSome: ({ message }) => printable(message)
    })
    const asked = { host, route, reason }
    if (response.status === 404 && ofContainer.test(route)) return yield* new ContainerNotFound(asked)
    if (response.status === 409) return yield* new EngineConflict(asked)
    return yield* new EngineRefused({ ...asked, status: response.status })
  })

  const limited = (route: string, limit: Duration.DurationInput) => <A>(call: Effect.Effect<A, EngineError>) =>
    call.pipe(
      Effect.disconnect,
      Effect.timeoutFail({
        duration: limit,
        onTimeout: () => new EngineTimeout({ host, route, after: Duration.format(limit) })
      })
    )

  const send = (request: HttpClientRequest.HttpClientRequest, path: string) =>
    Effect.gen(function*() {
      const route = `${request.method} ${path.split("?")[0]}`
      const response = yield* Effect.mapError(http.execute(request), failure(route))
      if (response.status === 304 || (response.status >= 200 && response.status < 300)) return response
      return yield* problem(route, response)
    })

  const get = (path: string) => send(HttpClientRequest.get(`${origin}${path}`), path)

  /** The body, which is read also when it is not wanted: else its connection could not be used again. */
  const textOf = (route: string) => (response: HttpClientResponse.HttpClientResponse) =>
    Effect.mapError(response.text, failure(route))

  const decode = <A, I>(route: string, schema: Schema.Schema<A, I>) => {
    const parse = Schema.decodeUnknown(Schema.parseJson(schema))
    const invalid = (reason: string) => new EngineAnswerInvalid({ host, route, reason })
    return (text: string) =>
      isTooDeep(text)
        ? invalid("it is nested too deep")
        : Effect.mapError(
          parse(text),
          (error) => invalid(ParseResult.TreeFormatter.formatErrorSync(error).slice(0, 500))
        )
  }

  const version = Effect.gen(function*() {
    const response = yield* get("/version")
    return yield* Effect.flatMap(textOf("GET /version")(response), decode("GET /version", Schemas.Version))
  })

  /** An unversioned request means the newest version of the engine, which may answer otherwise than is known here. */
  const negotiate = Effect.gen(function*() {
    const known = yield* Ref.get(negotiated)
    if (Option.isSome(known)) return known.value
    const response = yield* get("/_ping")
    yield* textOf("GET /_ping")(response)
    const offered = versionOf(response.headers["api-version"]) ?? versionOf((yield* version).ApiVersion)
    if (offered === undefined) {
      return yield* new EngineAnswerInvalid({ host, route: "GET /_ping", reason: "it names no API version" })
    }
    const agreed = earlier(offered, newest) ? offered : newest
    const prefix = `/v${agreed.join(".")}`
    yield* Ref.set(negotiated, Option.some(prefix))
    return prefix
  })

  /** The engine has been replaced by one of another version, and has done nothing. */
  const isOutdated = (error: EngineError) =>
    error._tag === "EngineRefused" && error.status === 400 && /client version/i.test(error.reason)
      ? Effect.as(Ref.set(negotiated, Option.none()), true)
      : Effect.succeed(false)

  const versioned = <A>(path: string, call: (whole: string) => Effect.Effect<A, EngineError>) =>
    Effect.flatMap(negotiate, (prefix) => call(`${prefix}${path}`)).pipe(Effect.retry({ times: 1, while: isOutdated }))

  /** A connection that was kept from before a restart of the engine fails once: a question may be asked again. */
  const again = Schedule.intersect(Schedule.recurs(1), Schedule.spaced("20 millis"))

  const question = <A, I>(path: string, schema: Schema.Schema<A, I>) => {
    const route = `GET ${path.split("?")[0]}`
    return versioned(path, get).pipe(
      Effect.flatMap(textOf(route)),
      Effect.retry({ schedule: again, while: ({ _tag }) => _tag === "EngineUnreachable" }),
      Effect.flatMap(decode(route, schema)),
      limited(route, ask)
    )
  }

  const order = (path: string, limit: Duration.DurationInput) => {
    const route = `POST ${path.split("?")[0]}`
    return versioned(path, (whole) => send(HttpClientRequest.post(`${origin}${whole}`), path)).pipe(
      Effect.tap((response) => textOf(route)(response)),
      limited(route, limit)
    )
  }

  const post = (path: string, body: Readonly<Record<string, unknown>>) =>
    versioned(
      path,
      (whole) => send(HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(`${origin}${whole}`), body), path)
    )

  const containerPath = (id: string, rest: string) => `/containers/${encodeURIComponent(id)}/${rest}`

  const execPath = (id: string, rest: string) => `/exec/${encodeURIComponent(id)}/${rest}`

  const execState = (id: string) => question(execPath(id, "json"), Schemas.ExecState)

  const runExec = Effect.fnUntraced(function*(id: string, argv: ReadonlyArray<string>) {
    const created = yield* post(containerPath(id, "exec"), { Cmd: argv, AttachStdout: true, AttachStderr: true })
    const route = "POST /containers/{id}/exec"
    const { Id } = yield* Effect.flatMap(textOf(route)(created), decode(route, Schemas.ExecCreated))
    const started = yield* post(execPath(Id, "start"), { Detach: false, Tty: false })
    const bytes = yield* Effect.mapError(started.arrayBuffer, failure("POST /exec/{id}/start"))
    // its output may end before the engine knows of its end
    const state = yield* Effect.repeat(execState(Id), {
      until: ({ ExitCode, Running }) => !Running && ExitCode != null,
      schedule: Schedule.identity<typeof Schemas.ExecState.Type>().pipe(Schedule.addDelay(() => 10))
    })
    return { exitCode: state.ExitCode ?? -1, output: unframe(Buffer.from(bytes)) }
  })

  const isAtWork: Engine["isAtWork"] = (id, argv) =>
    Effect.flatMap(
      question(containerPath(id, "json"), Schemas.Container),
      ({ ExecIDs }) =>
        Effect.exists(ExecIDs, (exec) =>
          execState(exec).pipe(
            Effect.map(({ ProcessConfig, Running }) =>
              Running && [ProcessConfig.entrypoint, ...ProcessConfig.arguments].join("\0") === argv.join("\0")
            ),
            Effect.catchTag("ContainerNotFound", () => Effect.succeed(false))
          ))
    )

  return {
    host,
    isAtWork,
    describe: Effect.zipWith(negotiate, version, (prefix, { Components, Version }) => {
      const name = Components.some(({ Name }) => Name.startsWith("Podman")) ? "Podman" : "Docker"
      return `${name} ${Version} (API ${prefix.slice(2)})`
    }).pipe(limited("GET /version", ask)),
    list: ({ all, labels }) => {
      const filters = labels === undefined ? "" : `&filters=${encodeURIComponent(JSON.stringify({ label: labels }))}`
      return question(`/containers/json?all=${all === true}${filters}`, Schemas.Summaries)
    },
    inspect: (id) => question(containerPath(id, "json"), Schemas.Container),
    stop: (id, { grace, timeout }) =>
      Effect.asVoid(order(containerPath(id, grace === undefined ? "stop" : `stop?t=${grace}`), timeout)),
    start: (id, timeout) => Effect.map(order(containerPath(id, "start"), timeout), ({ status }) => status !== 304),
    pause: (id) => Effect.asVoid(order(containerPath(id, "pause"), ask)),
    unpause: (id) => Effect.asVoid(order(containerPath(id, "unpause"), ask)),
    exec: (id, argv, timeout) => limited("POST /containers/{id}/exec", timeout)(runExec(id, argv))
  }
})
