/**
 * The service that keeps markers where a crash, a power loss or a reboot cannot take them.
 */
import { Context, type Effect, Schema } from "effect"
import type { MarkerDraft, MarkerNote, StoredMarker } from "../domain/Marker.ts"
import type { RunId } from "../domain/RunId.ts"

/** A marker could not be made durable, read or cleared. */
export class MarkerStoreError extends Schema.TaggedError<MarkerStoreError>()("MarkerStoreError", {
  operation: Schema.Literal("check", "write", "note", "clear", "list", "quarantine"),
  reason: Schema.String
}) {
  override get message(): string {
    return `could not ${this.operation === "list" ? "read" : this.operation} the marker: ${this.reason}`
  }
}

/** The markers are those of another machine, of which this one may be a clone. */
export class OtherMachine extends Schema.TaggedError<OtherMachine>()("OtherMachine", {
  /** What says whose they are. */
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `this state directory belongs to another machine (${this.file}: ${this.reason}), and a clone must not ask `
      + "for backups in the name of its original; if it belongs to this machine now, give the machine a token of its "
      + `own, or end the other one, and remove ${this.file}`
  }
}

/** The durable undo records: what a run stops, written before the first stop and cleared after the last start. */
export class MarkerStore extends Context.Tag("quiesce/services/MarkerStore")<MarkerStore, {
  /**
   * Whether a marker could be made durable here, by this machine. Leaves nothing behind, but that the store belongs to
   * this machine from the first time on.
   */
  readonly check: Effect.Effect<void, MarkerStoreError | OtherMachine>
  /** Fails where the store belongs to another machine. Its markers are to be followed all the same. Changes nothing. */
  readonly mine: Effect.Effect<void, OtherMachine>
  /** Makes the marker durable. When it fails there is no marker, and nothing may be stopped. */
  readonly write: (draft: MarkerDraft) => Effect.Effect<void, MarkerStoreError>
  /**
   * Notes how far a run got with a unit. A note survives the death of the process; a `running` note, which says that a
   * unit is no longer ours to start, also survives a power loss.
   */
  readonly note: (runId: RunId, note: MarkerNote) => Effect.Effect<void, MarkerStoreError>
  /** Removes the marker and its notes, durably. Removing what is not there is a success. */
  readonly clear: (name: string) => Effect.Effect<void, MarkerStoreError>
  /** Puts a damaged marker aside, where a person finds it and `list` does not. */
  readonly quarantine: (name: string) => Effect.Effect<void, MarkerStoreError>
  /** All markers, oldest first. A marker's name is its run id unless it is damaged. */
  readonly list: Effect.Effect<ReadonlyArray<StoredMarker>, MarkerStoreError>
}>() {}
