/**
 * The contract of an agent client, over HTTP: each question, for how long it is asked, and what its answer means.
 */
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { Duration, Effect, identity, Option } from "effect"
import type { BackupStatus } from "../../domain/Backup.ts"
import type { RunId } from "../../domain/RunId.ts"
import { AgentApi } from "../../protocol/AgentApi.ts"
import { AgentAnswerInvalid, AgentClient, AgentRefused, AgentUnavailable } from "../../services/AgentClient.ts"
import { judge, type Trouble } from "./answer.ts"
import * as Question from "./question.ts"

export interface ClientOptions {
  readonly http: HttpClient.HttpClient
  readonly url: string
  /** "" for none. */
  readonly secret: string
  readonly fingerprint: string | undefined
  /** How long the agent may wait for a change before it answers. */
  readonly statusWait: Duration.DurationInput
  /** What is wrong with the options: said to every question. */
  readonly flaw: string | undefined
}

/** For what the agent answers at once, what it may need some time for, and what is added to a wait. */
const limits = {
  tell: Duration.seconds(10),
  work: Duration.seconds(60),
  slack: Duration.seconds(10),
  cancel: Duration.minutes(2)
}

const isOver = ({ phase }: BackupStatus) => phase === "done" || phase === "failed"

/** A client of the agent at `url`, reached by `http`. Nothing is asked yet. */
export const make = Effect.fnUntraced(function*(options: ClientOptions) {
  const { fingerprint, flaw, http, secret, statusWait, url } = options
  const api = yield* HttpApiClient.makeWith(AgentApi, {
    httpClient: http.pipe(
      secret === "" ? identity : HttpClient.mapRequest(HttpClientRequest.bearerToken(secret)),
      HttpClient.transformResponse(Effect.flatMap(judge))
    ),
    baseUrl: url
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
  })
})
