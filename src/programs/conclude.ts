/**
 * The end of a run: from what is known to the report, and to the error that leads.
 */
import { Cause, Effect, Exit, Option } from "effect"
import type { BackupView } from "../domain/Backup.ts"
import { judge } from "../domain/Consistency.ts"
import { exitCodeOf, type Outcome, type Report } from "../domain/Report.ts"
import type { StackName } from "../domain/Stack.ts"
import {
  BackupFailed,
  type Ended,
  type QuiesceError,
  ResumeFailed,
  RunAborted,
  RunBusy,
  RunRefused,
  type UnitFailure
} from "./errors.ts"
import { millisBetween, moment, type Recorder, type RunRecord } from "./recorder.ts"

/** What the run leaves to its end. */
export interface Ending {
  readonly stacks: ReadonlyArray<StackName>
  readonly view: BackupView
  readonly notUp: ReadonlyArray<UnitFailure>
}

const stackReports = (record: RunRecord, stacks: ReadonlyArray<StackName>) =>
  stacks.map((stack) => {
    const { resumed, stopped } = record.stacks.get(stack) ?? {}
    return {
      stack,
      stoppedAt: stopped?.at ?? null,
      resumedAt: stopped === undefined ? null : resumed?.at ?? null,
      downtimeMs: stopped === undefined || resumed === undefined ? null : Math.round(millisBetween(stopped, resumed))
    }
  })

const outcomeOf = (
  exit: Exit.Exit<void, Ended>,
  ended: Ended | undefined,
  ending: Ending,
  proved: boolean
): Outcome => {
  if (ending.notUp.length > 0) return "resume-failed"
  if (Exit.isSuccess(exit)) return proved ? "ok" : "ok-degraded"
  if (ended !== undefined) return ended.outcome
  return Cause.isInterrupted(exit.cause) ? "aborted" : "backup-failed"
}

const errorOf = (exit: Exit.Exit<void, Ended>, ended: Ended | undefined): string | null => {
  if (Exit.isSuccess(exit)) return null
  if (ended !== undefined) return ended.message
  return Cause.isInterrupted(exit.cause) ? "interrupted" : Cause.pretty(exit.cause)
}

/** Reports, and turns the exit of the run into its result. A unit that is not up leads whatever else went wrong. */
export const conclude = (
  exit: Exit.Exit<void, Ended>,
  ending: Ending,
  recorder: Recorder,
  /** What a run that was interrupted exits with: 128 + the signal. */
  interruptedExitCode: number | void
): Effect.Effect<Report, QuiesceError> =>
  Effect.gen(function*() {
    const record = yield* recorder.record
    const ended = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
    const consistency = judge({ done: Exit.isSuccess(exit), mode: ending.view.mode, reasons: record.reasons })
    const outcome = outcomeOf(exit, ended, ending, consistency.level === "application")
    const interrupted = outcome === "aborted" && ended === undefined
    const backupError = errorOf(exit, ended)
    const notUp = ending.notUp.map(({ error, stack, unit }) => `${stack}/${unit} is NOT UP: ${error}`).join("; ")
    const report: Report = {
      type: "report",
      schemaVersion: 1,
      runId: recorder.runId,
      startedAt: record.started.at,
      outcome,
      exitCode: interrupted && interruptedExitCode !== undefined
        ? interruptedExitCode
        : exitCodeOf(outcome, interrupted),
      consistency,
      mode: ending.view.mode ?? null,
      stacks: stackReports(record, ending.stacks),
      phases: record.phases,
      totalMs: Math.round(millisBetween(record.started, yield* moment)),
      artifact: Exit.isSuccess(exit) ? ending.view.artifact ?? null : null,
      warnings: record.warnings,
      error: notUp === "" ? backupError : notUp
    }
    yield* recorder.emit(report)
    if (outcome === "resume-failed") return yield* new ResumeFailed({ report, units: ending.notUp, backupError })
    if (Exit.isSuccess(exit)) return report
    switch (ended?.outcome) {
      case "busy":
        return yield* new RunBusy({ report })
      case "refused":
        return yield* new RunRefused({ report })
      case "backup-failed":
        return yield* new BackupFailed({ report })
      case "aborted":
        return yield* new RunAborted({ report })
      case undefined:
        // an interruption or a defect: not an outcome that a caller handles
        return yield* Effect.failCause(Cause.flatMap(exit.cause, () => Cause.empty))
    }
  })
