/**
 * Looks at what runs now and says what a run would hold. Touches nothing.
 */
import { Effect, Schema } from "effect"
import { among } from "../domain/Order.ts"
import type { Plan, PlannedStack } from "../domain/Plan.ts"
import type { StackPolicy } from "../domain/Policy.ts"
import { StackName, UnitId, UnitState } from "../domain/Stack.ts"
import type { StackControl, StackControlError, StackNotFound } from "../services/StackControl.ts"
import { inspect } from "./look.ts"

/** A unit is neither up nor down: a run would not know what to restore. */
export class StackUnsettled extends Schema.TaggedError<StackUnsettled>()("StackUnsettled", {
  stack: StackName,
  unit: UnitId,
  state: UnitState,
  detail: Schema.String
}) {
  override get message(): string {
    return `stack '${this.stack}': cannot tell whether '${this.unit}' is up or down (${this.state}: ${this.detail}); `
      + "bring it up or down by hand, or mend its status command"
  }
}

/** Why there is no plan. */
export type PlanError = StackNotFound | StackControlError | StackUnsettled

const planStack = Effect.fnUntraced(function*(policy: StackPolicy) {
  const { data = [], notes = [], observations, units } = yield* inspect(policy.stack)
  for (const { detail, state, unit } of observations) {
    if (state === "unknown" || state === "changing") {
      return yield* new StackUnsettled({
        stack: policy.stack,
        unit: unit.id,
        state,
        detail: detail ?? "no more is known"
      })
    }
  }
  const inState = (state: UnitState) => observations.filter((seen) => seen.state === state).map(({ unit }) => unit)
  return {
    policy,
    units,
    observations,
    held: among(inState("running"), units.units),
    idle: inState("stopped"),
    notes,
    data
  } satisfies PlannedStack
})

/**
 * The plan of a run over these stacks.
 *
 * @example
 * ```ts
 * import { plan } from "quiesce/programs/plan"
 *
 * const whatWouldBeStopped = plan([])
 * ```
 */
export const plan: (
  stacks: ReadonlyArray<StackPolicy>
) => Effect.Effect<Plan, PlanError, StackControl> = Effect.fn("plan")(function*(stacks) {
  return { stacks: yield* Effect.forEach(stacks, (policy) => planStack(policy)) }
})
