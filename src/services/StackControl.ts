/**
 * The service that stops and starts what a stack is made of, and tells what is true of it.
 */
import { Context, type Effect, Schema } from "effect"
import type { Reason } from "../domain/Consistency.ts"
import { type StackInspection, StackName, type Unit, UnitId, type UnitObservation } from "../domain/Stack.ts"

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
  reason: Schema.String,
  /** Nothing that was sent can still take effect. Without it a failed stop may land later. */
  settled: Schema.optionalWith(Schema.Boolean, { exact: true })
}) {
  override get message(): string {
    const unit = this.unit === undefined || String(this.unit) === String(this.stack) ? "" : ` (unit '${this.unit}')`
    return `could not ${this.operation} stack '${this.stack}'${unit}: ${this.reason}`
  }
}

/** How a stop ended. `clean` is false when the unit, or the command that stopped it, had to be killed. */
export interface StopResult {
  readonly clean: boolean
  /** What the control has observed after the end of the stop, where it has looked. It counts as an `observe`. */
  readonly seen?: UnitObservation | undefined
}

/** Something beside the units of a stack that speaks against `application`. */
export interface Interference {
  readonly reason: Extract<Reason, "shared-data" | "restarted-in-window">
  /** What it is, for people. */
  readonly detail: string
}

/** Stops, starts and looks at stacks. An answer of `stop` or `start` is never believed: `observe` says what is true. */
export class StackControl extends Context.Tag("quiesce/services/StackControl")<StackControl, {
  /** The stacks that this control knows. */
  readonly stacks: Effect.Effect<ReadonlyArray<StackName>>
  /** Which control the stack has, its units in stop order, their present state, and what a person should know of them. */
  readonly inspect: (stack: StackName) => Effect.Effect<StackInspection, StackNotFound | StackControlError>
  /**
   * The present state of one unit, found by its identity: it may be known only from a marker. While a stop or start
   * that this machine sent is still under way, also one of a dead process, the state is `changing`.
   */
  readonly observe: (stack: StackName, unit: Unit) => Effect.Effect<UnitObservation, StackControlError>
  /**
   * Makes the coming stop short, with the stack still up (a CHECKPOINT). Does nothing where there is nothing to do. It may
   * be called twice: what was written while the file systems were synced is little, and the second call writes it.
   */
  readonly prepare: (stack: StackName) => Effect.Effect<void, StackNotFound | StackControlError>
  /** Sends the stop and waits for its end, for at most the unit's stop timeout. Success is a claim: `seen`, or observe, proves it. */
  readonly stop: (stack: StackName, unit: Unit) => Effect.Effect<StopResult, StackControlError>
  /** Sends the start and waits for its end, for at most the unit's start timeout. Success is a claim: observe proves it. */
  readonly start: (stack: StackName, unit: Unit) => Effect.Effect<void, StackControlError>
  /**
   * What is not one of these units, runs now, and can write into their data; or has taken the place of one of them. Asked
   * with the app up, and again at the snapshot. Nothing where the control cannot see such things.
   */
  readonly interference: (
    stack: StackName,
    units: ReadonlyArray<Unit>
  ) => Effect.Effect<ReadonlyArray<Interference>, StackControlError>
}>() {}
