/**
 * The hold: the time in which a run keeps stacks down. Stops them without ever tearing a stop, and resumes them at most
 * once, however many paths ask for it.
 */
import { Clock, Duration, Effect, Exit, Fiber, Ref, Schedule } from "effect"
import type { EffectiveMode } from "../domain/Backup.ts"
import type { Plan, PlannedStack } from "../domain/Plan.ts"
import type { RunPolicy, StackPolicy } from "../domain/Policy.ts"
import type { StackName, Unit, UnitId, UnitObservation } from "../domain/Stack.ts"
import { untorn } from "../internal/untorn.ts"
import { MarkerStore, MarkerStoreError } from "../services/MarkerStore.ts"
import { StackControl } from "../services/StackControl.ts"
import { bringUp, look, lookUntil } from "./bringUp.ts"
import { Ended, type UnitFailure } from "./errors.ts"
import { type Moment, moment, type Recorder } from "./recorder.ts"

/** What is known of a unit whose stop was sent. */
interface Touched {
  readonly stack: StackName
  readonly unit: Unit
  /** Seen down after the stop had ended. */
  readonly down: UnitObservation | undefined
}

/** What a run can do with the stacks that it holds, and when it must let go. */
export interface Hold {
  /** Stops everything that the plan holds and proves it down. An interruption stops waiting, not the stop. */
  readonly stop: Effect.Effect<void, Ended>
  /** Looks once more, at the snapshot: what is not down, or was up in between, counts against the claim. */
  readonly verifyDown: Effect.Effect<void>
  /** What is left of the shortest limit of all held stacks, in milliseconds. */
  readonly remaining: (mode: EffectiveMode | undefined) => Effect.Effect<number>
  /** Starts everything that was stopped and clears the marker. Runs once; later calls wait for it. Never torn. */
  readonly resume: Effect.Effect<void>
}

const limitOf = (policy: StackPolicy, mode: EffectiveMode | undefined) =>
  Duration.toMillis(mode === "stop" ? policy.maxDowntimeWithoutSnapshot : policy.maxDowntime)

/** A state directory that stands still (a dead network disk, a frozen file system) must not keep an app down. */
const bounded = (operation: MarkerStoreError["operation"], effect: Effect.Effect<void, MarkerStoreError>) =>
  effect.pipe(
    Effect.disconnect,
    Effect.timeoutFail({
      duration: "5 seconds",
      onTimeout: () => new MarkerStoreError({ operation, reason: "the state directory does not answer" })
    })
  )

const clearAgain = Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(3))

