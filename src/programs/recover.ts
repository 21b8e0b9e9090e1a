/**
 * Makes true what the markers of dead runs say: starts what they left down, then clears them. Safe to run at any time,
 * by anybody, any number of times.
 */
import { Effect, Either, Ref } from "effect"
import { lastNote, type StoredMarker, verdict } from "../domain/Marker.ts"
import { startOrder } from "../domain/Order.ts"
import type { RunPolicy } from "../domain/Policy.ts"
import type { RecoverReport } from "../domain/Report.ts"
import { type StackName, type Unit, UnitId, type UnitObservation } from "../domain/Stack.ts"
import { untorn } from "../internal/untorn.ts"
import { AgentClient } from "../services/AgentClient.ts"
import type { MarkerStore, MarkerStoreError } from "../services/MarkerStore.ts"
import { type LockUnavailable, RunLock } from "../services/RunLock.ts"
import { StackControl } from "../services/StackControl.ts"
import { actionsAtOnce, bringUp, type Lift, type StackLift } from "./bringUp.ts"
import type { UnitFailure } from "./errors.ts"
import { heard, patientMarkers } from "./limits.ts"
import { inspect, look, lookUntil } from "./look.ts"

/** The limits of a run that a recovery has too. */
export type RecoverPolicy = Pick<RunPolicy, "resumeTimeout" | "steadyTime" | "deadline">

interface Tally {
  readonly recovered: RecoverReport["recovered"]
  readonly failed: ReadonlyArray<UnitFailure>
  readonly warnings: ReadonlyArray<string>
}

const empty: Tally = { recovered: [], failed: [], warnings: [] }

const merge = (a: Tally, b: Partial<Tally>): Tally => ({
  recovered: [...a.recovered, ...b.recovered ?? []],
  failed: [...a.failed, ...b.failed ?? []],
  warnings: [...a.warnings, ...b.warnings ?? []]
})

/** Brings the lifts up, and says which of them were down. */
const lift = Effect.fnUntraced(function*(policy: RecoverPolicy, stacks: ReadonlyArray<StackLift>) {
  const wanted = stacks.filter(({ lifts }) => lifts.length > 0)
  const failed = yield* bringUp(wanted, {
    budget: policy.resumeTimeout,
    steadyTime: policy.steadyTime,
    permits: yield* Effect.makeSemaphore(actionsAtOnce),
    onState: (stack, state) => Effect.logInfo(`stack '${stack}' is ${state}`)
  })
  const down = new Set(failed.map(({ stack, unit }) => `${stack}/${unit}`))
  const up = wanted.flatMap(({ lifts, stack }) =>
    lifts.filter(({ unit }) => !down.has(`${stack}/${unit.id}`)).map(({ provedDown, unit }) => ({
      stack,
      unit: unit.id,
      provedDown
    }))
  )
  const recovered = up.filter(({ provedDown }) => provedDown).map(({ stack, unit }) => ({ stack, unit }))
  return { recovered, failed }
})

/** How long a unit that was found down is watched for the rest of a stop that nobody saw end. */
const lateStopMs = 10_000

/** What has to be done about one unit of a marker, once its state is settled. */
const liftOf = Effect.fnUntraced(function*(stored: StoredMarker & { _tag: "Readable" }, stack: StackName, unit: Unit) {
  const note = lastNote(stored.notes, stack, unit)
  const first = yield* look(stack, unit)
  const seen = verdict(note, first.state) !== "wait"
    ? first
    : yield* lookUntil(stack, unit, ({ state }) => verdict(note, state) !== "wait", unit.stopTimeoutMs + 5_000)
  const decided = verdict(note, seen.state)
  // a stop that was seen under way and has ended by now is over
  const stopOver = note !== "stopping" || (first.state === "changing" && seen.state !== "changing")
  if (decided === "leave" || (decided === "watch" && stopOver)) return []
  const watchMs = stopOver
    ? 0
    : seen.state === "stopped"
    ? Math.min(lateStopMs, unit.stopTimeoutMs)
    : unit.stopTimeoutMs
  return [{ unit, provedDown: seen.state !== "running" && seen.state !== "changing", watchMs } satisfies Lift]
})

const recoverMarker = Effect.fnUntraced(function*(policy: RecoverPolicy, stored: StoredMarker & { _tag: "Readable" }) {
  const markers = yield* patientMarkers()
  const { runId, stacks } = stored.marker
  const lifts = yield* Effect.forEach(stacks, ({ stack, units }) =>
    Effect.map(
      Effect.forEach(startOrder(units.toReversed()), (unit) => liftOf(stored, stack, unit), {
        concurrency: "unbounded"
      }),
      (lifts): StackLift => ({ stack, lifts: lifts.flat() })
    ), { concurrency: "unbounded" })
  const { failed, recovered } = yield* lift(policy, lifts)
  const warnings = stored.warning === undefined ? [] : [`marker ${stored.name}: ${stored.warning}`]
  const cleared = failed.length > 0 ? undefined : yield* Effect.either(markers.clear(stored.name))
  if (cleared !== undefined && Either.isRight(cleared)) return { recovered, failed, warnings }
  // the marker stays: what is up by now is not to be started against somebody's wish later
  const down = new Set(failed.map(({ stack, unit }) => `${stack}/${unit}`))
  const up = stacks.flatMap(({ stack, units }) => units.map(({ id }) => ({ stack, unit: id })))
    .filter(({ stack, unit }) => !down.has(`${stack}/${unit}`))
  yield* Effect.forEach(up, (at) => Effect.ignore(markers.note(runId, { ...at, state: "running" })), { discard: true })
  return { recovered, failed, warnings: cleared === undefined ? warnings : [...warnings, cleared.left.message] }
})

