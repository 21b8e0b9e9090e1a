/**
 * A thin client of Proxmox VE's REST API: the routes that one backup of one guest needs, and no others.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { Duration, Effect, Either, ParseResult, Redacted, Schedule, Schema } from "effect"
import { Upid } from "../../domain/Upid.ts"
import { isTooDeep } from "../jsonDepth.ts"
import { ProxmoxAnswerInvalid, type ProxmoxError, ProxmoxTimeout } from "./errors.ts"
import { type Asked, failureOf, line, problemOf } from "./failure.ts"
import * as Schemas from "./schemas.ts"

/** One node, asked with one token. */
export interface Proxmox {
  readonly node: string
  /** `user@realm!tokenid`, as it stands in the UPIDs of its tasks. */
  readonly user: string
  /** The names of the nodes. Needs no privilege. */
  readonly nodes: Effect.Effect<ReadonlyArray<string>, ProxmoxError>
  /** The privileges that the token has on a path. Needs no privilege. */
  readonly privileges: (path: string) => Effect.Effect<ReadonlySet<string>, ProxmoxError>
  readonly storage: (storage: string) => Effect.Effect<Schemas.StorageStatus, ProxmoxError>
  /** The vzdump tasks that run and that the token may see: all with `Sys.Audit`, else its own. */
  readonly running: Effect.Effect<ReadonlyArray<Upid>, ProxmoxError>
  /** The newest vzdump tasks of a guest that the token may see, ended or not. */
  readonly tasks: (vmid: number) => Effect.Effect<ReadonlyArray<Upid>, ProxmoxError>
  /** `OK` means that nothing was begun: the guest is not on this node. */
  readonly vzdump: (
    parameters: Readonly<Record<string, string | number>>
  ) => Effect.Effect<Upid | "OK", ProxmoxError>
  readonly status: (upid: Upid) => Effect.Effect<Schemas.TaskStatus, ProxmoxError>
  /** The lines after the first `start` ones, some hundreds at once. */
  readonly log: (upid: Upid, start: number) => Effect.Effect<Schemas.LogPage, ProxmoxError>
  /** Asks the task to end: SIGTERM, and SIGKILL 5 seconds later. */
  readonly stop: (upid: Upid) => Effect.Effect<void, ProxmoxError>
}

/** What is at the other end. */
export interface Endpoint {
  /** `https://host:8006`. */
  readonly url: string
  readonly node: string
  /** `USER@REALM!TOKENID=SECRET`. */
  readonly token: Redacted.Redacted<string>
  readonly fingerprint?: string | undefined
}

/** Bytes of the largest answer that is read. */
export const maxResponse = 4 * 1024 * 1024

/** For a question. A wrong token is answered after 3 seconds. */
const ask = Duration.seconds(10)
/** For an order: its caller holds the app down meanwhile. */
const order = Duration.seconds(6)

const logLines = 500
const listedTasks = 50

/** The user with the name of the token, and its secret. */
export const tokenForm = /^([^\s@!=]+@[^\s@!=]+![^\s@!=]+)=([\x21-\x7e]+)$/

/** A connection that was kept too long fails once: a question may be asked again. */
const again = Schedule.intersect(Schedule.recurs(1), Schedule.spaced("20 millis"))

type Query = Readonly<Record<string, string | number>>

