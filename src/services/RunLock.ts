/**
 * The service that lets one run at a time work on a state directory.
 */
import { Context, type Effect, type Option, Schema, type Scope } from "effect"

/** Another run or recover holds the lock. */
export class LockHeld extends Schema.TaggedError<LockHeld>()("LockHeld", {
  holder: Schema.String
}) {
  override get message(): string {
    return `another run is under way: ${this.holder}`
  }
}

/** The lock could not be asked for. */
export class LockUnavailable extends Schema.TaggedError<LockUnavailable>()("LockUnavailable", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the run lock cannot be used: ${this.reason}`
  }
}

/** At most one run or recover at a time. The lock must be free again after any death of its holder. */
export class RunLock extends Context.Tag("quiesce/services/RunLock")<RunLock, {
  /** Takes the lock until the scope closes, or fails at once. `purpose` tells others who holds it. */
  readonly acquire: (purpose: string) => Effect.Effect<void, LockHeld | LockUnavailable, Scope.Scope>
  /** Who holds the lock now, if anybody. */
  readonly holder: Effect.Effect<Option.Option<string>, LockUnavailable>
}>() {}
