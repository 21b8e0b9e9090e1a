/**
 * Several controls as one: a stack is with the control that the configuration gives it, a unit of a marker with the one
 * that can read its identity.
 */
import { Effect } from "effect"
import type { StackName, Unit } from "../domain/Stack.ts"
import { type StackControl, StackControlError, StackNotFound } from "../services/StackControl.ts"

/** One of the controls. */
export interface Choice {
  /** The stacks that the configuration gives it. */
  readonly stacks: ReadonlyArray<StackName>
  /** Whether it can read what a marker says of this unit. */
  readonly reads: (unit: Unit) => boolean
  /** Made when it is first needed. */
  readonly control: Effect.Effect<StackControl["Type"]>
}

/** One control over all of these. */
export const make = (choices: ReadonlyArray<Choice>): StackControl["Type"] => {
  const known = choices.flatMap(({ stacks }) => stacks)

  type Found<E> = Effect.Effect<StackControl["Type"], E>

  const ofStack = (stack: StackName): Found<StackNotFound> => {
    const found = choices.find(({ stacks }) => stacks.includes(stack))
    return found === undefined ? new StackNotFound({ stack, known }) : found.control
  }

  const ofUnit = (
    operation: StackControlError["operation"],
    stack: StackName,
    unit: Unit
  ): Found<StackControlError> => {
    const found = choices.find(({ reads }) => reads(unit)) ?? choices.find(({ stacks }) => stacks.includes(stack))
    return found === undefined
      ? new StackControlError({
        stack,
        unit: unit.id,
        operation,
        reason: "it is not configured, and its marker does not say how it is controlled; configure it again"
      })
      : found.control
  }

  return {
    stacks: Effect.succeed(known),
    inspect: (stack) => Effect.flatMap(ofStack(stack), (control) => control.inspect(stack)),
    observe: (stack, unit) => Effect.flatMap(ofUnit("inspect", stack, unit), (control) => control.observe(stack, unit)),
    prepare: (stack) => Effect.flatMap(ofStack(stack), (control) => control.prepare(stack)),
    stop: (stack, unit) => Effect.flatMap(ofUnit("stop", stack, unit), (control) => control.stop(stack, unit)),
    start: (stack, unit) => Effect.flatMap(ofUnit("start", stack, unit), (control) => control.start(stack, unit)),
    interference: (stack, units) =>
      ofStack(stack).pipe(
        Effect.flatMap((control) => control.interference(stack, units)),
        Effect.catchTag("StackNotFound", ({ message }) =>
          new StackControlError({ stack, operation: "inspect", reason: message }))
      )
  }
}
