/**
 * The time by which a run waits and limits: the wall clock, which somebody may set, is for people and timetables alone.
 */
import { Clock, Effect } from "effect"

/** Milliseconds of a clock that nobody can set. */
export const ticks: Effect.Effect<number> = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
