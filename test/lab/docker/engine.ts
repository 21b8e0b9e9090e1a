/**
 * A small client of the Docker Engine API for tests: a witness that shares no code with the project's own client.
 */
import { Effect } from "effect"
import { LabError } from "../postgresInstall.ts"
import { type Answer, request, type RequestOptions } from "./engineRequest.ts"
import type { Inspect, Listed } from "./engineTypes.ts"

export interface Engine {
  readonly socket: string
  /** Any answer is a success; only an engine that does not answer is an error. A body that is no stream goes as JSON. */
  readonly request: (
    method: string,
    path: string,
    body?: unknown,
    options?: RequestOptions
  ) => Effect.Effect<Answer, LabError>
  /** `request`, where any other status than these is an error. */
  readonly call: (
    method: string,
    path: string,
    accept: ReadonlyArray<number>,
    body?: unknown,
    options?: RequestOptions
  ) => Effect.Effect<Answer, LabError>
  /** Answers with the id of the container. */
  readonly create: (name: string | undefined, spec: object) => Effect.Effect<string, LabError>
  /** These answer with the status: 204, or 304 where nothing was to do. */
  readonly start: (id: string) => Effect.Effect<number, LabError>
  readonly stop: (id: string, seconds?: number) => Effect.Effect<number, LabError>
  readonly kill: (id: string, signal?: string) => Effect.Effect<void, LabError>
  readonly pause: (id: string) => Effect.Effect<void, LabError>
  readonly unpause: (id: string) => Effect.Effect<void, LabError>
  /** With its anonymous volumes, also while it runs. One that is gone already is fine. */
  readonly remove: (id: string) => Effect.Effect<void, LabError>
  readonly rename: (id: string, name: string) => Effect.Effect<void, LabError>
  readonly inspect: (id: string) => Effect.Effect<Inspect, LabError>
  /** All containers, also the stopped ones; with all of these labels (`key` or `key=value`) where some are given. */
  readonly list: (labels?: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Listed>, LabError>
  readonly exec: (
    id: string,
    argv: ReadonlyArray<string>,
    options?: { readonly user?: string }
  ) => Effect.Effect<{ readonly code: number; readonly output: string }, LabError>
  readonly logs: (id: string) => Effect.Effect<string, LabError>
  /** Waits until the container is so; 30 s at most. */
  readonly until: (
    id: string,
    what: string,
    condition: (container: Inspect) => boolean
  ) => Effect.Effect<Inspect, LabError>
}

/** The text of an attached stream: frames of 8 bytes (stream, 0, 0, 0, length) and a payload. */
const unframed = (stream: Buffer): string => {
  const pieces: Array<Buffer> = []
  for (let at = 0; at + 8 <= stream.length;) {
    const length = stream.readUInt32BE(at + 4)
    pieces.push(stream.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return Buffer.concat(pieces).toString()
}

const query = (values: Readonly<Record<string, string | number | undefined>>) => {
  const given = new URLSearchParams()
  for (const [key, value] of Object.entries(values)) if (value !== undefined) given.set(key, String(value))
  return given.size === 0 ? "" : `?${given}`
}

/** Asks again and again until the answer is so. */
export const poll = <A, E, R>(
  ask: Effect.Effect<A, E, R>,
  done: (answer: A) => boolean,
  pauseMillis = 20
): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    ask,
    (answer) => done(answer) ? Effect.succeed(answer) : Effect.delay(poll(ask, done, pauseMillis), pauseMillis)
  )

/** The client for the engine behind this UNIX socket. Connects anew for each request. */
export const make = (socket: string): Engine => {
  const call: Engine["call"] = (method, path, accept, body, options) =>
    request(socket, method, path, body, options).pipe(Effect.filterOrFail(
      (answer) => accept.includes(answer.status),
      ({ status, text }) => new LabError({ message: `${method} ${path}: ${status} ${text.trim()}` })
    ))
  const on = (id: string, action: string, accept: ReadonlyArray<number>) =>
    Effect.map(call("POST", `/containers/${id}/${action}`, accept), ({ status }) => status)
  const inspect: Engine["inspect"] = (id) =>
    Effect.map(call("GET", `/containers/${id}/json`, [200]), (answer) => answer.json<Inspect>())
  return {
    socket,
    request: (method, path, body, options) => request(socket, method, path, body, options),
    call,
    create: (name, spec) =>
      Effect.map(
        call("POST", `/containers/create${query({ name })}`, [201], spec),
        (answer) => answer.json<{ readonly Id: string }>().Id
      ),
    start: (id) => on(id, "start", [204, 304]),
    stop: (id, seconds) => on(id, `stop${query({ t: seconds })}`, [204, 304]),
    kill: (id, signal) => Effect.asVoid(on(id, `kill${query({ signal })}`, [204])),
    pause: (id) => Effect.asVoid(on(id, "pause", [204])),
    unpause: (id) => Effect.asVoid(on(id, "unpause", [204])),
    // 409: an automatic removal has begun
    remove: (id) => Effect.asVoid(call("DELETE", `/containers/${id}?force=true&v=true`, [200, 204, 404, 409])),
    rename: (id, name) => Effect.asVoid(on(id, `rename${query({ name })}`, [204])),
    inspect,
    list: (labels) =>
      Effect.map(
        call("GET", `/containers/json${query({ all: "true", filters: JSON.stringify({ label: labels ?? [] }) })}`, [
          200
        ]),
        (answer) => answer.json<ReadonlyArray<Listed>>()
      ),
    exec: Effect.fn("Engine.exec")(function*(id, argv, options) {
      const spec = { AttachStdout: true, AttachStderr: true, Cmd: argv, ...(options?.user && { User: options.user }) }
      const created = yield* call("POST", `/containers/${id}/exec`, [201], spec)
      const exec = created.json<{ readonly Id: string }>().Id
      const { body } = yield* call("POST", `/exec/${exec}/start`, [200], { Detach: false, Tty: false })
      // the stream may end before the exit code is known
      const state = Effect.map(
        call("GET", `/exec/${exec}/json`, [200]),
        (answer) => answer.json<{ readonly Running: boolean; readonly ExitCode: number | null }>()
      )
      const { ExitCode } = yield* poll(state, (now) => !now.Running && now.ExitCode !== null, 10)
      return { code: ExitCode ?? -1, output: unframed(body) }
    }),
    logs: (id) =>
      Effect.map(call("GET", `/containers/${id}/logs?stdout=true&stderr=true`, [200]), ({ body }) => unframed(body)),
    until: (id, what, condition) =>
      poll(inspect(id), condition).pipe(
        Effect.timeout("30 seconds"),
        Effect.catchTag("TimeoutException", () =>
          Effect.flatMap(inspect(id), ({ Name, State }) =>
            new LabError({ message: `${Name} is not ${what} after 30 s: ${JSON.stringify(State)}` })))
      )
  }
}
