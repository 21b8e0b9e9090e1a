/**
 * The agent's side: the service that carries a snapshot away.
 */
import { Context, type Effect, Schema } from "effect"
import type { Progress } from "../domain/Backup.ts"
import type { RunId } from "../domain/RunId.ts"

/** The transfer could not be started here: a tool is missing, the target is not writable, no space. */
export class TransferRefused extends Schema.TaggedError<TransferRefused>()("TransferRefused", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the transfer cannot run: ${this.reason}`
  }
}

/** The transfer ended badly; nothing with a final name was left. */
export class TransferFailed extends Schema.TaggedError<TransferFailed>()("TransferFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the transfer failed: ${this.reason}`
  }
}

/** What a transfer made, for people: a path, or the name of what was run. */
export const Artifact = Schema.Struct({
  location: Schema.String,
  bytes: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  sha256: Schema.optionalWith(Schema.String, { exact: true })
})
export interface Artifact extends Schema.Schema.Type<typeof Artifact> {}

/** Carries a snapshot to where the backup is kept. */
export class Transfer extends Context.Tag("quiesce/services/Transfer")<Transfer, {
  /** Whether the transfer could run now. Leaves nothing behind. */
  readonly preflight: Effect.Effect<void, TransferRefused>
  /** Carries `path` away. An interrupted or failed transfer leaves nothing that looks finished, and no process. */
  readonly run: (options: {
    readonly runId: RunId
    readonly path: string
    /** The app starts and runs meanwhile, and must not wait for this: work with what it leaves of the machine. */
    readonly background?: boolean | undefined
    readonly onProgress: (progress: Progress) => Effect.Effect<void>
  }) => Effect.Effect<Artifact, TransferFailed>
  /** Ends the processes and removes the unfinished artifacts that a dead run left. Answers with what it removed. */
  readonly sweep: Effect.Effect<ReadonlyArray<string>, TransferFailed>
}>() {}