/** The API at `url`, reached by `http`. Nothing is asked yet. */
export const make = (http: HttpClient.HttpClient, endpoint: Endpoint): Proxmox => {
  const { fingerprint, node } = endpoint
  const url = endpoint.url.replace(/\/+$/, "")
  const host = url.replace(/^https?:\/\//, "")
  const token = Redacted.value(endpoint.token)
  const [, user = "", secret = ""] = tokenForm.exec(token) ?? []

  // an answer that has the secret in it must not bring it into an error, a report or a log
  const hidden = (text: string) => secret === "" ? text : text.replaceAll(secret, "<redacted>")

  const limited = <A>(route: string, limit: Duration.Duration, call: Effect.Effect<A, ProxmoxError>) =>
    call.pipe(
      Effect.disconnect,
      Effect.timeoutFail({
        duration: limit,
        onTimeout: () => new ProxmoxTimeout({ host, route, after: Duration.format(limit) })
      })
    )

  const asked = (request: HttpClientRequest.HttpClientRequest): Asked => ({
    host,
    route: `${request.method} ${request.url}`,
    fingerprint,
    hidden
  })

  const send = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.gen(function*() {
      const response = yield* http.execute(request.pipe(
        HttpClientRequest.prependUrl(`${url}/api2/json`),
        // the server decodes it as part of a URL
        HttpClientRequest.setHeader("authorization", `PVEAPIToken=${token.replaceAll("%", "%25")}`)
      ))
      const text = yield* response.text
      if (response.status >= 200 && response.status < 300) return text
      return yield* problemOf(asked(request), response, text)
    }).pipe(
      Effect.catchTags({
        RequestError: (error) => failureOf(asked(request), error.cause ?? error),
        ResponseError: (error) => failureOf(asked(request), error.cause ?? error)
      })
    )

  const read = <A, I>(request: HttpClientRequest.HttpClientRequest, schema: Schema.Schema<A, I>) => {
    const parse = Schema.decodeUnknownEither(
      Schema.parseJson(schema, { reviver: (_, value: unknown) => typeof value === "string" ? hidden(value) : value })
    )
    const { route } = asked(request)
    const invalid = (reason: string) => new ProxmoxAnswerInvalid({ host, route, reason })
    return (text: string) =>
      isTooDeep(text)
        ? Either.left(invalid("it is nested too deep"))
        : Either.mapLeft(parse(text), (error) =>
          invalid(line({ hidden }, ParseResult.TreeFormatter.formatErrorSync(error))))
  }

  const repeatable = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.retry(send(request), {
      schedule: again,
      while: (error) => error._tag === "ProxmoxUnreachable" && error.sent
    })

  const get = <A, I>(path: string, schema: Schema.Schema<A, I>, urlParams: Query = {}) => {
    const request = HttpClientRequest.get(path, { urlParams })
    return limited(asked(request).route, ask, Effect.flatMap(repeatable(request), read(request, schema)))
  }

  const data = <A, I>(path: string, schema: Schema.Schema<A, I>, query?: Query) =>
    Effect.map(get(path, Schemas.answer(schema), query), (answer) => answer.data)

  const nodePath = `/nodes/${encodeURIComponent(node)}`
  const taskPath = (upid: Upid) => `${nodePath}/tasks/${encodeURIComponent(upid)}`
  const isUpid = Schema.is(Upid)

  const list = (query: Query) =>
    data(`${nodePath}/tasks`, Schema.Array(Schemas.ListedTask), {
      typefilter: "vzdump",
      limit: listedTasks,
      ...query
    })

  const upids = (tasks: ReadonlyArray<Schemas.ListedTask>) => tasks.map(({ upid }) => upid).filter(isUpid)

  return {
    node,
    user,
    nodes: Effect.map(data("/nodes", Schema.Array(Schemas.Node)), (all) => all.map((one) => one.node)),
    privileges: (path) =>
      Effect.map(
        data("/access/permissions", Schemas.Permissions, { path }),
        (all) => new Set(Object.keys(all[path] ?? {}))
      ),
    storage: (storage) => data(`${nodePath}/storage/${encodeURIComponent(storage)}/status`, Schemas.StorageStatus),
    running: Effect.map(
      list({ source: "active" }),
      (tasks) => upids(tasks.filter(({ endtime }) => endtime === undefined))
    ),
    tasks: (vmid) => Effect.map(list({ source: "all", vmid }), upids),
    vzdump: (parameters) => {
      const request = HttpClientRequest.post(`${nodePath}/vzdump`).pipe(HttpClientRequest.bodyUrlParams(parameters))
      const begun = Schemas.answer(Schema.Union(Upid, Schema.Literal("OK")))
      return limited(asked(request).route, order, Effect.flatMap(send(request), read(request, begun))).pipe(
        Effect.map((answer) => answer.data)
      )
    },
    status: (upid) => data(`${taskPath(upid)}/status`, Schemas.TaskStatus),
    log: (upid, start) => get(`${taskPath(upid)}/log`, Schemas.LogPage, { start, limit: logLines }),
    stop: (upid) => {
      const request = HttpClientRequest.del(taskPath(upid))
      return limited(asked(request).route, ask, Effect.asVoid(repeatable(request)))
    }
  }
}
