/**
 * Whether the agent was away: it left the last thing that it was asked without an answer.
 */
import { Cause, Effect, Exit, Option, Ref } from "effect"
import type { AgentClient, AgentError } from "../services/AgentClient.ts"

/** The agent may answer later. */
export const isTransient = (error: AgentError) =>
  error._tag === "AgentUnavailable" || error._tag === "AgentAnswerInvalid"

const isSilence = (exit: Exit.Exit<unknown, AgentError>) =>
  Exit.isFailure(exit) && Option.match(Cause.failureOption(exit.cause), {
    // nobody waited for the answer any longer
    onNone: () => Cause.isInterrupted(exit.cause),
    onSome: isTransient
  })

/** The client, noting whether the agent has left the last question without an answer. */
export const observed = (agent: AgentClient["Type"], silent: Ref.Ref<boolean>): AgentClient["Type"] => {
  const note = <A>(call: Effect.Effect<A, AgentError>) =>
    Effect.onExit(call, (exit) => Ref.set(silent, isSilence(exit)))
  return {
    ...agent,
    preflight: note(agent.preflight),
    request: (runId) => note(agent.request(runId)),
    quiesced: (runId) => note(agent.quiesced(runId)),
    status: (runId, after) => note(agent.status(runId, after)),
    cancel: (runId) => note(agent.cancel(runId))
  }
}
