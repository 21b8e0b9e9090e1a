/**
 * The service that stops and starts what a stack is made of, and tells what is true of it.
 */
import { Context, type Effect, Schema } from "effect"
import { StackName, type StackUnits, type Unit, UnitId, type UnitObservation } from "../domain/Stack.ts"

/** No stack of this name is known to the control. */
export class StackNotFound extends Schema.TaggedError<StackNotFound>()("StackNotFound", {
  stack: StackName,
  known: Schema.Array(StackName)
}) {
  override get message(): string {
    return `there is no stack '${this.stack}'; known: ${this.known.join(", ") || "none"}`
  }
}

/** The control could not do what was asked, or could not tell whether it was done. */
export class StackControlError extends Schema.TaggedError<StackControlError>()("StackControlError", {
  stack: StackName,
  unit: Schema.optionalWith(UnitId, { exact: true }),
  operation: Schema.Literal("inspect", "prepare", "stop", "start"),
  /** What happened, with the last output of the command or the answer of the daemon. */
  reason: Schema.String
}) {
  override get message(): string {
    const unit = this.unit === undefined || String(this.unit) === String(this.stack) ? "" : ` (unit '${this.unit}')`
    return `could not ${this.operation} stack '${this.stack}'${unit}: ${this.reason}`
  }
}

/** How a stop ended. `clean` is false when the unit, or the command that stopped it, had to be killed. */
export interface StopResult {
  readonly clean: boolean
}

/** Stops, starts and looks at stacks. An answer of `stop` or `start` is never believed: `observe` says what is true. */
export class StackControl extends Context.Tag("quiesce/services/StackControl")<StackControl, {
  /** The stacks that this control knows. */
  readonly stacks: Effect.Effect<ReadonlyArray<StackName>>
  /** Which control the stack has, its units in stop order, and their present state. */
  readonly inspect: (stack: StackName) => Effect.Effect<
    { readonly units: StackUnits; readonly observations: ReadonlyArray<UnitObservation> },
    StackNotFound | StackControlError
  >
  /**
   * The present state of one unit, found by its identity: it may be known only from a marker. While a stop or start
   * that this machine sent is still under way, also one of a dead process, the state is `changing`.
   */
  readonly observe: (stack: StackName, unit: Unit) => Effect.Effect<UnitObservation, StackControlError>
  /** Makes the coming stop short, with the stack still up (a CHECKPOINT). Does nothing where there is nothing to do. */
  readonly prepare: (stack: StackName) => Effect.Effect<void, StackNotFound | StackControlError>
  /** Sends the stop and waits for its end, for at most the unit's stop timeout. Success is a claim: observe proves it. */
  readonly stop: (stack: StackName, unit: Unit) => Effect.Effect<StopResult, StackControlError>
  /** Sends the start and waits for its end, for at most the unit's start timeout. Success is a claim: observe proves it. */
  readonly start: (stack: StackName, unit: Unit) => Effect.Effect<void, StackControlError>
}>() {}
