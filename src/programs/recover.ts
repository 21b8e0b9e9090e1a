/**
 * Makes true what the markers of dead runs say: starts what they left down, then clears them. Safe to run at any time,
 * by anybody, any number of times.
 */
import { Effect, Ref } from "effect"
import { lastNote, type StoredMarker, verdict } from "../domain/Marker.ts"
import type { RunPolicy } from "../domain/Policy.ts"
import type { RecoverReport } from "../domain/Report.ts"
import type { StackName, Unit } from "../domain/Stack.ts"
import { untorn } from "../internal/untorn.ts"
import { AgentClient } from "../services/AgentClient.ts"
import { MarkerStore, type MarkerStoreError } from "../services/MarkerStore.ts"
import { type LockUnavailable, RunLock } from "../services/RunLock.ts"
import { StackControl } from "../services/StackControl.ts"
import { bringUp, type Lift, lookUntil, type StackLift } from "./bringUp.ts"
import type { UnitFailure } from "./errors.ts"

/** The limits of a run that a recovery has too. */
export type RecoverPolicy = Pick<RunPolicy, "resumeTimeout" | "steadyTime">

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

/** Brings the lifts up, and says which are up and which of those were down before. */
const lift = Effect.fnUntraced(function*(policy: RecoverPolicy, stacks: ReadonlyArray<StackLift>) {
  const wanted = stacks.filter(({ lifts }) => lifts.length > 0)
  const failed = yield* bringUp(wanted, {
    budget: policy.resumeTimeout,
    steadyTime: policy.steadyTime,
    onState: (stack, state) => Effect.logInfo(`stack '${stack}' is ${state}`)
  })
  const down = new Set(failed.map(({ stack, unit }) => `${stack}/${unit}`))
  const up = wanted.flatMap(({ lifts, stack }) =>
    lifts.filter(({ unit }) => !down.has(`${stack}/${unit.id}`)).map(({ stopPending, unit }) => ({
      stack,
      unit: unit.id,
      started: !stopPending
    }))
  )
  const recovered = up.filter(({ started }) => started).map(({ stack, unit }) => ({ stack, unit }))
  return { up, recovered, failed }
})

/** What has to be done about one unit of a marker, once its state is settled. */
const liftOf = Effect.fnUntraced(function*(stored: StoredMarker & { _tag: "Readable" }, stack: StackName, unit: Unit) {
  const note = lastNote(stored.notes, stack, unit)
  const seen = yield* lookUntil(
    stack,
    unit,
    ({ state }) => verdict(note, state) !== "wait",
    unit.stopTimeoutMs + 5_000
  )
  const decided = verdict(note, seen.state)
  if (decided === "leave") return []
  return [{ unit, provedDown: seen.state === "stopped", stopPending: decided === "watch" } satisfies Lift]
})

const recoverMarker = Effect.fnUntraced(function*(policy: RecoverPolicy, stored: StoredMarker & { _tag: "Readable" }) {
  const markers = yield* MarkerStore
  const { runId, stacks } = stored.marker
  const lifts = yield* Effect.forEach(stacks, ({ stack, units }) =>
    Effect.map(
      Effect.forEach(units.toReversed(), (unit) => liftOf(stored, stack, unit)),
      (lifts): StackLift => ({ stack, lifts: lifts.flat() })
    ), { concurrency: "unbounded" })
  const { failed, recovered, up } = yield* lift(policy, lifts)
  const warnings = stored.warning === undefined ? [] : [`marker ${stored.name}: ${stored.warning}`]
  if (failed.length === 0) {
    const cleared = yield* Effect.either(markers.clear(stored.name))
    return { recovered, failed, warnings: cleared._tag === "Left" ? [...warnings, cleared.left.message] : warnings }
  }
  yield* Effect.forEach(
    up,
    ({ stack, unit }) => Effect.ignore(markers.note(runId, { stack, unit, state: "running" })),
    { discard: true }
  )
  return { recovered, failed, warnings }
})

/**
 * A marker that cannot be read at all: which stacks it held is not known, so every configured stack that is down is
 * started, because an app left down is worse than one started against a wish.
 */
const recoverDamaged = Effect.fnUntraced(function*(policy: RecoverPolicy, name: string, reason: string) {
  const control = yield* StackControl
  const markers = yield* MarkerStore
  const warnings = yield* Ref.make<ReadonlyArray<string>>([
    `marker ${name} cannot be read (${reason}): every configured stack that is down is started`
  ])
  const warn = (message: string) => Ref.update(warnings, (all) => [...all, message])
  const stacks = yield* Effect.forEach(yield* control.stacks, (stack) =>
    control.inspect(stack).pipe(
      Effect.map(({ observations }): StackLift => ({
        stack,
        lifts: observations.toReversed().flatMap(({ state, unit }) =>
          state === "running" ? [] : [{ unit, provedDown: state === "stopped", stopPending: false }]
        )
      })),
      Effect.catchAll((error) => Effect.as(warn(error.message), { stack, lifts: [] }))
    ))
  const { failed, recovered } = yield* lift(policy, stacks)
  if (failed.length === 0) {
    yield* markers.quarantine(name).pipe(Effect.catchAll((error) => warn(error.message)))
  }
  return { recovered, failed, warnings: yield* Ref.get(warnings) }
})

/** Recovers under a lock that the caller holds. Never torn: half a recovery is a stack left down. */
export const recoverLocked = Effect.fn("recoverLocked")(function*(policy: RecoverPolicy) {
  const markers = yield* MarkerStore
  const agent = yield* AgentClient
  const found = yield* markers.list
  const tally = yield* Effect.reduce(found, empty, (tally, stored) =>
    Effect.map(
      stored._tag === "Readable"
        ? recoverMarker(policy, stored)
        : recoverDamaged(policy, stored.name, stored.reason),
      (more) => merge(tally, more)
    ))
  // the apps come first; what a dead run still reads or left behind is ended after them
  const swept = yield* agent.sweep.pipe(
    Effect.map((removed) => removed.map((what) => `left by a dead run, removed: ${what}`)),
    Effect.catchAll((error) => Effect.succeed([`leftovers of a dead run could not be removed: ${error.message}`]))
  )
  return { ...merge(tally, { warnings: swept }), markers: found.length, liveRun: false } satisfies RecoverReport
}, (effect) => untorn(effect))

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
  const markers = yield* MarkerStore
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
