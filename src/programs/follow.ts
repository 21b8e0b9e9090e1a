/**
 * Follows one backup at its agent: asks, polls on a schedule, and believes only what an honest agent would say.
 */
import { Duration, Effect, Option, Ref, Schedule } from "effect"
import {
  type BackupStatus,
  type BackupView,
  initialView,
  isFinal,
  isPointTaken,
  observe,
  type Phase
} from "../domain/Backup.ts"
import type { RunPolicy } from "../domain/Policy.ts"
import { stopwatch } from "../internal/monotonic.ts"
import { untorn } from "../internal/untorn.ts"
import { AgentAnswerInvalid, AgentClient, type AgentError, AgentUnavailable } from "../services/AgentClient.ts"
import { endAs, Ended } from "./errors.ts"
import { bounded, heard } from "./limits.ts"
import type { Recorder } from "./recorder.ts"

/** How long, in milliseconds, a question may still go on, and what its end is called. */
export interface Limit {
  readonly remaining: Effect.Effect<number>
  readonly message: string
}

/** One backup at its agent. */
export interface Backup {
  readonly view: Effect.Effect<BackupView>
  /** Asks the agent for the backup. Success says that the agent knows of it. */
  readonly request: Effect.Effect<void, Ended>
  /** Makes the agent's part of the hold short, with the app up. */
  readonly prepare: Effect.Effect<void, AgentError>
  /** Tells the agent that everything is down. */
  readonly tellQuiesced: Effect.Effect<void, Ended>
  /** Polls until the phase is one of those wanted. Silence is borne until the limit while the app is held. */
  readonly until: (wanted: (phase: Phase) => boolean, limit: Limit) => Effect.Effect<BackupView, Ended>
  /** Polls until the end, with the app up: silence is borne for the agent's patience. */
  readonly untilEnd: (limit: Limit) => Effect.Effect<BackupView, Ended>
  /** Ends a backup that has not ended by itself, and waits for that. Once, however many paths ask for it. */
  readonly cancel: Effect.Effect<void>
}

const again = Schedule.spaced("500 millis")
const tellTimeout = Duration.seconds(15)
/** How long an agent that does not answer is asked again: for the backup, with the app up, and for its end. */
const restartPatience = Duration.seconds(15)
/** A pause that keeps a chatty agent from being asked without end, and is too short to be seen in the downtime. */
const breath = 5

const isTransient = (error: AgentError) => error._tag === "AgentUnavailable" || error._tag === "AgentAnswerInvalid"

const endOf = (error: AgentError) => endAs(error._tag === "AgentBusy" ? "busy" : "backup-failed")(error)

