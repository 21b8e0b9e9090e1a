/**
 * What the answers of an agent, and their absence, mean to its client.
 */
import type * as HttpApiError from "@effect/platform/HttpApiError"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Effect, Option, ParseResult, Schema } from "effect"
import type { RunId } from "../../domain/RunId.ts"
import type { Busy, NotFound, Refused, TooManyRequests, Unauthorized } from "../../protocol/AgentApi.ts"
import {
  AgentAnswerInvalid,
  AgentBusy,
  type AgentError,
  AgentRefused,
  AgentUnavailable,
  BackupUnknown
} from "../../services/AgentClient.ts"
import { classify } from "../http/failure.ts"
import { isTooDeep } from "../jsonDepth.ts"
import { oneLine as line } from "../oneLine.ts"
import { isPlain } from "../tagged.ts"

/** The agent is asked too often, or has too much to do: it says when to come again. */
export class Throttled extends Schema.TaggedError<Throttled>()("Throttled", {
  status: Schema.Number,
  seconds: Schema.Number
}) {}

/** Everything in which a question can end. */
export type Trouble =
  | AgentRefused
  | AgentUnavailable
  | AgentAnswerInvalid
  | Throttled
  | Unauthorized
  | TooManyRequests
  | NotFound
  | Busy
  | Refused
  | HttpApiError.HttpApiDecodeError
  | HttpClientError.HttpClientError
  | ParseResult.ParseError

/** Statuses whose body says what they mean. */
const spoken = new Set([200, 202, 400, 404, 409])

const retryAfter = ({ headers }: HttpClientResponse.HttpClientResponse): number | undefined => {
  const text = headers["retry-after"] ?? ""
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined
}

const parseJson = Schema.decodeUnknownOption(Schema.parseJson())

/** Whether the decoder of the protocol can be given this: it has answers for what is no JSON at all. */
const isFit = (body: ArrayBuffer, status: number): boolean => {
  const text = new TextDecoder().decode(body)
  if (isTooDeep(text)) return false
  return status < 400 || Option.getOrElse(Option.map(parseJson(text), isPlain), () => true)
}

const stranger = (status: number) =>
  new AgentAnswerInvalid({ reason: `status ${status}: is this the address of a quiesce agent?` })

/** Passes on what the protocol knows. For the rest the status decides, not a body that may be that of a proxy. */
export const judge = Effect.fnUntraced(function*(
  response: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<
  HttpClientResponse.HttpClientResponse,
  AgentRefused | AgentUnavailable | AgentAnswerInvalid | Throttled
> {
  const { headers, status } = response
  if (status === 204) return response
  if (spoken.has(status)) {
    const isJson = /^application\/json\s*(;|$)/i.test(headers["content-type"] ?? "")
    // read as the decoder of the protocol reads it: so the response remembers it, and says what cannot be read
    const body = yield* Effect.option(response.arrayBuffer)
    if (isJson && (Option.isNone(body) || isFit(body.value, status))) return response
    return yield* new AgentAnswerInvalid({ reason: `status ${status} with a body that is not JSON of the protocol` })
  }
  // read, though unwanted: else the connection could not be used again
  yield* Effect.ignore(response.text)
  if (status === 401 || status === 403) {
    return yield* new AgentRefused({
      reason: `it does not accept the token (status ${status}): it is wrong, expired or revoked, or that of another ` +
        "agent; make a new one on the host with 'quiesce agent token', and keep it in the token file"
    })
  }
  const seconds = retryAfter(response)
  if (status === 429 || (status === 503 && seconds !== undefined)) {
    return yield* new Throttled({ status, seconds: seconds ?? 1 })
  }
  if (status === 408 || status >= 500) {
    return yield* new AgentUnavailable({ reason: `it answered with status ${status}` })
  }
  return yield* stranger(status)
})

/** The error that a question has ended in, as the contract of the client knows it. */
export const errorOf = (
  trouble: Trouble,
  about: {
    readonly runId: RunId | undefined
    readonly fingerprint: string | undefined
    /** Takes secrets out of what the other end has said. */
    readonly hidden: (text: string) => string
  }
): AgentError => {
  const printed = (text: string) => line(about.hidden(text))
  switch (trouble._tag) {
    case "AgentRefused":
    case "AgentUnavailable":
    case "AgentAnswerInvalid":
      return trouble
    case "Throttled":
      return new AgentUnavailable({ reason: `it has too much to do (status ${trouble.status})` })
    case "TooManyRequests":
      return new AgentUnavailable({ reason: "it has too much to do" })
    case "Unauthorized":
      return new AgentRefused({ reason: "it does not accept the token" })
    case "Busy":
      return new AgentBusy({ reason: printed(trouble.reason) })
    case "Refused":
      return new AgentRefused({ reason: printed(trouble.reason) })
    case "NotFound":
      return about.runId === undefined ? stranger(404) : new BackupUnknown({ runId: about.runId })
    case "HttpApiDecodeError":
      return new AgentRefused({ reason: "it does not understand the request: is it of another version?" })
    case "ParseError":
      return new AgentAnswerInvalid({ reason: printed(ParseResult.TreeFormatter.formatErrorSync(trouble)) })
    case "ResponseError": {
      // the status is none that this question has
      if (trouble.cause === undefined) return stranger(trouble.response.status)
      const { kind, reason } = classify(trouble.cause)
      return new AgentAnswerInvalid({
        reason: printed(kind === "broken" ? `it ends in the middle: ${reason}` : reason)
      })
    }
    case "RequestError": {
      const { kind, reason } = classify(trouble.cause ?? trouble)
      if (kind === "broken") return new AgentUnavailable({ reason })
      if (kind === "garbage") return new AgentAnswerInvalid({ reason: printed(reason) })
      return new AgentRefused({
        reason: about.fingerprint === undefined
          ? `${reason}: configure its fingerprint, which the agent says when it starts`
          : `${reason} (${about.fingerprint}): somebody else answers, or the agent has a new certificate`
      })
    }
  }
}
