/**
 * What speaks against `application`: looked for with the app still up, and again at the snapshot.
 */
import { Effect, Either, Exit } from "effect"
import type { Plan, PlannedStack } from "../domain/Plan.ts"
import type { RunPolicy } from "../domain/Policy.ts"
import type { StackName, Unit, UnitObservation } from "../domain/Stack.ts"
import { untorn } from "../internal/untorn.ts"
import { StackControl } from "../services/StackControl.ts"
import { inspect, look, lookTimeout, reasonOf } from "./look.ts"
import type { Recorder } from "./recorder.ts"
import type { Touched } from "./stopping.ts"

/** Asks what else can write into the data of a stack. A control that does not answer proves nothing. */
const interference = Effect.fnUntraced(function*(recorder: Recorder, { policy: { stack }, units }: PlannedStack) {
  const control = yield* StackControl
  const exit = yield* control.interference(stack, units.units).pipe(
    Effect.disconnect,
    Effect.timeout(lookTimeout),
    Effect.exit
  )
  if (Exit.isFailure(exit)) {
    yield* recorder.against("shared-data")
    const reason = reasonOf(exit.cause)
    return yield* recorder.warnOnce(`'${stack}': cannot tell whether something else writes into its data: ${reason}`)
  }
  for (const { detail, reason } of exit.value) {
    yield* recorder.against(reason)
    yield* recorder.warnOnce(detail)
  }
})

/** Data that the backup does not hold: no question of consistency, and what hurts most at a restore. */
const tellOutside = (recorder: Recorder, { data, held, policy: { stack } }: PlannedStack) => {
  const ids = new Set(held.map(({ id }) => id))
  const outside = data.filter(({ covered, unit, writable }) => covered === false && writable && ids.has(unit))
  return outside.length === 0
    ? Effect.void
    : recorder.warnOnce(
      `'${stack}' keeps data outside of the backup: ${outside.map(({ path, unit }) => `${path} (${unit})`).join(", ")}`
    )
}

/** With the app still up: what this run does not hold may write while the storage is read. */
export const witness = Effect.fnUntraced(function*(plan: Plan, policy: RunPolicy, recorder: Recorder) {
  for (const stack of policy.bystanders ?? []) {
    const seen = yield* Effect.either(inspect(stack))
    if (Either.isRight(seen) && seen.right.observations.every(({ state }) => state === "stopped")) continue
    yield* recorder.against("other-stack-up")
    yield* recorder.warn(`'${stack}' is not held by this run and not seen down; its data may be in the same source`)
  }
  for (const stack of plan.stacks) {
    yield* tellOutside(recorder, stack)
    yield* interference(recorder, stack)
  }
})

const verifyUnit = Effect.fnUntraced(function*(
  recorder: Recorder,
  stack: StackName,
  unit: Unit,
  /** A held unit after its stop; an idle one when the run was planned. */
  before: UnitObservation | undefined,
  wasShutDown: boolean
) {
  const seen = yield* look(stack, unit)
  if (seen.state !== "stopped") {
    yield* recorder.against("not-down-at-snapshot")
    yield* recorder.warn(`'${stack}/${unit.id}' is ${seen.state} at the snapshot`)
    return
  }
  if (before?.stamp !== seen.stamp) yield* recorder.against("restarted-in-window")
  if (wasShutDown && seen.frozen !== true) return
  yield* recorder.against("not-shut-down")
  yield* recorder.warnOnce(`'${stack}/${unit.id}' stands still, but it was not shut down`)
})

/** At the snapshot: looks once more at everything that must be down, and asks again what else could write. */
export const verifyDown = Effect.fnUntraced(
  function*(plan: Plan, touched: Iterable<Touched>, recorder: Recorder) {
    const idle = plan.stacks.flatMap(({ idle, observations, policy: { stack } }) =>
      idle.map((unit) => {
        const before = observations.find((seen) => seen.unit.id === unit.id)
        return verifyUnit(recorder, stack, unit, before, true)
      })
    )
    const held = [...touched].map(({ down, stack, unit }) =>
      verifyUnit(recorder, stack, unit, down, down?.frozen !== true)
    )
    const others = plan.stacks.map((stack) => interference(recorder, stack))
    yield* Effect.all([...held, ...idle, ...others], { concurrency: "unbounded", discard: true })
  },
  (effect) => untorn(effect)
)
