/**
 * How a run can end other than well. Every error carries the report of the run.
 */
import { Data, Schema } from "effect"
import { type Outcome, Report } from "../domain/Report.ts"
import { StackName, UnitId } from "../domain/Stack.ts"

const fields = { report: Report }

/** Another run or backup is under way; nothing was touched. */
export class RunBusy extends Schema.TaggedError<RunBusy>()("RunBusy", fields) {
  override get message(): string {
    return this.report.error ?? "another run is under way"
  }
}

/** A preflight did not pass; nothing was stopped. */
export class RunRefused extends Schema.TaggedError<RunRefused>()("RunRefused", fields) {
  override get message(): string {
    return this.report.error ?? "refused"
  }
}

/** There is no finished backup; everything is up again. */
export class BackupFailed extends Schema.TaggedError<BackupFailed>()("BackupFailed", fields) {
  override get message(): string {
    return this.report.error ?? "the backup failed"
  }
}

/** A limit was reached: everything was resumed first, then the backup was cancelled. */
export class RunAborted extends Schema.TaggedError<RunAborted>()("RunAborted", fields) {
  override get message(): string {
    return this.report.error ?? "a limit was reached"
  }
}

/** A unit that is not up, and why. */
export const UnitFailure = Schema.Struct({ stack: StackName, unit: UnitId, error: Schema.String })
export interface UnitFailure extends Schema.Schema.Type<typeof UnitFailure> {}

/** **Something that the run stopped is not up.** The marker stays; recover tries again. Wins over every other error. */
export class ResumeFailed extends Schema.TaggedError<ResumeFailed>()("ResumeFailed", {
  ...fields,
  units: Schema.Array(UnitFailure),
  /** What was wrong with the backup besides. */
  backupError: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    const units = this.units.map(({ error, stack, unit }) => `${stack}/${unit}: ${error}`).join("; ")
    return `NOT UP: ${units}; the marker stays, run 'quiesce recover' once the cause is mended`
  }
}

/** Every way in which a run ends other than well; each carries the report. */
export type QuiesceError = RunBusy | RunRefused | BackupFailed | RunAborted | ResumeFailed

/** The end of a run, on its way from where it is noticed to the report. */
export class Ended extends Data.TaggedError("Ended")<{
  readonly outcome: Exclude<Outcome, "ok" | "ok-degraded" | "resume-failed">
  readonly message: string
}> {}

/** Turns an error of one stage of the run into its end. */
export const endAs = (outcome: Ended["outcome"]) => (error: { readonly message: string }): Ended =>
  new Ended({ outcome, message: error.message })
