/**
 * The phases of a backup, and what a controller may believe of an agent's answers.
 *
 * Phases are monotone: `queued -> ready -> running -> snapshotted -> done`, or `failed` from anywhere; `done` and
 * `failed` are absorbing. An agent may skip or repeat phases; one that goes backwards or says an unknown word is not
 * followed, and the run's claim suffers for it.
 */
import { Schema } from "effect"
import { RunId } from "./RunId.ts"

/** A phase of a backup. `ready`: the agent holds its slot and waits for the app to be quiet. */
export const Phase = Schema.Literal("queued", "ready", "running", "snapshotted", "done", "failed")
export type Phase = typeof Phase.Type

/**
 * How the backup reads the storage. `snapshot`: an atomic storage snapshot. `copy`: a private copy that is complete at
 * `snapshotted` but not atomic. `suspend`: the guest stands still at the snapshot. `stop`: no snapshot, the data is
 * read until `done`.
 */
export const EffectiveMode = Schema.Literal("snapshot", "copy", "suspend", "stop")
export type EffectiveMode = typeof EffectiveMode.Type

// JSON can say a number that is infinite, but not write one
const Bytes = Schema.NonNegative.pipe(Schema.finite())

/** Bytes of source data read so far, and of how many where that is known. */
export const Progress = Schema.Struct({
  bytes: Bytes,
  totalBytes: Schema.optionalWith(Bytes, { exact: true })
})
export interface Progress extends Schema.Schema.Type<typeof Progress> {}

/**
 * One answer of an agent. `phase` is a plain word, because an agent of another version may say one that we do not know.
 * `revision` grows with every change.
 */
export const BackupStatus = Schema.Struct({
  runId: RunId,
  revision: Schema.NonNegativeInt,
  phase: Schema.String,
  effectiveMode: Schema.optionalWith(EffectiveMode, { exact: true }),
  progress: Schema.optionalWith(Progress, { exact: true }),
  artifact: Schema.optionalWith(Schema.String, { exact: true }),
  error: Schema.optionalWith(Schema.String, { exact: true }),
  /** When each phase began, by the agent's clock, ISO 8601. For people: no decision depends on it. */
  times: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.String }), { exact: true })
})
export interface BackupStatus extends Schema.Schema.Type<typeof BackupStatus> {}

/** Something in an agent's answers that an honest agent does not say. */
export type Anomaly = "phase-regression" | "unknown-phase"

/** What the controller believes, folded from all answers so far. */
export interface BackupView {
  readonly phase: Phase
  readonly revision: number
  readonly mode: EffectiveMode | undefined
  readonly progress: Progress | undefined
  readonly artifact: string | undefined
  readonly error: string | undefined
  readonly anomalies: ReadonlySet<Anomaly>
}

/** The view before the first answer. */
export const initialView: BackupView = {
  phase: "queued",
  revision: -1,
  mode: undefined,
  progress: undefined,
  artifact: undefined,
  error: undefined,
  anomalies: new Set()
}

const rank: Record<Phase, number> = { queued: 0, ready: 1, running: 2, snapshotted: 3, done: 4, failed: 4 }

/** Whether `phase` is `other` or comes after it. `failed` is at or after every phase. */
export const isAtLeast = (phase: Phase, other: Phase): boolean => rank[phase] >= rank[other]

/** Whether the backup has ended. */
export const isFinal = (phase: Phase): phase is "done" | "failed" => rank[phase] === rank.done

/** Whether the app may be resumed: the point in time is taken, or there will be none. */
export const isPointTaken = (phase: Phase): boolean => isAtLeast(phase, "snapshotted")

const isPhase = Schema.is(Phase)

/** Takes one answer in: never backwards, never out of a final phase. */
export const observe = (view: BackupView, status: BackupStatus): BackupView => {
  const anomaly: Anomaly | undefined = !isPhase(status.phase)
    ? "unknown-phase"
    : rank[status.phase] < rank[view.phase] || (isFinal(view.phase) && status.phase !== view.phase)
    ? "phase-regression"
    : undefined
  return {
    phase: anomaly === undefined && isPhase(status.phase) ? status.phase : view.phase,
    revision: Math.max(view.revision, status.revision),
    mode: status.effectiveMode ?? view.mode,
    progress: status.progress ?? view.progress,
    artifact: status.artifact ?? view.artifact,
    error: status.error ?? view.error,
    anomalies: anomaly === undefined ? view.anomalies : new Set([...view.anomalies, anomaly])
  }
}
