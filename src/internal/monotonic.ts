/**
 * Time that nobody can set: what a limit is measured by. A clock that is put forward or back must neither shorten nor
 * lengthen it.
 */
import { Clock, Effect } from "effect"

/** Milliseconds since some moment in the past. */
export const millis: Effect.Effect<number> = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Milliseconds since now. */
export const stopwatch: Effect.Effect<Effect.Effect<number>> = Effect.map(
  millis,
  (began) => Effect.map(millis, (now) => now - began)
)
