/**
 * One run: the app is down only until the storage snapshot exists, and is never left down.
 */
import { Duration, Effect, Exit, Fiber, Option, Ref } from "effect"
import { isAtLeast, isFinal, isPointTaken } from "../domain/Backup.ts"
import type { Plan } from "../domain/Plan.ts"
import type { RunPolicy } from "../domain/Policy.ts"
import type { Report } from "../domain/Report.ts"
import * as RunId from "../domain/RunId.ts"
import { stopwatch } from "../internal/monotonic.ts"
import { untorn } from "../internal/untorn.ts"
import { AgentClient } from "../services/AgentClient.ts"
import { DeadMan } from "../services/DeadMan.ts"
import type { MarkerStore } from "../services/MarkerStore.ts"
import { RunLock } from "../services/RunLock.ts"
import type { StackControl } from "../services/StackControl.ts"
import { conclude } from "./conclude.ts"
import { endAs, Ended, type QuiesceError, type UnitFailure } from "./errors.ts"
import { witness } from "./evidence.ts"
import * as Follow from "./follow.ts"
import * as Hold from "./hold.ts"
import { heard, patientMarkers } from "./limits.ts"
import { plan as makePlan } from "./plan.ts"
import { prepare } from "./prepare.ts"
import * as Recorder from "./recorder.ts"
import { recoverLocked } from "./recover.ts"

/** What one run may have otherwise than the next. */
export interface QuiesceOptions {
  /** The id of this run. Default: a new one. */
  readonly runId?: RunId.RunId | undefined
  /** What the report of an interrupted run gives as exit code. Default: 130. */
  readonly interruptedExitCode?: Effect.Effect<number | void> | undefined
  /** How long a run that was interrupted waits, after its resume, to see its backup end. Default: the agent's timeout. */
  readonly cancelWait?: Duration.DurationInput | undefined
}

interface Run {
  readonly policy: RunPolicy
  readonly cancelWait: Duration.DurationInput | undefined
  readonly recorder: Recorder.Recorder
  readonly backup: Follow.Backup
  readonly notUp: Ref.Ref<ReadonlyArray<UnitFailure>>
}

/** Heals what a dead run left, before anything else: a stack that is still down would be planned as not ours. */
const heal = Effect.fnUntraced(function*({ notUp, policy, recorder }: Run) {
  const healed = yield* recoverLocked(policy).pipe(Effect.mapError(endAs("refused")))
  yield* Effect.forEach(healed.warnings, (warning) => recorder.warn(warning), { discard: true })
  yield* Effect.forEach(
    healed.recovered,
    ({ stack }) => recorder.warn(`'${stack}' was left down by a dead run; it is up`)
  )
  yield* Ref.set(notUp, healed.failed)
  if (healed.failed.length > 0) {
    return yield* new Ended({ outcome: "refused", message: "a stack that a dead run stopped is still not up" })
  }
})

const preflight = Effect.fnUntraced(function*({ policy, recorder }: Run) {
  const agent = yield* AgentClient
  const markers = yield* patientMarkers()
  yield* Effect.mapError(markers.check, endAs("refused"))
  const { mode, notes } = yield* agent.preflight.pipe(
    heard(policy.deadline),
    Effect.mapError((error) => endAs(error._tag === "AgentBusy" ? "busy" : "refused")(error))
  )
  if (mode === "stop" && notes.length > 0) {
    yield* recorder.warn(`no snapshot is possible, the app stays down until the backup is done: ${notes.join("; ")}`)
  }
})

/**
 * The run itself, top to bottom. Everything acquired is released in reverse order on every way out: first the resume,
 * then an unwanted backup is seen to end, then the dead-man is disarmed, then the lock is given back.
 */
