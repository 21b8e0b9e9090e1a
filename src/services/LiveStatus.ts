/**
 * The service through which a live run is seen from other processes.
 */
import { Context, type Effect, type Option } from "effect"
import type { LiveRun } from "../domain/LiveRun.ts"

/** Where a live run shows how far it is. */
export class LiveStatus extends Context.Tag("quiesce/services/LiveStatus")<LiveStatus, {
  /** Shows this state from now on. Best effort: a run never fails because nobody can watch it. */
  readonly publish: (live: LiveRun) => Effect.Effect<void>
  /** Shows nothing any more. */
  readonly clear: Effect.Effect<void>
  /** What was shown last. Also a dead run's: only the run lock says whether it lives. */
  readonly read: Effect.Effect<Option.Option<LiveRun>>
}>() {}
