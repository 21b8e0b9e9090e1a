/**
 * What a run tells: events as they happen, and the report at its end.
 */
import { Schema } from "effect"
import { EffectiveMode, Phase, Progress } from "./Backup.ts"
import { Consistency } from "./Consistency.ts"
import { RunId } from "./RunId.ts"
import { StackName, UnitId } from "./Stack.ts"

/** How a run ended. `resume-failed` means that an app is down: page a human. */
export const Outcome = Schema.Literal(
  "ok",
  "ok-degraded",
  "backup-failed",
  "aborted",
  "busy",
  "refused",
  "resume-failed"
)
export type Outcome = typeof Outcome.Type

/** The exit codes of the binary, stable. A signal ends in 128 + its number, unless an app is down. */
export const ExitCode = {
  ok: 0,
  backupFailed: 1,
  usage: 2,
  notApplicationConsistent: 3,
  appDown: 4,
  busy: 5,
  limit: 6,
  refused: 7,
  interrupted: 130,
  internal: 70
} as const

/** The exit code of an outcome. An aborted run was ended by a limit or by an interruption. */
export const exitCodeOf = (outcome: Outcome, interrupted: boolean): number => {
  switch (outcome) {
    case "ok":
      return ExitCode.ok
    case "ok-degraded":
      return ExitCode.notApplicationConsistent
    case "backup-failed":
      return ExitCode.backupFailed
    case "aborted":
      return interrupted ? ExitCode.interrupted : ExitCode.limit
    case "busy":
      return ExitCode.busy
    case "refused":
      return ExitCode.refused
    case "resume-failed":
      return ExitCode.appDown
  }
}

/** One stack in the report. Times are ISO 8601; `downtimeMs` runs from the stop being asked to the stack verified up. */
export const StackReport = Schema.Struct({
  stack: StackName,
  stoppedAt: Schema.NullOr(Schema.String),
  resumedAt: Schema.NullOr(Schema.String),
  downtimeMs: Schema.NullOr(Schema.Number)
})
export interface StackReport extends Schema.Schema.Type<typeof StackReport> {}

/** The report of a run: the last line of `quiesce run --json`, and what the state directory keeps. */
export const Report = Schema.Struct({
  type: Schema.Literal("report"),
  schemaVersion: Schema.Literal(1),
  runId: RunId,
  startedAt: Schema.String,
  outcome: Outcome,
  exitCode: Schema.Number,
  consistency: Consistency,
  /** How the storage was read, where the agent has said so. */
  mode: Schema.optionalWith(Schema.NullOr(EffectiveMode), { default: () => null }),
  stacks: Schema.Array(StackReport),
  phases: Schema.Array(Schema.Struct({ phase: Phase, at: Schema.String })),
  totalMs: Schema.Number,
  artifact: Schema.NullOr(Schema.String),
  warnings: Schema.Array(Schema.String),
  error: Schema.NullOr(Schema.String)
})
export interface Report extends Schema.Schema.Type<typeof Report> {}

const base = { runId: RunId, at: Schema.String }

/** One line of `quiesce run --json`. */
export const RunEvent = Schema.Union(
  Schema.Struct({ type: Schema.Literal("phase"), ...base, phase: Phase }),
  Schema.Struct({
    type: Schema.Literal("stack"),
    ...base,
    stack: StackName,
    state: Schema.Literal("preparing", "stopping", "stopped", "starting", "running", "failed")
  }),
  Schema.Struct({ type: Schema.Literal("progress"), ...base, ...Progress.fields }),
  Schema.Struct({ type: Schema.Literal("warning"), ...base, message: Schema.String }),
  Report
)
export type RunEvent = typeof RunEvent.Type

/** What `quiesce recover --json` prints. `markers` is how many were found. */
export const RecoverReport = Schema.Struct({
  recovered: Schema.Array(Schema.Struct({ stack: StackName, unit: UnitId })),
  failed: Schema.Array(Schema.Struct({ stack: StackName, unit: UnitId, error: Schema.String })),
  markers: Schema.Number,
  /** A live run holds the lock and owns the markers: nothing was done. */
  liveRun: Schema.Boolean,
  warnings: Schema.Array(Schema.String)
})
export interface RecoverReport extends Schema.Schema.Type<typeof RecoverReport> {}
