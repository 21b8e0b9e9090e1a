import { Clock, Effect } from "effect"

/**
 * Milliseconds of a clock that nobody can set: what is waited for and limited is measured by it, and the wall clock is
 * for people and timetables alone.
 */
export const ticks: Effect.Effect<number> = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
