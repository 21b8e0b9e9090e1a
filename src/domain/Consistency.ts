/**
 * What a backup may be called, from evidence alone: causality, never clocks.
 */
import { Schema } from "effect"
import type { EffectiveMode } from "./Backup.ts"

/**
 * `application`: proved that everything was down when the storage was read. `crash`: an atomic snapshot of an app that
 * is not proved down. `none`: no usable point in time.
 */
export const ConsistencyLevel = Schema.Literal("application", "crash", "none")
export type ConsistencyLevel = typeof ConsistencyLevel.Type

/** Why a backup is not called `application`. */
export const Reason = Schema.Literal(
  /** A unit was not seen down before the agent was told. */
  "not-verified-down",
  /** A stop failed, timed out or ended in a kill: the app may not have written everything. */
  "unclean-stop",
  /** A unit was not seen down at the snapshot. */
  "not-down-at-snapshot",
  /** A unit was started again, or replaced, while it was held. */
  "restarted-in-window",
  /** A unit was not shut down: it was paused, or a hook made it stand still. */
  "not-shut-down",
  /** Something that the run did not hold was running and can write into the same data, or this could not be told. */
  "shared-data",
  /** A stack that the run did not hold was up, and may have written into the same source. */
  "other-stack-up",
  /** The agent had the snapshot before it knew that everything was down. */
  "snapshot-before-quiesced",
  /** The agent went back in its phases. */
  "phase-regression",
  /** The time limit was reached: the app was resumed first. */
  "limit-exceeded",
  /** The backup did not finish. */
  "backup-not-done"
)
export type Reason = typeof Reason.Type

/** The claim of a backup, and what speaks against a higher one. */
export const Consistency = Schema.Struct({
  level: ConsistencyLevel,
  reasons: Schema.Array(Reason)
})
export interface Consistency extends Schema.Schema.Type<typeof Consistency> {}

/** Whether a backup of this mode is at least one point in time when the app was not proved down. */
const isAtomic = (mode: EffectiveMode | undefined): boolean => mode === "snapshot" || mode === "suspend"

/** The level that the evidence allows. No reason against it, and only then, means `application`. */
export const judge = (
  evidence: { readonly done: boolean; readonly mode: EffectiveMode | undefined; readonly reasons: ReadonlySet<Reason> }
): Consistency => {
  const reasons = evidence.done ? evidence.reasons : new Set([...evidence.reasons, "backup-not-done" as const])
  if (!evidence.done) return { level: "none", reasons: [...reasons] }
  if (reasons.size === 0) return { level: "application", reasons: [] }
  return { level: isAtomic(evidence.mode) ? "crash" : "none", reasons: [...reasons] }
}
