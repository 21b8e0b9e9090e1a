/**
 * Brings units up: the one place that starts anything, used by the resume of a run and by recover.
 */
import { Cause, Clock, Duration, Effect, Exit, Schedule } from "effect"
import type { StackName, Unit, UnitObservation } from "../domain/Stack.ts"
import { StackControl } from "../services/StackControl.ts"
import type { UnitFailure } from "./errors.ts"

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
  readonly onState: (stack: StackName, state: "starting" | "running" | "failed") => Effect.Effect<void>
}

const observeTimeout = Duration.seconds(15)
const margin = 5_000

const reasonOf = (cause: Cause.Cause<{ readonly message: string }>): string =>
  Cause.squash(cause) instanceof Error ? String((Cause.squash(cause) as Error).message) : Cause.pretty(cause)

/** An observation that always answers: what cannot be told is `unknown`. */
export const look = Effect.fnUntraced(function*(stack: StackName, unit: Unit) {
  const control = yield* StackControl
  const exit = yield* control.observe(stack, unit).pipe(
    Effect.disconnect,
    Effect.timeout(observeTimeout),
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

/** One attempt: `undefined` when the unit is up, else why not. */
const attempt = Effect.fnUntraced(function*(stack: StackName, lift: Lift, first: boolean) {
  const control = yield* StackControl
  const { unit } = lift
  if (!(first && lift.provedDown)) {
    const seen = yield* lookUntil(stack, unit, ({ state }) => state !== "changing", unit.stopTimeoutMs + margin)
    if (seen.state === "running") return undefined
  }
  const exit = yield* control.start(stack, unit).pipe(
    Effect.disconnect,
    Effect.timeout(unit.startTimeoutMs + margin),
    Effect.exit
  )
  const seen = Exit.isSuccess(exit)
    ? yield* lookUntil(stack, unit, ({ state }) => state === "running", unit.startTimeoutMs)
    : yield* look(stack, unit)
  if (seen.state === "running") return undefined
  return Exit.isSuccess(exit)
    ? `started, but it is ${seen.state}${seen.detail === undefined ? "" : ` (${seen.detail})`}`
    : reasonOf(exit.cause)
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
  const began = yield* Clock.currentTimeNanos
  const spent = Effect.map(Clock.currentTimeNanos, (now) => Number(now - began) / 1e6)
  let pending = lifts
  for (let round = 0;; round++) {
    yield* options.onState(stack, "starting")
    const failures: Array<{ readonly lift: Lift; readonly failure: UnitFailure }> = []
    for (const lift of pending) {
      const error = yield* attempt(stack, lift, round === 0)
      if (error !== undefined) failures.push({ lift, failure: { stack, unit: lift.unit.id, error } })
    }
    if (failures.length === 0) {
      yield* options.onState(stack, "running")
      const fallen = yield* watch(stack, lifts, options.steadyTime)
      if (fallen.length === 0) return []
      for (const lift of fallen) {
        failures.push({ lift, failure: { stack, unit: lift.unit.id, error: "it came up and went down again" } })
      }
    }
    yield* options.onState(stack, "failed")
    if ((yield* spent) >= Duration.toMillis(options.budget)) return failures.map(({ failure }) => failure)
    pending = failures.map(({ lift }) => lift)
    yield* Effect.sleep(Duration.min(Duration.millis(500 * 2 ** round), Duration.seconds(30)))
  }
})

/**
 * Starts what is down, in order, stack beside stack; tries again with backoff what fails without keeping the others
 * down; answers with what is still not up when the budget is spent. Run it untorn.
 */
export const bringUp = (
  stacks: ReadonlyArray<StackLift>,
  options: BringUpOptions
): Effect.Effect<ReadonlyArray<UnitFailure>, never, StackControl> =>
  Effect.map(
    Effect.forEach(stacks, (stack) => bringUpStack(options, stack), { concurrency: "unbounded" }),
    (failures) => failures.flat()
  )
