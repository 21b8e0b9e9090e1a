/**
 * The service that keeps the last reports.
 */
import { Context, type Effect, Schema } from "effect"
import type { Report } from "../domain/Report.ts"

/** A report could not be kept or read. */
export class ReportStoreError extends Schema.TaggedError<ReportStoreError>()("ReportStoreError", {
  operation: Schema.Literal("save", "read"),
  reason: Schema.String
}) {
  override get message(): string {
    return `could not ${this.operation} the report: ${this.reason}`
  }
}

/** Where the last reports are kept. */
export class ReportStore extends Context.Tag("quiesce/services/ReportStore")<ReportStore, {
  /** Keeps the report, and drops the oldest ones beyond the store's limit. */
  readonly save: (report: Report) => Effect.Effect<void, ReportStoreError>
  /** The kept reports, newest first. One that cannot be read is left out. */
  readonly list: Effect.Effect<ReadonlyArray<Report>, ReportStoreError>
}>() {}