const inStartOrder = (observations: ReadonlyArray<UnitObservation>) =>
  startOrder(observations.toReversed().map(({ unit }) => unit)).flatMap((unit) =>
    observations.find((seen) => seen.unit === unit) ?? []
  )

/**
 * A marker that cannot be read at all: which stacks it held is not known, so every configured stack that is down is
 * started, because an app left down is worse than one started against a wish.
 */
const recoverDamaged = Effect.fnUntraced(function*(policy: RecoverPolicy, name: string, reason: string) {
  const control = yield* StackControl
  const markers = yield* patientMarkers()
  const names = yield* control.stacks
  const unseen = yield* Ref.make<ReadonlyArray<UnitFailure>>([])
  const stacks = yield* Effect.forEach(names, (stack) =>
    inspect(stack).pipe(
      Effect.map(({ observations }): StackLift => ({
        stack,
        lifts: inStartOrder(observations).flatMap(({ state, unit }) =>
          state === "running" ? [] : [{ unit, provedDown: state !== "changing", watchMs: 0 }]
        )
      })),
      Effect.catchAll(({ message }) =>
        Effect.as(
          Ref.update(unseen, (all) => [...all, { stack, unit: UnitId.make(stack), error: message }]),
          { stack, lifts: [] }
        )
      )
    ), { concurrency: "unbounded" })
  const { failed, recovered } = yield* lift(policy, stacks)
  const notUp = [...failed, ...(yield* Ref.get(unseen))]
  const what = `marker ${name} cannot be read (${reason})`
  // put aside only once nothing that it may have named can still be down
  if (names.length === 0) {
    return { recovered, failed: notUp, warnings: [`${what} and no stack is configured: what it held is not known`] }
  }
  const aside = notUp.length > 0 ? undefined : yield* Effect.either(markers.quarantine(name))
  const warnings = aside !== undefined && Either.isLeft(aside) ? [aside.left.message] : []
  return {
    recovered,
    failed: notUp,
    warnings: [`${what}: every configured stack that is down is started`, ...warnings]
  }
})

/** Brings up what all markers name. Never torn: half a recovery is a stack left down. */
const bringBack = Effect.fnUntraced(function*(policy: RecoverPolicy) {
  const markers = yield* patientMarkers()
  const found = yield* markers.list
  const tally = yield* Effect.reduce(found, empty, (tally, stored) =>
    Effect.map(
      stored._tag === "Readable"
        ? recoverMarker(policy, stored)
        : recoverDamaged(policy, stored.name, stored.reason),
      (more) => merge(tally, more)
    ))
  return { ...tally, markers: found.length }
}, (effect) => untorn(effect))

/** Recovers under a lock that the caller holds. */
export const recoverLocked = Effect.fn("recoverLocked")(function*(policy: RecoverPolicy) {
  const agent = yield* AgentClient
  const { mine } = yield* patientMarkers()
  const { markers, ...tally } = yield* bringBack(policy)
  // the apps come first; what a dead run still reads or left behind is ended after them. What a clone finds at a place
  // that it shares with its original may be in use there
  const swept = yield* Effect.zipRight(mine, agent.sweep).pipe(
    heard(policy.deadline),
    Effect.map((removed) => removed.map((what) => `left by a dead run, removed: ${what}`)),
    Effect.catchAll((error) => Effect.succeed([`leftovers of a dead run could not be removed: ${error.message}`]))
  )
  return { ...merge(tally, { warnings: swept }), markers, liveRun: false } satisfies RecoverReport
})

/**
 * Takes the lock and recovers. Beside a live run it does nothing: the run owns its marker.
 *
 * @example
 * ```ts
 * import { defaults } from "quiesce/domain/Policy"
 * import { recover } from "quiesce/programs/recover"
 *
 * const atBoot = recover(defaults)
 * ```
 */
export const recover: (
  policy: RecoverPolicy
) => Effect.Effect<
  RecoverReport,
  MarkerStoreError | LockUnavailable,
  StackControl | MarkerStore | RunLock | AgentClient
> = Effect.fn("recover")(function*(policy) {
  const lock = yield* RunLock
  const markers = yield* patientMarkers()
  return yield* Effect.scoped(Effect.zipRight(lock.acquire("recover"), recoverLocked(policy))).pipe(
    Effect.catchTag("LockHeld", () =>
      Effect.map(markers.list, (found): RecoverReport => ({
        recovered: [],
        failed: [],
        markers: found.length,
        liveRun: true,
        warnings: []
      })))
  )
})
