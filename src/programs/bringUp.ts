/**
 * Brings units up: the one place that starts anything, used by the resume of a run and by recover.
 */
import { Deferred, Duration, Effect, Exit } from "effect"
import { dependencies } from "../domain/Order.ts"
import type { StackName, Unit } from "../domain/Stack.ts"
import { stopwatch } from "../internal/monotonic.ts"
import { StackControl } from "../services/StackControl.ts"
import type { UnitFailure } from "./errors.ts"
import { look, lookUntil, reasonOf } from "./look.ts"

/** A unit to bring up. */
export interface Lift {
  readonly unit: Unit
  /** Proved down by a stop that has ended: start it without asking first. */
  readonly provedDown: boolean
  /**
   * Milliseconds. A stop that was sent and not seen to end may still take the unit down after it looked up: how long the
   * unit is watched for that.
   */
  readonly watchMs: number
}

/** The lifts of one stack, in start order. */
export interface StackLift {
  readonly stack: StackName
  readonly lifts: ReadonlyArray<Lift>
}

/** How long to try, what counts as up, and who is told. */
export interface BringUpOptions {
  /** How long failed starts are tried again. */
  readonly budget: Duration.Duration
  /** How long every unit must stay up to count as up. */
  readonly steadyTime: Duration.Duration
  /** One for each start that may be under way. A permit is never held while a unit waits for another one. */
  readonly permits: Effect.Semaphore
  readonly onState: (stack: StackName, state: "starting" | "running" | "failed") => Effect.Effect<void>
}

/** How many starts of a run are under way at a time, and how many stops: a machine may hold hundreds of units. */
export const actionsAtOnce = 8

const margin = 5_000

/** One attempt: `undefined` when the unit is up, else why not. */
const attempt = Effect.fnUntraced(function*(
  permits: Effect.Semaphore,
  stack: StackName,
  lift: Lift,
  first: boolean,
  /** Told that the start has succeeded: the unit need not be up yet. */
  onStarted: Effect.Effect<unknown>
) {
  const control = yield* StackControl
  const { unit } = lift
  if (!(first && lift.provedDown)) {
    const seen = yield* lookUntil(stack, unit, ({ state }) => state !== "changing", unit.stopTimeoutMs + margin)
    if (seen.state === "running") return undefined
  }
  const exit = yield* control.start(stack, unit).pipe(
    Effect.disconnect,
    Effect.timeout(unit.startTimeoutMs + margin),
    Effect.exit,
    permits.withPermits(1)
  )
  if (Exit.isSuccess(exit)) yield* onStarted
  const seen = Exit.isSuccess(exit)
    ? yield* lookUntil(stack, unit, ({ ended, state }) => state === "running" || ended === true, unit.startTimeoutMs)
    : yield* look(stack, unit)
  if (seen.state === "running") return undefined
  return Exit.isSuccess(exit)
    ? `started, but it is ${seen.state}${seen.detail === undefined ? "" : ` (${seen.detail})`}`
    : reasonOf(exit.cause)
})

/** Attempts all lifts of a stack, each after those that it depends on; answers with those that are not up. */
const attemptAll = Effect.fnUntraced(function*(
  permits: Effect.Semaphore,
  stack: StackName,
  lifts: ReadonlyArray<Lift>,
  first: boolean
) {
  const gated = yield* Effect.forEach(lifts, (lift) =>
    Effect.map(
      Effect.all({ started: Deferred.make<void>(), up: Deferred.make<void>() }),
      (gates) => ({ ...gates, lift })
    ))
  const gates = new Map(gated.map((gate) => [gate.lift.unit.id, gate]))
  const dependsOn = dependencies(lifts.map(({ unit }) => unit))
  const failures = yield* Effect.forEach(gated, ({ lift, started, up }) => {
    const waitsFor = (dependsOn.get(lift.unit.id) ?? []).flatMap(({ unit, until }) => gates.get(unit)?.[until] ?? [])
    return Effect.forEach(waitsFor, (gate) => Deferred.await(gate), { discard: true }).pipe(
      Effect.zipRight(attempt(permits, stack, lift, first, Deferred.succeed(started, undefined))),
      // also after an attempt that failed: what depends on it must not stay down for that
      Effect.ensuring(Effect.zipRight(Deferred.succeed(started, undefined), Deferred.succeed(up, undefined))),
      Effect.map((error) => error === undefined ? [] : [{ lift, failure: { stack, unit: lift.unit.id, error } }])
    )
  }, { concurrency: "unbounded" })
  return failures.flat()
})

/** Watches units that are up; answers with those that did not stay so. */
const watch = Effect.fnUntraced(function*(stack: StackName, lifts: ReadonlyArray<Lift>, steadyTime: Duration.Duration) {
  const patience = ({ watchMs }: Lift) => Math.max(watchMs, Duration.toMillis(steadyTime))
  return yield* Effect.filter(lifts, (lift) =>
    Effect.map(
      lookUntil(stack, lift.unit, ({ state }) => state === "stopped", patience(lift)),
      ({ state }) => state !== "running"
    ), { concurrency: "unbounded" })
})

const bringUpStack = Effect.fnUntraced(function*(options: BringUpOptions, { lifts, stack }: StackLift) {
  const spent = yield* stopwatch
  let pending = lifts
  for (let round = 0;; round++) {
    yield* options.onState(stack, "starting")
    let failures = yield* attemptAll(options.permits, stack, pending, round === 0)
    if (failures.length === 0) {
      yield* options.onState(stack, "running")
      const fallen = yield* watch(stack, lifts, options.steadyTime)
      if (fallen.length === 0) return []
      failures = fallen.map((lift) => ({
        lift,
        failure: { stack, unit: lift.unit.id, error: "it came up and went down again" }
      }))
    }
    yield* options.onState(stack, "failed")
    if ((yield* spent) >= Duration.toMillis(options.budget)) return failures.map(({ failure }) => failure)
    pending = failures.map(({ lift }) => lift)
    yield* Effect.sleep(Duration.min(Duration.millis(500 * 2 ** round), Duration.seconds(30)))
  }
})

/**
 * Starts what is down, dependencies first, stack beside stack; tries again with backoff what fails without keeping the
 * others down; answers with what is still not up when the budget is spent. Run it untorn.
 */
export const bringUp = (
  stacks: ReadonlyArray<StackLift>,
  options: BringUpOptions
): Effect.Effect<ReadonlyArray<UnitFailure>, never, StackControl> =>
  Effect.map(
    Effect.forEach(stacks, (stack) => bringUpStack(options, stack), { concurrency: "unbounded" }),
    (failures) => failures.flat()
  )
