/**
 * One question to an agent, from the first attempt to an answer or an error of the contract, with an end in any case.
 */
import { Duration, Effect, Schedule } from "effect"
import type { RunId } from "../../domain/RunId.ts"
import { type AgentError, AgentUnavailable } from "../../services/AgentClient.ts"
import { classify } from "../http/failure.ts"
import { errorOf, type Trouble } from "./answer.ts"

export interface Asking {
  readonly fingerprint: string | undefined
  /** Takes secrets out of what the other end has said. */
  readonly hidden: (text: string) => string
}

export type Ask = <A>(
  question: Effect.Effect<A, Trouble>,
  limit: Duration.DurationInput,
  runId?: RunId
) => Effect.Effect<A, AgentError>

/** The longest `Retry-After`, in seconds, that is waited for here. */
const longestRetry = 10

/** Between two questions to an agent that should have waited and did not. */
const pace = Duration.seconds(1)

/** A connection that was kept too long fails once. Every question may be asked again. */
const isCut = (trouble: Trouble) =>
  trouble._tag === "RequestError" && classify(trouble.cause ?? trouble).kind === "broken"

const once = Schedule.intersect(Schedule.recurs(1), Schedule.spaced("20 millis"))

const asTold = Schedule.identity<Trouble>().pipe(
  Schedule.addDelay((trouble) => Duration.seconds(trouble._tag === "Throttled" ? trouble.seconds : 0))
)

/** Asks again where that may help at once, or where the agent says when; within the limit. */
export const make = ({ fingerprint, hidden }: Asking): Ask => (question, limit, runId) =>
  question.pipe(
    // a body that nobody wants is read too: else its connection could not be used again
    Effect.tapError((trouble) => trouble._tag === "ResponseError" ? Effect.ignore(trouble.response.text) : Effect.void),
    Effect.retry({ schedule: once, while: isCut }),
    Effect.retry({
      schedule: asTold,
      while: (trouble) => trouble._tag === "Throttled" && trouble.seconds <= longestRetry
    }),
    Effect.mapError((trouble) => errorOf(trouble, { runId, fingerprint, hidden })),
    Effect.disconnect,
    Effect.timeoutFail({
      duration: limit,
      onTimeout: () => new AgentUnavailable({ reason: `no answer within ${Duration.format(limit)}` })
    })
  )

/** Asks until the answer is such. An agent that does not wait is not asked without end. */
export const paced = <A>(question: Effect.Effect<A, AgentError>, until: (answer: A) => boolean) =>
  Effect.timed(question).pipe(
    Effect.repeat({
      until: ([, answer]) => until(answer),
      schedule: Schedule.identity<readonly [Duration.Duration, A]>().pipe(
        Schedule.addDelay(([took]) => Duration.max("5 millis", Duration.subtract(pace, took)))
      )
    }),
    Effect.map(([, answer]) => answer)
  )