/** Writes the marker. From here on the release of the run must `resume`. */
export const open = Effect.fnUntraced(function*(
  plan: Plan,
  policy: RunPolicy,
  recorder: Recorder,
  /** Where the units that did not come up are left for the end of the run. */
  notUp: Ref.Ref<ReadonlyArray<UnitFailure>>
): Effect.fn.Return<Hold, MarkerStoreError, StackControl | MarkerStore> {
  const control = yield* StackControl
  const markers = yield* MarkerStore
  const { runId } = recorder
  const held = plan.stacks.filter((stack) => stack.held.length > 0)

  const began = yield* Ref.make<ReadonlyMap<StackName, Moment>>(new Map())
  const touched = yield* Ref.make<ReadonlyMap<string, Touched>>(new Map())
  const closing = yield* Ref.make(false)
  const stopping = yield* Ref.make<ReadonlyMap<StackName, Fiber.Fiber<void>>>(new Map())
  const gate = yield* Effect.makeSemaphore(1)
  const resumed = yield* Ref.make(false)

  if (held.length > 0) {
    yield* markers.write({
      runId,
      createdAt: (yield* moment).at,
      stacks: held.map(({ held, units }) => ({ ...units, units: held }))
    })
  }

  const touch = (entry: Touched) =>
    Ref.update(touched, (all) => new Map([...all, [`${entry.stack}/${entry.unit.id}`, entry]]))

  const note = (stack: StackName, unit: UnitId, state: "stopping" | "stopped" | "running") =>
    bounded("note", markers.note(runId, { stack, unit, state }))

  const stopUnit = Effect.fnUntraced(function*(stack: StackName, unit: Unit) {
    // without the note recover could not know that a stop may be under way: no note, no stop
    const noted = yield* Effect.exit(note(stack, unit.id, "stopping"))
    if (Exit.isFailure(noted)) return yield* recorder.warn(`'${stack}' was not stopped: the marker takes no notes`)
    yield* touch({ stack, unit, down: undefined })
    const sent = yield* Clock.currentTimeMillis
    const exit = yield* control.stop(stack, unit).pipe(
      Effect.disconnect,
      Effect.timeout(unit.stopTimeoutMs + 5_000),
      Effect.tapError((error) => recorder.warn(error.message)),
      Effect.exit
    )
    if (Exit.isFailure(exit) || !exit.value.clean) yield* recorder.against("unclean-stop")
    const left = Math.max(0, unit.stopTimeoutMs - ((yield* Clock.currentTimeMillis) - sent))
    const seen = yield* lookUntil(stack, unit, ({ state }) => state === "stopped", Exit.isSuccess(exit) ? left : 0)
    if (seen.state !== "stopped") return
    yield* touch({ stack, unit, down: seen })
    yield* Effect.ignore(note(stack, unit.id, "stopped"))
  })

  const stopStack = Effect.fnUntraced(function*({ held, policy: { stack } }: PlannedStack) {
    for (const unit of held) {
      if (yield* Ref.get(closing)) return
      const now = yield* moment
      yield* Ref.update(began, (all) => all.has(stack) ? all : new Map([...all, [stack, now]]))
      yield* recorder.stack(stack, "stopping")
      yield* stopUnit(stack, unit)
      // what depends on this unit is down already; what it depends on must not be taken from under it
      if ((yield* Ref.get(touched)).get(`${stack}/${unit.id}`)?.down === undefined) return
    }
    yield* recorder.stack(stack, "stopped")
  })

  const notDown = Effect.map(
    Ref.get(touched),
    (all) =>
      held.flatMap(({ held, policy: { stack } }) =>
        held.filter((unit) => all.get(`${stack}/${unit.id}`)?.down === undefined).map((unit) => `${stack}/${unit.id}`)
      )
  )

  const stop = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const fibers = yield* Effect.forEach(held, (stack) =>
        stopStack(stack).pipe(
          Effect.interruptible,
          Effect.forkDaemon,
          Effect.tap((fiber) => Ref.update(stopping, (all) => new Map([...all, [stack.policy.stack, fiber]])))
        ))
      yield* restore(Fiber.joinAll(fibers))
      const up = yield* notDown
      if (up.length === 0) return
      yield* recorder.against("not-verified-down")
      return yield* new Ended({ outcome: "backup-failed", message: `could not be stopped: ${up.join(", ")}` })
    })
  ).pipe(Effect.provideService(StackControl, control))

  const verifyUnit = Effect.fnUntraced(function*(stack: StackName, unit: Unit, before: UnitObservation | undefined) {
    const seen = yield* look(stack, unit)
    if (seen.state !== "stopped") {
      yield* recorder.against("not-down-at-snapshot")
      yield* recorder.warn(`'${stack}/${unit.id}' is ${seen.state} at the snapshot`)
    } else if (before?.stamp !== seen.stamp) {
      yield* recorder.against("restarted-in-window")
    }
  })

  const verifyDown = Effect.gen(function*() {
    const all = yield* Ref.get(touched)
    const idle = plan.stacks.flatMap(({ idle, observations, policy: { stack } }) =>
      idle.map((unit) => ({ stack, unit, before: observations.find((seen) => seen.unit.id === unit.id) }))
    )
    const stopped = [...all.values()].map(({ down, stack, unit }) => ({ stack, unit, before: down }))
    yield* Effect.forEach([...stopped, ...idle], ({ before, stack, unit }) => verifyUnit(stack, unit, before), {
      concurrency: "unbounded",
      discard: true
    })
  }).pipe(untorn, Effect.provideService(StackControl, control))

  const remaining = Effect.fnUntraced(function*(mode: EffectiveMode | undefined) {
    const since = yield* Ref.get(began)
    const now = yield* Clock.currentTimeNanos
    const left = held.flatMap(({ policy }) => {
      const start = since.get(policy.stack)
      return start === undefined ? [] : [limitOf(policy, mode) - Number(now - start.nanos) / 1e6]
    })
    return Math.min(Infinity, ...left)
  })

  const liftsOf = ({ held, policy: { stack } }: PlannedStack) =>
    Effect.map(Ref.get(touched), (all) =>
      held.toReversed().flatMap((unit) => {
        const entry = all.get(`${stack}/${unit.id}`)
        if (entry === undefined) return []
        const pending = entry.down === undefined
        return [{ unit, provedDown: !pending, watchMs: pending ? unit.stopTimeoutMs : 0 }]
      }))

  /** A stack comes up as soon as its own stop has ended: the stop of another one may take longer. */
  const resumeStack = Effect.fnUntraced(function*(planned: PlannedStack) {
    const { policy: { stack } } = planned
    const fiber = (yield* Ref.get(stopping)).get(stack)
    if (fiber !== undefined) yield* Fiber.await(fiber)
    const lifts = yield* liftsOf(planned)
    if (lifts.length === 0) return []
    return yield* bringUp([{ stack, lifts }], {
      budget: policy.resumeTimeout,
      steadyTime: policy.steadyTime,
      onState: recorder.stack
    })
  })

  /** What is up and still in the marker is not to be started against somebody's wish later. */
  const noteUp = (failures: ReadonlyArray<UnitFailure>) => {
    const down = new Set(failures.map(({ stack, unit }) => `${stack}/${unit}`))
    const units = held.flatMap(({ held, policy: { stack } }) => held.map(({ id }) => ({ stack, id })))
    return Effect.forEach(
      units.filter(({ id, stack }) => !down.has(`${stack}/${id}`)),
      ({ id, stack }) => Effect.ignore(note(stack, id, "running")),
      { discard: true }
    )
  }

  const clear = bounded("clear", markers.clear(runId)).pipe(
    Effect.retry(clearAgain),
    Effect.catchAll((error) =>
      Effect.zipRight(noteUp([]), recorder.warn(`${error.message}; everything is up, recover will clear it`))
    )
  )

  const resumeAll = Effect.gen(function*() {
    yield* Ref.set(closing, true)
    // until it is proved otherwise: a defect on the way must not look like a good end
    yield* Ref.set(
      notUp,
      [...(yield* Ref.get(touched)).values()].map(({ stack, unit }) => ({
        stack,
        unit: unit.id,
        error: "the resume broke off"
      }))
    )
    const failures = yield* Effect.forEach(held, resumeStack, { concurrency: "unbounded" })
    yield* Ref.set(notUp, failures.flat())
    if (failures.flat().length > 0) yield* noteUp(failures.flat())
    else if (held.length > 0) yield* clear
  })

  const resume = untorn(
    gate.withPermits(1)(
      Effect.unlessEffect(Effect.zipRight(resumeAll, Ref.set(resumed, true)), Ref.get(resumed))
    )
  ).pipe(Effect.asVoid, Effect.provideService(StackControl, control))

  return { stop, verifyDown, remaining, resume }
})
