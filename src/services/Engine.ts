/**
 * The agent's side: what takes the backups of one guest.
 */
import { type Effect, Schema, type Scope } from "effect"
import type { EffectiveMode, Progress } from "../domain/Backup.ts"
import type { RunId } from "../domain/RunId.ts"
import type { AgentOffer } from "./AgentClient.ts"
import type { Artifact } from "./Transfer.ts"

/** The engine will not take a backup until something is changed. */
export class EngineRefused extends Schema.TaggedError<EngineRefused>()("EngineRefused", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** The backup ended badly. */
export class EngineFailed extends Schema.TaggedError<EngineFailed>()("EngineFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** What an engine says of a backup as it goes on. */
export interface JobChange {
  readonly phase?: "running" | "snapshotted" | undefined
  readonly effectiveMode?: EffectiveMode | undefined
  readonly progress?: Progress | undefined
}

/** One backup, as its engine sees it. */
export interface EngineJob {
  readonly runId: RunId
  /** Says how far the backup is. A phase that is behind the present one is not followed. */
  readonly report: (change: JobChange) => Effect.Effect<void>
  /**
   * Says that the slot is held, and waits until everything is down. Fails when nobody says so in time. The storage must
   * not be read before.
   */
  readonly ready: (effectiveMode?: EffectiveMode) => Effect.Effect<void, EngineFailed>
  /** Keeps, durable when this returns, what the engine needs to find its work again after the death of the agent. */
  readonly remember: (handle: string) => Effect.Effect<void, EngineFailed>
  /** Whether the backup is no longer wanted. An interruption without this is the end of the agent alone. */
  readonly cancelled: Effect.Effect<boolean>
}

/** Takes the backups of one guest, one at a time. */
export interface Engine {
  /** Whether a backup goes on without the agent, once its handle is remembered, and can be followed again. */
  readonly survives: boolean
  /** Whether a backup could be taken now, and how. Leaves nothing behind. */
  readonly preflight: Effect.Effect<AgentOffer, EngineRefused>
  /** With the app still up: what makes the time from `quiesced` to `snapshotted` short. */
  readonly prepare: Effect.Effect<void, EngineRefused>
  /**
   * Takes one backup, from the wait for what it needs of the host to its end. Interrupted, it leaves nothing; an engine
   * that survives leaves a backup that was not cancelled alone.
   */
  readonly run: (job: EngineJob) => Effect.Effect<Artifact, EngineFailed, Scope.Scope>
  /** Goes on with a backup that an agent before this one began, or that the host has begun; or says how it ended. */
  readonly resume: (
    job: EngineJob,
    handle: string | undefined
  ) => Effect.Effect<Artifact, EngineFailed, Scope.Scope>
  /** Removes what a dead agent left. Answers with what it removed. */
  readonly sweep: Effect.Effect<ReadonlyArray<string>, EngineRefused>
}