const pipeline = Effect.fnUntraced(function*(run: Run) {
  const { backup, notUp, policy, recorder } = run
  const deadMan = yield* DeadMan
  const lock = yield* RunLock
  const before = (limit: Duration.Duration, spent: Effect.Effect<number>) =>
    Effect.map(spent, (spent) => Duration.toMillis(limit) - spent)
  const deadline = {
    remaining: before(policy.deadline, yield* stopwatch),
    message: `the run was not over within ${Duration.format(policy.deadline)}`
  }

  yield* lock.acquire(`run ${recorder.runId}`).pipe(
    Effect.mapError((error) => endAs(error._tag === "LockHeld" ? "busy" : "refused")(error))
  )
  // before the healing, which may be killed too; but what is down is healed even if no dead-man can be had
  const armed = yield* Effect.either(deadMan.arm)
  yield* heal(run)
  yield* Effect.mapError(armed, endAs("refused"))
  const expected = yield* Effect.mapError(makePlan(policy.stacks), endAs("refused"))
  yield* preflight(run)

  yield* Effect.addFinalizer((exit) => Exit.isInterrupted(exit) ? cancelBriefly(run) : backup.cancel)
  yield* backup.request
  const queued = yield* stopwatch
  const ready = yield* backup.until((phase) => isAtLeast(phase, "ready"), {
    remaining: Effect.zipWith(before(policy.queueTimeout, queued), deadline.remaining, Math.min),
    message: `the agent was not ready within ${Duration.format(policy.queueTimeout)}; nothing was stopped`
  })
  if (isPointTaken(ready.phase)) {
    return yield* new Ended({
      outcome: "backup-failed",
      message: ready.error ?? `the agent was '${ready.phase}' before the app was quiet; nothing was stopped`
    })
  }

  yield* prepare(expected, policy, backup, recorder)
  if ((yield* deadline.remaining) <= 0) return yield* new Ended({ outcome: "aborted", message: deadline.message })
  // hours may have gone by in the queue: what somebody has stopped or started meanwhile is as they want it
  const plan = yield* Effect.mapError(makePlan(policy.stacks), endAs("refused"))
  yield* witness(plan, policy, recorder)
  const hold = yield* Effect.acquireRelease(
    Effect.mapError(Hold.open(plan, policy, recorder, notUp), endAs("refused")),
    (hold) => Effect.zipRight(giveUp(backup), hold.resume)
  )
  const limit = {
    remaining: Effect.zipWith(
      Effect.flatMap(backup.view, ({ mode }) => hold.remaining(mode)),
      deadline.remaining,
      (held, whole) => Math.min(held, whole)
    ),
    message: plan.stacks.some(({ held }) => held.length > 0)
      ? "the limit for downtime was reached before the snapshot; the app was resumed first"
      : deadline.message
  }
  const point = yield* Effect.gen(function*() {
    yield* hold.stop.pipe(within(limit, plan, ready.mode))
    yield* backup.tellQuiesced.pipe(within(limit, plan, ready.mode))
    const told = yield* backup.view
    // an agent that did not wait for us may have read the storage before everything was down
    const early = isAtLeast(ready.phase, "running") && isPointTaken(told.phase)
    if (early) yield* recorder.against("snapshot-before-quiesced")
    return yield* backup.until(isPointTaken, limit)
  }).pipe(
    Effect.tapError(({ outcome }) => Effect.when(recorder.against("limit-exceeded"), () => outcome === "aborted"))
  )
  if (point.phase !== "failed") yield* hold.verifyDown
  const resuming = yield* Effect.forkScoped(hold.resume)
  const last = isFinal(point.phase) ? point : yield* backup.untilEnd(deadline)
  yield* Fiber.join(resuming)
  if (last.phase === "failed") {
    return yield* new Ended({ outcome: "backup-failed", message: last.error ?? "the agent reported 'failed'" })
  }
})

/**
 * A backup that has no snapshot yet reads an app that now starts: it is ended beside the resume, which it must not delay.
 */
const giveUp = (backup: Follow.Backup) =>
  Effect.flatMap(
    backup.view,
    ({ phase }) =>
      isPointTaken(phase)
        ? Effect.void
        : Effect.forkDaemon(Effect.interruptible(Effect.delay(backup.cancel, "50 millis")))
  )

/** The cancel goes on where nobody waits for it any longer. */
const cancelBriefly = ({ backup, cancelWait, recorder }: Run) =>
  cancelWait === undefined
    ? backup.cancel
    : untorn(Effect.timeoutOption(Effect.disconnect(backup.cancel), cancelWait)).pipe(
      Effect.flatMap((seen) =>
        Option.isSome(seen) ? Effect.void : recorder.warn("the backup is cancelled, but was not seen to end")
      )
    )

/** Bounds a step of the hold that waits for something else than the agent's phases. */
const within =
  (limit: Follow.Limit, plan: Plan, mode: Parameters<Hold.Hold["remaining"]>[0]) =>
  <A, R>(step: Effect.Effect<A, Ended, R>) =>
    Effect.flatMap(limit.remaining, (left) => {
      const whole = plan.stacks.map(({ policy }) =>
        Duration.toMillis(mode === "stop" ? policy.maxDowntimeWithoutSnapshot : policy.maxDowntime)
      )
      return Effect.timeoutFail(step, {
        duration: Math.max(0, Math.min(left, ...whole)),
        onTimeout: () => new Ended({ outcome: "aborted", message: limit.message })
      })
    })

/**
 * Takes one consistent backup: stops the stacks, lets the agent take the snapshot, resumes at once, and follows the
 * backup to its real end. Whatever happens, everything that was stopped is started again before this returns.
 *
 * Succeeds with the report of a finished backup (`ok`, or `ok-degraded` when `application` could not be proved); every
 * error carries the report too.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import type { RunPolicy } from "quiesce/domain/Policy"
 * import { quiesce } from "quiesce/programs/quiesce"
 *
 * const nightly = (policy: RunPolicy) =>
 *   quiesce(policy).pipe(
 *     Effect.tap((report) => Effect.log(report.consistency.level)),
 *     Effect.catchTag("ResumeFailed", (error) => Effect.logFatal(error.message))
 *   )
 * ```
 */
export const quiesce: (
  policy: RunPolicy,
  options?: QuiesceOptions
) => Effect.Effect<Report, QuiesceError, StackControl | AgentClient | MarkerStore | RunLock | DeadMan> = Effect.fn(
  "quiesce"
)(function*(policy, options = {}) {
  const recorder = yield* Recorder.make(options.runId ?? (yield* RunId.make))
  yield* Effect.annotateCurrentSpan({ runId: recorder.runId })
  const backup = yield* Follow.make(policy, recorder)
  const notUp = yield* Ref.make<ReadonlyArray<UnitFailure>>([])
  const run: Run = { policy, recorder, backup, notUp, cancelWait: options.cancelWait }
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(restore(Effect.scoped(pipeline(run))))
      const ending = {
        stacks: policy.stacks.map(({ stack }) => stack),
        view: yield* backup.view,
        notUp: yield* Ref.get(notUp)
      }
      return yield* conclude(exit, ending, recorder, yield* options.interruptedExitCode ?? Effect.void)
    })
  )
})
