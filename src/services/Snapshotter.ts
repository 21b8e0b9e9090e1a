/**
 * The agent's side: the service that makes a point in time of the source.
 */
import { Context, type Effect, type Option, Schema, type Scope } from "effect"
import { EffectiveMode } from "../domain/Backup.ts"

/** This snapshotter cannot work on the source as it is. */
export class SnapshotUnsupported extends Schema.TaggedError<SnapshotUnsupported>()("SnapshotUnsupported", {
  snapshotter: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `snapshot '${this.snapshotter}' cannot be used: ${this.reason}`
  }
}

/** The snapshot could not be taken or removed. */
export class SnapshotFailed extends Schema.TaggedError<SnapshotFailed>()("SnapshotFailed", {
  snapshotter: Schema.String,
  operation: Schema.Literal("prepare", "reserve", "take", "remove", "sweep"),
  reason: Schema.String
}) {
  override get message(): string {
    return `snapshot '${this.snapshotter}': ${this.operation} failed: ${this.reason}`
  }
}

/** What a snapshotter can do here, proved by a probe. */
export const SnapshotCapability = Schema.Struct({
  /** `btrfs`, `reflink`, `copy` or `none`. */
  snapshotter: Schema.String,
  mode: EffectiveMode,
  /** Bytes that a snapshot needs at most, where that is known before. */
  needsBytes: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /** For people: why no better snapshotter is used. */
  notes: Schema.optionalWith(Schema.Array(Schema.String), { exact: true })
})
export interface SnapshotCapability extends Schema.Schema.Type<typeof SnapshotCapability> {}

/** A point in time of the source. `path` is the same at every run, so that a transfer can match files by path. */
export interface Snapshot {
  readonly path: string
  readonly mode: EffectiveMode
}

/** Takes the snapshot, complete and synced when this returns; `none` where the source itself must be read. */
export type Take = Effect.Effect<Option.Option<Snapshot>, SnapshotFailed, Scope.Scope>

/** Makes a point in time of one source, and takes it away again. */
export class Snapshotter extends Context.Tag("quiesce/services/Snapshotter")<Snapshotter, {
  /** Proves by a throw-away attempt that the source can be snapshotted. Leaves nothing behind. */
  readonly probe: Effect.Effect<SnapshotCapability, SnapshotUnsupported>
  /** With the app still up: what makes `take` short (a file system sync). */
  readonly prepare: Effect.Effect<void, SnapshotFailed>
  /**
   * With the app still up: holds the place of the snapshot until the scope closes, and clears it of what a dead run left.
   * Answers with what takes the snapshot, from which everything is left out that can be done before.
   */
  readonly reserve: Effect.Effect<Take, SnapshotFailed, Scope.Scope>
  /** Removes what a dead run left. Answers with the paths. */
  readonly sweep: Effect.Effect<ReadonlyArray<string>, SnapshotFailed>
}>() {}
