/**
 * The stops of a hold: dependents first, side by side where nothing is between them, and never torn.
 */
import { Cause, Deferred, Effect, Exit, Fiber, Option, Ref } from "effect"
import type { MarkerNote } from "../domain/Marker.ts"
import { dependencies } from "../domain/Order.ts"
import type { PlannedStack } from "../domain/Plan.ts"
import type { StackName, Unit, UnitId, UnitObservation } from "../domain/Stack.ts"
import { stopwatch } from "../internal/monotonic.ts"
import type { MarkerStoreError } from "../services/MarkerStore.ts"
import { StackControl, type StackControlError } from "../services/StackControl.ts"
import { actionsAtOnce } from "./bringUp.ts"
import { Ended } from "./errors.ts"
import { lookUntil } from "./look.ts"
import { type Moment, moment, type Recorder } from "./recorder.ts"

/** What is known of a unit whose stop was sent. */
export interface Touched {
  readonly stack: StackName
  readonly unit: Unit
  /** Seen down after the stop had ended. */
  readonly down: UnitObservation | undefined
  /** The stop failed in a way that leaves nothing under way. */
  readonly settled: boolean
}

/** The stops of one hold. */
export interface Stopping {
  /** Stops everything that is held and proves it down. An interruption stops waiting, not the stops. */
  readonly stop: Effect.Effect<void, Ended>
  /** The units whose stops were sent, by `stack/unit`. */
  readonly touched: Effect.Effect<ReadonlyMap<string, Touched>>
  /** When the first stop of each stack was sent. */
  readonly began: Effect.Effect<ReadonlyMap<StackName, Moment>>
  /** From here on no stop is sent. */
  readonly close: Effect.Effect<void>
  /** Waits until the stops of a stack that were sent have ended. */
  readonly ended: (stack: StackName) => Effect.Effect<void>
}

const isSettled = (cause: Cause.Cause<StackControlError | Cause.TimeoutException>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error._tag === "StackControlError" && error.settled === true)

