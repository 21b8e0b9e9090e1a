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
<<<<<<< HEAD
  return yield* Client.make({
    http,
    url: "url" in options ? options.url.replace(/\/+$/, "") : "http://agent",
    secret: token === undefined ? "" : Redacted.value(token),
    fingerprint,
    statusWait,
    flaw
=======
  const api = yield* HttpApiClient.makeWith(AgentApi, {
    httpClient: http.pipe(
      secret === "" ? identity : HttpClient.mapRequest(HttpClientRequest.bearerToken(secret)),
      HttpClient.transformResponse(Effect.flatMap(judge))
    ),
    baseUrl: "url" in options ? options.url.replace(/\/+$/, "") : "http://agent"
  })

  // an answer that has the secret in it must not bring it into an error, a report or a log
  const hidden = (text: string) => secret === "" ? text : text.replaceAll(secret, "<redacted>")

  const asking = Question.make({ fingerprint, hidden })
  const ask: Question.Ask = (question, limit, runId) =>
    flaw === undefined ? asking(question, limit, runId) : new AgentRefused({ reason: flaw })

  const about = (runId: RunId, question: Effect.Effect<BackupStatus, Trouble>, limit: Duration.DurationInput) =>
    ask(question, limit, runId).pipe(
      Effect.filterOrFail(
        (status) => status.runId === runId,
        (status) => new AgentAnswerInvalid({ reason: `it is about run ${status.runId}, not ${runId}` })
      ),
      Effect.map((status) => ({
        ...status,
        ...status.artifact === undefined ? {} : { artifact: hidden(status.artifact) },
        ...status.error === undefined ? {} : { error: hidden(status.error) }
      }))
    )

  const status = (runId: RunId, after: number, wait = Duration.decode(statusWait)) =>
    about(
      runId,
      api.backups.status({ path: { runId }, urlParams: { after, wait } }),
      Duration.sum(wait, limits.slack)
    )

  const ended = Effect.fnUntraced(function*(runId: RunId) {
    const first = yield* about(runId, api.backups.cancel({ path: { runId } }), Duration.sum(limits.tell, limits.slack))
    if (isOver(first)) return
    yield* Question.paced(status(runId, first.revision), isOver).pipe(
      Effect.timeoutFail({
        duration: limits.cancel,
        onTimeout: () => new AgentUnavailable({ reason: "the backup was cancelled, and was not seen to end" })
      })
    )
  })

  const cancel = Effect.fn("AgentClientHttp.cancel")((runId: RunId) =>
    // one that the agent has never heard of is over
    Effect.catchTag(ended(runId), "BackupUnknown", () => Effect.void)
  )

  return AgentClient.of({
    preflight: Effect.withSpan(
      Effect.map(ask(api.health({}), limits.work), ({ offer }) => ({ ...offer, notes: offer.notes.map(hidden) })),
      "AgentClientHttp.preflight"
    ),
    request: Effect.fn("AgentClientHttp.request")((runId) =>
      about(runId, api.backups.request({ payload: { runId } }), limits.tell)
    ),
    prepare: (runId) => ask(api.backups.prepare({ path: { runId } }), limits.work, runId),
    quiesced: (runId) => about(runId, api.backups.quiesced({ path: { runId } }), limits.tell),
    status: (runId, after) => status(runId, after),
    cancel,
    asked: Question.paced(
      Effect.map(
        ask(
          api.requests({ urlParams: { wait: Duration.decode(statusWait) } }),
          Duration.sum(statusWait, limits.slack)
        ),
        ({ requests: [first] }) => Option.fromNullable(first)
      ),
      Option.isSome
    ).pipe(
      Effect.map(Option.map(({ runId }) => runId)),
      Effect.flatMap(Option.match({ onNone: () => Effect.never, onSome: Effect.succeed }))
    ),
    // what a dead run left is on the agent's machine, and the agent's own business
    sweep: Effect.succeed([])
>>>>>>> split
  })
})

/**
 * A client of an agent. Nothing is asked before it is used; what is wrong with the options is then said by every call.
 * Its connections are closed with the scope.
 */
export const layer = (options: AgentClientHttpOptions): Layer.Layer<AgentClient> =>
  Layer.scoped(AgentClient, make(options))
