/**
 * Limits that hold: calls end although they never answer.
 */
import { Duration, Effect } from "effect"
import { AgentUnavailable } from "../services/AgentClient.ts"
import { MarkerStore, MarkerStoreError } from "../services/MarkerStore.ts"

/** Waits no longer than the limit, also for a call that cannot be interrupted; that one then goes on for nobody. */
export const bounded =
  <E2>(limit: Duration.DurationInput, onTimeout: () => E2) =>
  <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
    call.pipe(Effect.disconnect, Effect.timeoutFail({ duration: limit, onTimeout }))

/** An agent that says nothing is one that is away. */
export const heard = (limit: Duration.DurationInput) =>
  bounded(limit, () => new AgentUnavailable({ reason: `no answer within ${Duration.format(limit)}` }))

/**
 * The markers, with a limit for every call: a state directory that stands still (a dead network disk, a frozen file system)
 * must neither hold an app nor a lock. A limit ends the wait only where the call can be interrupted.
 */
export const patientMarkers = (limit: Duration.DurationInput = "15 seconds") =>
  Effect.map(MarkerStore, (markers): MarkerStore["Type"] => {
    const answered = (operation: MarkerStoreError["operation"]) =>
      bounded(limit, () => new MarkerStoreError({ operation, reason: "the state directory does not answer" }))
    return {
      check: answered("check")(markers.check),
      mine: markers.mine,
      write: (draft) => answered("write")(markers.write(draft)),
      note: (runId, note) => answered("note")(markers.note(runId, note)),
      clear: (name) => answered("clear")(markers.clear(name)),
      quarantine: (name) => answered("quarantine")(markers.quarantine(name)),
      list: answered("list")(markers.list)
    }
  })
