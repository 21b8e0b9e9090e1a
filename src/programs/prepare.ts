/**
 * What makes the hold short, done with the app still up.
 */
import { Duration, Effect } from "effect"
import type { Plan } from "../domain/Plan.ts"
import type { RunPolicy } from "../domain/Policy.ts"
import type { StackName } from "../domain/Stack.ts"
import { StackControl } from "../services/StackControl.ts"
import type { Backup } from "./follow.ts"
import type { Recorder } from "./recorder.ts"

/**
 * A prepare that took longer than this is not repeated: it is a burden for the app, and what it left to write is written
 * by the stop in less time than that.
 */
const repeatable = Duration.seconds(5)

/**
 * The stacks, then the agent (it syncs the file systems), then the stacks once more: what was written meanwhile is little,
 * and without the second round the stop would have to write it. Never a reason not to run.
 */
export const prepare = Effect.fnUntraced(function*(plan: Plan, policy: RunPolicy, backup: Backup, recorder: Recorder) {
  const control = yield* StackControl
  const held = plan.stacks.filter((stack) => stack.held.length > 0).map((stack) => stack.policy.stack)
  const warnOf = (error: { readonly message: string }) => recorder.warnOnce(`prepare: ${error.message}`)

  /** Whether it is worth a second time. */
  const first = Effect.fnUntraced(function*(stack: StackName) {
    yield* recorder.stack(stack, "preparing")
    const [took, done] = yield* control.prepare(stack).pipe(
      Effect.as(true),
      Effect.catchAll((error) => Effect.as(warnOf(error), false)),
      Effect.timed
    )
    return done && Duration.lessThanOrEqualTo(took, repeatable)
  })
  const again = (stack: StackName) => Effect.catchAll(control.prepare(stack), warnOf)

  yield* Effect.gen(function*() {
    const worth = yield* Effect.filter(held, first, { concurrency: "unbounded" })
    yield* Effect.catchAll(backup.prepare, warnOf)
    yield* Effect.forEach(worth, again, { concurrency: "unbounded", discard: true })
  }).pipe(
    Effect.disconnect,
    Effect.timeoutOption(policy.prepareTimeout),
    Effect.filterOrElse(
      (done) => done._tag === "Some",
      () => recorder.warn(`prepare: not done within ${Duration.format(policy.prepareTimeout)}`)
    )
  )
})
