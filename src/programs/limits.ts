/**
 * Limits that hold: time that nobody can set, and calls that end although they never answer.
 */
import { Clock, Duration, Effect } from "effect"
import { MarkerStoreError } from "../services/MarkerStore.ts"

/** Milliseconds since now, by the monotonic clock: a clock that is set must neither shorten nor lengthen a limit. */
export const stopwatch: Effect.Effect<Effect.Effect<number>> = Effect.map(
  Clock.currentTimeNanos,
  (began) => Effect.map(Clock.currentTimeNanos, (now) => Number(now - began) / 1e6)
)

/** Waits no longer than the limit, also for a call that cannot be interrupted; that one then goes on for nobody. */
export const bounded =
  <E2>(limit: Duration.DurationInput, onTimeout: () => E2) =>
  <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
    call.pipe(Effect.disconnect, Effect.timeoutFail({ duration: limit, onTimeout }))

const storeTimeout = Duration.seconds(15)

/** A state directory that stands still (a dead network disk, a frozen file system) must neither hold an app nor a lock. */
export const answered =
  (operation: MarkerStoreError["operation"], limit: Duration.DurationInput = storeTimeout) =>
  <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | MarkerStoreError, R> =>
    bounded(limit, () => new MarkerStoreError({ operation, reason: "the state directory does not answer" }))(call)
