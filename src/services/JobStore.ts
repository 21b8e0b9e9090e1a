/**
 * The agent's side: the service that writes down which backups there are, so that an agent knows them after its death.
 */
import { Context, type Effect, Schema } from "effect"
import { BackupStatus } from "../domain/Backup.ts"
import { RunId } from "../domain/RunId.ts"

/** The journal could not be read or written. */
export class JobStoreError extends Schema.TaggedError<JobStoreError>()("JobStoreError", {
  operation: Schema.Literal("save", "list", "remove"),
  reason: Schema.String
}) {
  override get message(): string {
    return `the agent's journal (${this.operation}): ${this.reason}`
  }
}

/** One backup as it is written down. */
export const JobRecord = Schema.Struct({
  version: Schema.Literal(1),
  guest: Schema.String,
  runId: RunId,
  status: BackupStatus,
  /** Where the engine finds its work again. */
  handle: Schema.optionalWith(Schema.String, { exact: true })
})
export interface JobRecord extends Schema.Schema.Type<typeof JobRecord> {}

/** Keeps the backups of all guests of an agent. */
export class JobStore extends Context.Tag("quiesce/services/JobStore")<JobStore, {
  /** Durable when it returns. The same guest and run id again is the same backup, newer. */
  readonly save: (record: JobRecord) => Effect.Effect<void, JobStoreError>
  /** All that can be read, the oldest first. One that cannot is left alone and told of in a log. */
  readonly list: Effect.Effect<ReadonlyArray<JobRecord>, JobStoreError>
  /** Forgets one. One that is not there is a success. */
  readonly remove: (record: Pick<JobRecord, "guest" | "runId">) => Effect.Effect<void, JobStoreError>
}>() {}
