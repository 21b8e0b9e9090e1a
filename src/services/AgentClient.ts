/**
 * The service that speaks to the agent: what takes the backup and reports its phases.
 */
import { Context, type Effect, Schema } from "effect"
import type { BackupStatus, EffectiveMode } from "../domain/Backup.ts"
import { RunId } from "../domain/RunId.ts"

/** The agent did not answer, or not in time. It may answer later. */
export class AgentUnavailable extends Schema.TaggedError<AgentUnavailable>()("AgentUnavailable", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the agent does not answer: ${this.reason}`
  }
}

/** The agent answered something that is no answer to the question. It may do better later. */
export class AgentAnswerInvalid extends Schema.TaggedError<AgentAnswerInvalid>()("AgentAnswerInvalid", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the agent's answer cannot be used: ${this.reason}`
  }
}

/** The agent takes another backup now. */
export class AgentBusy extends Schema.TaggedError<AgentBusy>()("AgentBusy", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the agent is busy: ${this.reason}`
  }
}

/** The agent will not take this backup, now or later, until something is changed. */
export class AgentRefused extends Schema.TaggedError<AgentRefused>()("AgentRefused", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the agent refuses: ${this.reason}`
  }
}

/** The agent knows no backup of this run. */
export class BackupUnknown extends Schema.TaggedError<BackupUnknown>()("BackupUnknown", {
  runId: RunId
}) {
  override get message(): string {
    return `the agent knows no backup of run ${this.runId}`
  }
}

/** Every way in which an agent does not do what it was asked. */
export type AgentError = AgentUnavailable | AgentAnswerInvalid | AgentBusy | AgentRefused | BackupUnknown

/** What an agent would do if it were asked now. */
export interface AgentOffer {
  /** How it would read the storage, where it knows that before. */
  readonly mode?: EffectiveMode | undefined
  /** What takes the point in time: `btrfs`, `copy`, ... */
  readonly snapshotter?: string | undefined
  /** For people: why it does not do better. */
  readonly notes: ReadonlyArray<string>
}

/** What takes the backup. Its controller asks for a backup, says when everything is down, and polls the phases. */
export class AgentClient extends Context.Tag("quiesce/services/AgentClient")<AgentClient, {
  /** Whether a backup could be taken now (source, tools, space, credentials), and how. Changes nothing that stays. */
  readonly preflight: Effect.Effect<AgentOffer, AgentError>
  /**
   * Asks for a backup. The same run id again is the same backup. The agent must not read the storage before it is told
   * `quiesced`, and says `ready` when it holds the slot.
   */
  readonly request: (runId: RunId) => Effect.Effect<BackupStatus, AgentError>
  /** Does, with the app still up, what makes the time from `quiesced` to `snapshotted` short. Best effort. */
  readonly prepare: (runId: RunId) => Effect.Effect<void, AgentError>
  /** Tells the agent that everything is down: it may take the snapshot. */
  readonly quiesced: (runId: RunId) => Effect.Effect<BackupStatus, AgentError>
  /**
   * The present status. An agent that can wait answers as soon as its revision is no longer `after`, or after a while
   * of its own; one that cannot answers at once.
   */
  readonly status: (runId: RunId, after: number) => Effect.Effect<BackupStatus, AgentError>
  /** Ends a backup that is no longer wanted and returns when it has ended. Ending an ended one is a success. */
  readonly cancel: (runId: RunId) => Effect.Effect<void, AgentError>
  /**
   * Waits until the agent asks for a run: a backup that its host has begun by itself, and that waits for this app to be
   * quiet. The run must use this id. An agent that never asks waits for ever.
   */
  readonly asked: Effect.Effect<RunId, AgentError>
  /**
   * Ends and removes what a dead run left on *this* machine: a transfer that still reads, a temporary snapshot, an
   * artifact without a final name. Needs the run lock. Never contacts another machine. Answers with what it removed.
   */
  readonly sweep: Effect.Effect<ReadonlyArray<string>, AgentError>
}>() {}
