/**
 * An agent in memory that plays a script of phases: for tests of programs and of embedding apps.
 */
import { Clock, Duration, Effect, Layer, Ref } from "effect"
import type { BackupStatus, EffectiveMode } from "../domain/Backup.ts"
import { RunId } from "../domain/RunId.ts"
import {
  AgentAnswerInvalid,
  AgentBusy,
  AgentClient,
  type AgentError,
  AgentRefused,
  AgentUnavailable,
  BackupUnknown
} from "../services/AgentClient.ts"
import { Journal } from "./Journal.ts"

/** From `at` on (since the request, or since `quiesced`) the agent says this. */
export interface ScriptStep {
  readonly at: Duration.DurationInput
  /** A phase, or a word that is none. */
  readonly phase: string
  readonly mode?: EffectiveMode | undefined
  readonly artifact?: string | undefined
  readonly error?: string | undefined
}

/** What an answer may be instead. A `stranger` answers for another run. */
export type Fault = "unavailable" | "invalid" | "busy" | "refused" | "unknown" | "hang" | "stranger" | "die"

/** What the agent says, when, and where it fails. */
export interface AgentScript {
  /** Before `quiesced`. Default: `ready` at once. */
  readonly request?: ReadonlyArray<ScriptStep> | undefined
  /** Since `quiesced`. */
  readonly phases: ReadonlyArray<ScriptStep>
  /** How long a status question waits for a change. Default: it answers at once. */
  readonly waits?: Duration.DurationInput | undefined
  /** When, since its start, the agent asks for runs, and of which ids. Default: never. */
  readonly asks?: ReadonlyArray<{ readonly at: Duration.DurationInput; readonly runId: RunId }> | undefined
  /** The fault of the nth call (from 0) of an operation, if any. */
  readonly fault?:
    | ((
      operation: "preflight" | "request" | "prepare" | "quiesced" | "status" | "cancel",
      n: number
    ) => Fault | undefined)
    | undefined
}

const stranger = RunId.make("00000000-0000-7000-8000-000000000000")

interface Job {
  readonly runId: RunId
  readonly requested: number
  readonly quiesced: number | undefined
  readonly cancelled: boolean
}

const make = Effect.fnUntraced(function*(script: AgentScript) {
  const journal = yield* Journal
  const jobs = yield* Ref.make<ReadonlyMap<string, Job>>(new Map())
  const calls = yield* Ref.make<ReadonlyMap<string, number>>(new Map())
  const asking = yield* Ref.make(script.asks ?? [])
  const began = yield* Clock.currentTimeMillis
  const requestSteps = script.request ?? [{ at: 0, phase: "ready" }]

  const statusOf = (job: Job, now: number): BackupStatus => {
    const reached = (steps: ReadonlyArray<ScriptStep>, since: number | undefined) =>
      since === undefined ? [] : steps.filter(({ at }) => now - since >= Duration.toMillis(at))
    const steps = [...reached(requestSteps, job.requested), ...reached(script.phases, job.quiesced)]
    const last = job.cancelled ? { phase: "failed", error: "cancelled" } : steps.at(-1)
    const mode = steps.findLast((step) => step.mode !== undefined)?.mode
    return {
      runId: job.runId,
      revision: steps.length + (job.cancelled ? 1 : 0),
      phase: last?.phase ?? "queued",
      ...(mode === undefined ? {} : { effectiveMode: mode }),
      ...(last !== undefined && "artifact" in last && last.artifact !== undefined ? { artifact: last.artifact } : {}),
      ...(last?.error === undefined ? {} : { error: last.error })
    }
  }

  const fail = (fault: Fault, runId: RunId): Effect.Effect<BackupStatus, AgentError> => {
    switch (fault) {
      case "unavailable":
        return new AgentUnavailable({ reason: "told to be away" })
      case "invalid":
        return new AgentAnswerInvalid({ reason: "told to answer garbage" })
      case "busy":
        return new AgentBusy({ reason: "told to be busy" })
      case "refused":
        return new AgentRefused({ reason: "told to refuse" })
      case "unknown":
        return new BackupUnknown({ runId })
      case "hang":
        return Effect.never
      case "die":
        return Effect.die("the agent client is broken")
      case "stranger":
        return Effect.succeed({ runId: stranger, revision: 99, phase: "snapshotted" })
    }
  }

  const call = (
    operation: Parameters<NonNullable<AgentScript["fault"]>>[0],
    runId: RunId,
    otherwise: Effect.Effect<BackupStatus, AgentError>
  ) =>
    Effect.flatMap(
      Ref.modify(
        calls,
        (all) => [all.get(operation) ?? 0, new Map([...all, [operation, (all.get(operation) ?? 0) + 1]])]
      ),
      (n) => {
        const fault = script.fault?.(operation, n)
        return fault === undefined ? otherwise : fail(fault, runId)
      }
    )

  const change = (runId: RunId, f: (job: Job | undefined, now: number) => Job | undefined) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const job = yield* Ref.modify(jobs, (all) => {
        const after = f(all.get(runId), now)
        return [after, after === undefined ? all : new Map([...all, [runId, after]])]
      })
      return job === undefined ? yield* new BackupUnknown({ runId }) : statusOf(job, now)
    })

  const present = (runId: RunId) => change(runId, (job) => job)

  const waitFor = Effect.fnUntraced(function*(runId: RunId, after: number) {
    const status = yield* present(runId)
    if (script.waits === undefined || status.revision !== after) return status
    const now = yield* Clock.currentTimeMillis
    const job = (yield* Ref.get(jobs)).get(runId)
    const coming = (steps: ReadonlyArray<ScriptStep>, since: number | undefined) =>
      since === undefined ? [] : steps.map(({ at }) => since + Duration.toMillis(at) - now).filter((left) => left > 0)
    const changes = [...coming(requestSteps, job?.requested), ...coming(script.phases, job?.quiesced)]
    yield* Effect.sleep(Math.min(Duration.toMillis(script.waits), ...changes))
    return yield* present(runId)
  })

  return AgentClient.of({
    preflight: Effect.as(call("preflight", stranger, Effect.succeed(statusOf(newJob(stranger, 0), 0))), { notes: [] }),
    request: (runId) =>
      Effect.zipRight(
        journal.record("agent request"),
        call("request", runId, change(runId, (job, now) => job ?? newJob(runId, now)))
      ),
    prepare: (runId) => Effect.asVoid(call("prepare", runId, present(runId))),
    quiesced: (runId) =>
      Effect.zipRight(
        journal.record("agent quiesced"),
        call("quiesced", runId, change(runId, (job, now) => job && { ...job, quiesced: job.quiesced ?? now }))
      ),
    status: (runId, after) => call("status", runId, waitFor(runId, after)),
    cancel: (runId) =>
      Effect.zipRight(
        journal.record("agent cancel"),
        Effect.asVoid(call("cancel", runId, change(runId, (job) => job && { ...job, cancelled: true })))
      ),
    asked: Effect.gen(function*() {
      const [next, ...later] = yield* Ref.get(asking)
      if (next === undefined) return yield* Effect.never
      yield* Effect.sleep(Math.max(0, Duration.toMillis(next.at) + began - (yield* Clock.currentTimeMillis)))
      yield* Ref.set(asking, later)
      return next.runId
    }),
    sweep: Effect.succeed([])
  })
})

const newJob = (runId: RunId, now: number): Job => ({ runId, requested: now, quiesced: undefined, cancelled: false })

/** An agent that plays this script. */
export const layer = (script: AgentScript): Layer.Layer<AgentClient, never, Journal> =>
  Layer.effect(AgentClient, make(script))
