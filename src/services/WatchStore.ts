/**
 * The service that keeps what the daemon must know after its own end, and at most one daemon at a time.
 */
import { Context, type Effect, type Option, Schema, type Scope } from "effect"
import type { WatchState } from "../domain/Watch.ts"

/** The state could not be kept or read. */
export class WatchStoreError extends Schema.TaggedError<WatchStoreError>()("WatchStoreError", {
  operation: Schema.Literal("keep", "read", "claim"),
  reason: Schema.String
}) {
  override get message(): string {
    return `could not ${this.operation} the state of watch: ${this.reason}`
  }
}

/** Another daemon lives on the same state. */
export class WatchClaimed extends Schema.TaggedError<WatchClaimed>()("WatchClaimed", {}) {
  override get message(): string {
    return "another 'quiesce watch' is running on this state directory"
  }
}

/** The memory of the daemon. */
export class WatchStore extends Context.Tag("quiesce/services/WatchStore")<WatchStore, {
  /** Makes this process the daemon until the scope closes. Any death of the process frees it. */
  readonly claim: Effect.Effect<void, WatchClaimed | WatchStoreError, Scope.Scope>
  /** Whether there is a daemon now. */
  readonly alive: Effect.Effect<boolean, WatchStoreError>
  /** Keeps the state so that a power loss cannot take it. */
  readonly write: (state: WatchState) => Effect.Effect<void, WatchStoreError>
  /** The state that was kept last, also a dead daemon's. */
  readonly read: Effect.Effect<Option.Option<WatchState>, WatchStoreError>
}>() {}