/** The backup of this recorder's run. Nothing is asked yet. */
export const make = Effect.fnUntraced(function*(policy: RunPolicy, recorder: Recorder) {
  const agent = yield* AgentClient
  const { runId } = recorder
  const view = yield* Ref.make<BackupView>(initialView)
  const requested = yield* Ref.make(false)
  const ending = yield* Effect.makeSemaphore(1)
  const silent = yield* Ref.make(Option.none<Effect.Effect<number>>())

  const take = Effect.fnUntraced(function*(status: BackupStatus) {
    const [before, after] = yield* Ref.modify(view, (before) => {
      const after = observe(before, status)
      return [[before, after] as const, after]
    })
    if (after.phase !== before.phase || before.revision < 0) yield* recorder.phase(after.phase)
    if (after.progress !== undefined && after.progress !== before.progress) yield* recorder.progress(after.progress)
    for (const anomaly of after.anomalies) {
      if (before.anomalies.has(anomaly)) continue
      yield* recorder.warn(`the agent said '${status.phase}' after '${before.phase}' (${anomaly}); it was not followed`)
      if (anomaly === "phase-regression") yield* recorder.against("phase-regression")
    }
    return after
  })

  const ask = (call: Effect.Effect<BackupStatus, AgentError>, timeout: Duration.DurationInput) =>
    call.pipe(
      heard(timeout),
      Effect.filterOrFail(
        (status) => status.runId === runId,
        (status) => new AgentAnswerInvalid({ reason: `it is about run ${status.runId}, not ${runId}` })
      ),
      Effect.flatMap(take),
      Effect.zipLeft(Ref.set(silent, Option.none()))
    )

  /** Bears a transient error for as long as the patience lasts: the last view then stands. */
  const bear = (patience: Duration.Duration) => (error: AgentError) =>
    Effect.gen(function*() {
      if (!isTransient(error)) return yield* endOf(error)
      const began = yield* stopwatch
      const lasts = yield* Ref.updateAndGet(silent, Option.orElseSome(() => began))
      const waited = yield* Option.getOrElse(lasts, () => began)
      return waited >= Duration.toMillis(patience) ? yield* endOf(error) : yield* Ref.get(view)
    })

  const poll = Effect.fnUntraced(function*(limit: Limit, patience: Duration.Duration) {
    const expired = new Ended({ outcome: "aborted", message: limit.message })
    const left = yield* limit.remaining
    if (left <= 0) return yield* expired
    const before = yield* Ref.get(view)
    const asked = yield* stopwatch
    const now = yield* ask(
      agent.status(runId, before.revision),
      Duration.min(policy.agentTimeout, Duration.millis(left))
    ).pipe(Effect.catchAll(bear(patience)))
    // an answer that comes at the limit comes too late: what was decided at the limit does not depend on the order
    const still = yield* limit.remaining
    if (still <= 0) return yield* expired
    const took = yield* asked
    const interval = Duration.toMillis(policy.pollInterval)
    const changed = now.revision !== before.revision && !isPointTaken(now.phase)
    const delay = changed ? breath : Math.max(breath, interval - took)
    return { view: now, delay: Math.min(delay, still) }
  })

  // what is known already is not asked for: an agent that waits for a change would wait for nothing
  const known = Effect.fnUntraced(function*(wanted: (phase: Phase) => boolean, limit: Limit) {
    const now = yield* Ref.get(view)
    return wanted(now.phase) && (yield* limit.remaining) > 0 ? Option.some(now) : Option.none()
  })

  const follow = (wanted: (phase: Phase) => boolean, limit: Limit, patience: Duration.Duration) =>
    Effect.flatMap(
      known(wanted, limit),
      Option.match({
        onSome: Effect.succeed,
        onNone: () =>
          poll(limit, patience).pipe(
            Effect.repeat({
              until: (step) => wanted(step.view.phase),
              schedule: Schedule.identity<{ readonly view: BackupView; readonly delay: number }>().pipe(
                Schedule.addDelay((step) => step.delay)
              )
            }),
            Effect.map((step) => step.view)
          )
      })
    )

  /** Asks again while the agent may only be in its restart. */
  const patiently = <A, E extends AgentError>(call: Effect.Effect<A, E>) =>
    Effect.flatMap(stopwatch, (spent) =>
      Effect.retry(call, {
        while: (error) =>
          isTransient(error)
            ? Effect.map(spent, (spent) => spent <= Duration.toMillis(restartPatience))
            : Effect.succeed(false),
        schedule: again
      }))

  const backup: Backup = {
    view: Ref.get(view),
    request: Effect.gen(function*() {
      yield* Ref.set(requested, true)
      // an agent that died over the question may have written the backup down, and would keep its slot for nobody
      yield* Effect.mapError(patiently(ask(agent.request(runId), policy.agentTimeout)), endOf)
    }),
    prepare: agent.prepare(runId),
    tellQuiesced: ask(agent.quiesced(runId), tellTimeout).pipe(
      Effect.retry({ while: isTransient, schedule: again }),
      Effect.timeoutFail({
        duration: tellTimeout,
        onTimeout: () => new AgentUnavailable({ reason: "it could not be told that everything is down" })
      }),
      Effect.mapError(endOf),
      Effect.asVoid
    ),
    until: (wanted, limit) => follow(wanted, limit, Duration.infinity),
    untilEnd: (limit) => follow(isFinal, limit, policy.agentPatience),
    cancel: untorn(
      ending.withPermits(1)(Effect.gen(function*() {
        const { phase } = yield* Ref.get(view)
        if (!(yield* Ref.get(requested)) || isFinal(phase)) return
        yield* Ref.set(requested, false)
        // an agent that is being restarted would begin anew, or go on, for nobody
        yield* patiently(agent.cancel(runId)).pipe(
          bounded(policy.agentTimeout, () => new AgentUnavailable({ reason: "the backup was not seen to end" })),
          Effect.catchAll((error) => recorder.warn(`the backup could not be cancelled: ${error.message}`))
        )
      }))
    )
  }
  return backup
})