/** Nothing is stopped yet. */
export const make = Effect.fnUntraced(function*(
  held: ReadonlyArray<PlannedStack>,
  note: (stack: StackName, unit: UnitId, state: MarkerNote["state"]) => Effect.Effect<void, MarkerStoreError>,
  recorder: Recorder
) {
  const control = yield* StackControl
  const began = yield* Ref.make<ReadonlyMap<StackName, Moment>>(new Map())
  const touched = yield* Ref.make<ReadonlyMap<string, Touched>>(new Map())
  const closing = yield* Ref.make(false)
  const fibers = yield* Ref.make<ReadonlyMap<StackName, Fiber.Fiber<void>>>(new Map())
  const permits = yield* Effect.makeSemaphore(actionsAtOnce)

  const touch = (entry: Touched) =>
    Ref.update(touched, (all) => new Map([...all, [`${entry.stack}/${entry.unit.id}`, entry]]))

  const begin = Effect.fnUntraced(function*(stack: StackName) {
    const now = yield* moment
    const first = yield* Ref.modify(
      began,
      (all) => all.has(stack) ? [false, all] : [true, new Map([...all, [stack, now]])]
    )
    if (first) yield* recorder.stack(stack, "stopping")
  })

  /** Sends the stop and awaits its end; `undefined` when it was not sent. */
  const send = Effect.fnUntraced(function*(stack: StackName, unit: Unit) {
    // the resume may have begun while this unit waited for its turn
    if (yield* Ref.get(closing)) return undefined
    yield* begin(stack)
    // without the note recover could not know that a stop may be under way: no note, no stop
    const noted = yield* Effect.exit(note(stack, unit.id, "stopping"))
    if (Exit.isFailure(noted)) {
      yield* recorder.warnOnce(`'${stack}' was not stopped: the marker takes no notes`)
      return undefined
    }
    yield* touch({ stack, unit, down: undefined, settled: false })
    const spent = yield* stopwatch
    const exit = yield* control.stop(stack, unit).pipe(
      Effect.disconnect,
      Effect.timeout(unit.stopTimeoutMs + 5_000),
      Effect.tapError((error) => recorder.warn(error.message)),
      Effect.exit
    )
    if (Exit.isFailure(exit) || !exit.value.clean) yield* recorder.against("unclean-stop")
    if (Exit.isFailure(exit)) {
      yield* touch({ stack, unit, down: undefined, settled: isSettled(exit.cause) })
      return { left: 0, seen: undefined }
    }
    const left = Math.max(0, unit.stopTimeoutMs - (yield* spent))
    return { left, seen: exit.value.seen }
  })

  /** Whether the unit is proved down. */
  const stopUnit = Effect.fnUntraced(function*(stack: StackName, unit: Unit) {
    const sent = yield* permits.withPermits(1)(send(stack, unit))
    if (sent === undefined) return false
    const seen = sent.seen?.state === "stopped"
      ? sent.seen
      : yield* lookUntil(stack, unit, ({ state }) => state === "stopped", sent.left)
    if (seen.state !== "stopped") return false
    yield* touch({ stack, unit, down: seen, settled: true })
    yield* Effect.ignore(note(stack, unit.id, "stopped"))
    return true
  })

  const stopStack = Effect.fnUntraced(function*({ held, policy: { stack } }: PlannedStack) {
    const waitsFor = dependencies(held)
    const turns = yield* Effect.forEach(
      held,
      (unit) => Effect.map(Deferred.make<boolean>(), (down) => ({ unit, down }))
    )
    const stops = yield* Effect.forEach(turns, ({ down, unit }) => {
      const dependents = turns.filter((other) => waitsFor.get(other.unit.id)?.some((on) => on.unit === unit.id))
      return Effect.every(dependents, (dependent) => Deferred.await(dependent.down)).pipe(
        // what this unit depends on must not be taken from under one that may be up
        Effect.flatMap((free) => free ? stopUnit(stack, unit) : Effect.succeed(false)),
        Effect.onExit((exit) => Deferred.succeed(down, Exit.isSuccess(exit) && exit.value)),
        // of its own: a stop that breaks must not tear another one
        Effect.forkDaemon
      )
    })
    // all to their end first
    yield* Effect.forEach(stops, (stop) => Fiber.await(stop), { discard: true })
    const down = yield* Effect.forEach(stops, (stop) => Fiber.join(stop))
    if (down.every(Boolean)) yield* recorder.stack(stack, "stopped")
  })

  const notDown = Effect.map(
    Ref.get(touched),
    (all) =>
      held.flatMap(({ held, policy: { stack } }) =>
        held.filter((unit) => all.get(`${stack}/${unit.id}`)?.down === undefined).map((unit) => `${stack}/${unit.id}`)
      )
  )

  const stopping: Stopping = {
    stop: Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const all = yield* Effect.forEach(held, (stack) =>
          stopStack(stack).pipe(
            Effect.interruptible,
            Effect.forkDaemon,
            Effect.tap((fiber) => Ref.update(fibers, (all) => new Map([...all, [stack.policy.stack, fiber]])))
          ))
        yield* restore(Fiber.joinAll(all))
        const up = yield* notDown
        if (up.length === 0) return
        yield* recorder.against("not-verified-down")
        return yield* new Ended({ outcome: "backup-failed", message: `could not be stopped: ${up.join(", ")}` })
      })
    ).pipe(Effect.provideService(StackControl, control)),
    touched: Ref.get(touched),
    began: Ref.get(began),
    // whoever waits for a permit would wait for the stops of other stacks: let it come, and see that it is too late
    close: Effect.zipRight(Ref.set(closing, true), permits.resize(Infinity)),
    ended: (stack) =>
      Effect.flatMap(Ref.get(fibers), (all) => {
        const fiber = all.get(stack)
        return fiber === undefined ? Effect.void : Fiber.await(fiber)
      })
  }
  return stopping
})
