/**
 * The hold: the time in which a run keeps stacks down. It begins with the marker, and resumes at most once, however many
 * paths ask for it.
 */
import { Clock, Duration, Effect, Ref, Schedule } from "effect"
import type { EffectiveMode } from "../domain/Backup.ts"
import type { MarkerNote } from "../domain/Marker.ts"
import { startOrder } from "../domain/Order.ts"
import type { Plan, PlannedStack } from "../domain/Plan.ts"
import type { RunPolicy, StackPolicy } from "../domain/Policy.ts"
import type { StackName, UnitId } from "../domain/Stack.ts"
import { untorn } from "../internal/untorn.ts"
import type { MarkerStore, MarkerStoreError } from "../services/MarkerStore.ts"
import { StackControl } from "../services/StackControl.ts"
import { actionsAtOnce, bringUp } from "./bringUp.ts"
import type { Ended, UnitFailure } from "./errors.ts"
import * as Evidence from "./evidence.ts"
import { patientMarkers } from "./limits.ts"
import { moment, type Recorder } from "./recorder.ts"
import * as Stopping from "./stopping.ts"

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

/** While an app is down, its state directory is not waited for as long as before. */
const downTimeout = Duration.seconds(5)

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
  const markers = yield* patientMarkers()
  const whileDown = yield* patientMarkers(downTimeout)
  const { runId } = recorder
  const held = plan.stacks.filter((stack) => stack.held.length > 0)
  const note = (stack: StackName, unit: UnitId, state: MarkerNote["state"]) =>
    whileDown.note(runId, { stack, unit, state })

  const stopping = yield* Stopping.make(held, note, recorder)
  const permits = yield* Effect.makeSemaphore(actionsAtOnce)
  const gate = yield* Effect.makeSemaphore(1)
  const resumed = yield* Ref.make(false)

  if (held.length > 0) {
    const createdAt = (yield* moment).at
    const stacks = held.map(({ held, units }) => ({ ...units, units: held }))
    // to be acquired is not to be interrupted: only inside of untorn does a limit end the wait
    yield* untorn(markers.write({ runId, createdAt, stacks }))
  }

  const verifyDown = Effect.flatMap(
    stopping.touched,
    (touched) => Evidence.verifyDown(plan, touched.values(), recorder)
  ).pipe(Effect.provideService(StackControl, control))

  const remaining = Effect.fnUntraced(function*(mode: EffectiveMode | undefined) {
    const since = yield* stopping.began
    const now = yield* Clock.currentTimeNanos
    const left = held.flatMap(({ policy }) => {
      const start = since.get(policy.stack)
      return start === undefined ? [] : [limitOf(policy, mode) - Number(now - start.nanos) / 1e6]
    })
    return Math.min(Infinity, ...left)
  })

  const liftsOf = ({ held, policy: { stack } }: PlannedStack) =>
    Effect.map(stopping.touched, (all) =>
      startOrder(held.toReversed()).flatMap((unit) => {
        const entry = all.get(`${stack}/${unit.id}`)
        if (entry === undefined) return []
        const pending = entry.down === undefined
        return [{ unit, provedDown: !pending, watchMs: pending && !entry.settled ? unit.stopTimeoutMs : 0 }]
      }))

  /** A stack comes up as soon as its own stops have ended: those of another one may take longer. */
  const resumeStack = Effect.fnUntraced(function*(planned: PlannedStack) {
    const { policy: { stack } } = planned
    yield* stopping.ended(stack)
    const lifts = yield* liftsOf(planned)
    if (lifts.length === 0) return []
    return yield* bringUp([{ stack, lifts }], {
      budget: policy.resumeTimeout,
      steadyTime: policy.steadyTime,
      permits,
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

  const clear = whileDown.clear(runId).pipe(
    Effect.retry(clearAgain),
    Effect.catchAll((error) =>
      Effect.zipRight(noteUp([]), recorder.warn(`${error.message}; everything is up, recover will clear it`))
    )
  )

  const resumeAll = Effect.gen(function*() {
    yield* stopping.close
    // until it is proved otherwise: a defect on the way must not look like a good end
    yield* Ref.set(
      notUp,
      [...(yield* stopping.touched).values()].map(({ stack, unit }) => ({
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

  return { stop: stopping.stop, verifyDown, remaining, resume }
})
