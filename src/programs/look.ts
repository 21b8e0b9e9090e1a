/**
 * Looks at units: observations that always answer, and in time.
 */
import { Cause, Duration, Effect, Exit, Schedule } from "effect"
import type { StackName, Unit, UnitObservation } from "../domain/Stack.ts"
import { StackControl, StackControlError } from "../services/StackControl.ts"
import { bounded } from "./limits.ts"

/** For one question to a control that changes nothing. */
export const lookTimeout = Duration.seconds(15)

/** What went wrong, for people. */
export const reasonOf = (cause: Cause.Cause<{ readonly message: string }>): string =>
  Cause.squash(cause) instanceof Error ? String((Cause.squash(cause) as Error).message) : Cause.pretty(cause)

/** For the question what a stack is made of, which asks for all of its units. */
const inspectTimeout = Duration.seconds(60)

/** What a stack is made of, and its state: an answer or an error, in time. */
export const inspect = Effect.fnUntraced(function*(stack: StackName) {
  const control = yield* StackControl
  const silent = () =>
    new StackControlError({
      stack,
      operation: "inspect",
      reason: `no answer within ${Duration.format(inspectTimeout)}`
    })
  return yield* bounded(inspectTimeout, silent)(control.inspect(stack))
})

/** An observation that always answers: what cannot be told is `unknown`. */
export const look = Effect.fnUntraced(function*(stack: StackName, unit: Unit) {
  const control = yield* StackControl
  const exit = yield* control.observe(stack, unit).pipe(
    Effect.disconnect,
    Effect.timeout(lookTimeout),
    Effect.exit
  )
  return Exit.match(exit, {
    onFailure: (cause): UnitObservation => ({ unit, state: "unknown", detail: reasonOf(cause) }),
    onSuccess: (seen) => seen
  })
})

const pace = Schedule.exponential("50 millis", 1.5).pipe(
  Schedule.union(Schedule.spaced("1 second")),
  Schedule.zipRight(Schedule.identity<UnitObservation>())
)

/** Looks again and again until the state is one of those wanted, for at most `limit`; then says what it saw last. */
export const lookUntil = (
  stack: StackName,
  unit: Unit,
  wanted: (seen: UnitObservation) => boolean,
  limit: Duration.DurationInput
) =>
  look(stack, unit).pipe(
    Effect.repeat({ until: wanted, schedule: pace }),
    Effect.timeout(limit),
    Effect.catchTag("TimeoutException", () => look(stack, unit))
  )
