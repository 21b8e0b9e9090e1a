/**
 * The service that resumes from outside when this process dies without resuming.
 */
import { Context, type Effect, Schema, type Scope } from "effect"

/** The dead-man could not be armed. */
export class DeadManUnavailable extends Schema.TaggedError<DeadManUnavailable>()("DeadManUnavailable", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the dead-man cannot be armed: ${this.reason}`
  }
}

/** Somebody outside this process who runs recover when it dies while it holds an app down. */
export class DeadMan extends Context.Tag("quiesce/services/DeadMan")<DeadMan, {
  /** From here to the close of the scope, the end of this process without that close makes somebody run recover. */
  readonly arm: Effect.Effect<void, DeadManUnavailable, Scope.Scope>
}>() {}
