/**
 * The backups of one guest at its agent: one at a time, each with its journal, from the request to its end.
 */
import { Deferred, type Duration, Effect, Exit, Fiber, FiberMap, Option, Ref, Scope } from "effect"
import { type BackupStatus, isFinal, isPointTaken } from "../../domain/Backup.ts"
import * as RunId from "../../domain/RunId.ts"
import { AgentBusy, type AgentOffer, AgentRefused, BackupUnknown } from "../../services/AgentClient.ts"
import type { Engine, EngineFailed, EngineJob } from "../../services/Engine.ts"
import type { JobStore } from "../../services/JobStore.ts"
import type { Artifact } from "../../services/Transfer.ts"
import * as Asks from "./asks.ts"
import * as Job from "./job.ts"

export interface JobsOptions {
  readonly guest: string
  readonly engine: Engine
  readonly store: JobStore["Type"]
  /** How many backups may be at work on this host; what is above waits as `queued`. */
  readonly slots?: Effect.Semaphore | undefined
  /** How long the slot is held for a controller that does not say `quiesced`. */
  readonly readyTimeout: Duration.DurationInput
  /** Whether a backup whose snapshot exists can still be ended: nobody but its controller wants it. */
  readonly cancelLate: boolean
}

/** What became of the host's question. `quiet`: everything is down, the backup may go on. */
export type HostedAnswer =
  | { readonly quiet: true; readonly runId: RunId.RunId }
  | { readonly quiet: false; readonly reason: string }

/** The backups of one guest. */
export interface Jobs {
  readonly guest: string
  readonly preflight: Effect.Effect<AgentOffer, AgentRefused>
  readonly request: (runId: RunId.RunId) => Effect.Effect<BackupStatus, AgentBusy | AgentRefused>
  readonly prepare: (runId: RunId.RunId) => Effect.Effect<void, BackupUnknown | AgentRefused>
  readonly quiesced: (runId: RunId.RunId) => Effect.Effect<BackupStatus, BackupUnknown>
  readonly status: (
    runId: RunId.RunId,
    after: number,
    wait: Duration.DurationInput
  ) => Effect.Effect<BackupStatus, BackupUnknown>
  /** Ends a backup and returns when it has ended. */
  readonly cancel: (runId: RunId.RunId) => Effect.Effect<void, BackupUnknown | AgentRefused>
  /** The newest first. */
  readonly list: Effect.Effect<ReadonlyArray<BackupStatus>>
  /** The run that the host asks this guest for, within `wait`. */
  readonly asked: (wait: Duration.DurationInput) => Effect.Effect<Option.Option<RunId.RunId>>
  /**
   * The host has begun a backup by itself, which its engine finds by the handle: asks the guest to be quiet and returns
   * when it is, or will not be. Interrupted, the question is void.
   */
  readonly hosted: (handle: string, wait: Duration.DurationInput) => Effect.Effect<HostedAnswer>
  readonly sweep: Effect.Effect<ReadonlyArray<string>, AgentBusy | AgentRefused>
}

/** How many ended backups can still be asked for. */
const kept = 16

/**
 * More than the statuses that an agent tells without writing them down: one of the next agent must not have the number
 * of one that was told, or a controller would wait for the change that it is.
 */
const unwrittenAtMost = 1_000_000_000

const refused = Effect.mapError((error: { readonly message: string }) => new AgentRefused({ reason: error.message }))

type Work = (job: EngineJob) => Effect.Effect<Artifact, EngineFailed, Scope.Scope>

/** The backups of one guest. They run in the scope, whose close ends them; one that survives goes on by itself. */
export const make = Effect.fnUntraced(function*(options: JobsOptions): Effect.fn.Return<Jobs, never, Scope.Scope> {
  const { engine, guest, store } = options
  const jobs = yield* Ref.make<ReadonlyMap<RunId.RunId, Job.Job>>(new Map())
  const fibers = yield* FiberMap.make<RunId.RunId, void, never>()
  const gate = yield* Effect.makeSemaphore(1)
  const asks = yield* Asks.make

  const known = (runId: RunId.RunId) =>
    Effect.flatMap(Ref.get(jobs), (all) => {
      const job = all.get(runId)
      return job === undefined ? new BackupUnknown({ runId }) : Effect.succeed(job)
    })

  const running = Effect.flatMap(
    Ref.get(jobs),
    (all) => Effect.findFirst(all.values(), (job) => Effect.negate(Job.isOver(job)))
  )

  const idle = Effect.flatMap(running, (found) =>
    Option.isSome(found)
      ? new AgentBusy({ reason: `the backup of run ${found.value.runId} has not ended yet` })
      : Effect.void)

  const keep = Effect.fnUntraced(function*(job: Job.Job) {
    const all = yield* Ref.get(jobs)
    const dropped = [...all.values()].slice(0, Math.max(0, all.size + 1 - kept))
    yield* Ref.set(jobs, new Map([...[...all].slice(dropped.length), [job.runId, job]]))
    yield* Effect.forEach(dropped, (old) => Effect.ignoreLogged(store.remove(old)), { discard: true })
  })

  /**
   * Does the work and sets the final status, whatever happens; what the engine held is gone before it is set. Once the
   * artifact is complete, an interruption comes too late.
   */
  const work = (job: Job.Job, body: Effect.Effect<Artifact, EngineFailed, Scope.Scope>) =>
    Effect.uninterruptible(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(Effect.interruptible(Scope.extend(body, scope)))
      const closed = yield* Effect.exit(Scope.close(scope, exit))
      if (Exit.isFailure(closed)) yield* Effect.logWarning("what a backup held could not be removed", closed.cause)
      const goesOn = Exit.isInterrupted(exit) && engine.survives && !(yield* Ref.get(job.cancelled)) &&
        (yield* Ref.get(job.handle)) !== undefined
      if (goesOn) return
      yield* Job.settle(
        job,
        store,
        Exit.match(exit, {
          onFailure: (cause) => ({ phase: "failed", error: Job.describe(cause) }),
          onSuccess: ({ location }) => ({ phase: "done", artifact: location })
        })
      )
    }))

  // to be forked where nothing interrupts: an interruption before the first step would leave a backup that never ends
  const start = (
    job: Job.Job,
    body: Work,
    readyTimeout: Duration.DurationInput,
    slots: Effect.Semaphore | undefined
  ) =>
    Effect.uninterruptible(Effect.flatMap(Job.forEngine(job, store, readyTimeout), (asEngine) => {
      const slot = slots === undefined
        ? Effect.void
        : Effect.uninterruptibleMask((restore) =>
          Effect.zipRight(restore(slots.take(1)), Effect.addFinalizer(() => slots.release(1)))
        )
      return FiberMap.run(fibers, job.runId, work(job, Effect.zipRight(slot, body(asEngine))))
    }))

  const begin = Effect.fnUntraced(function*(runId: RunId.RunId) {
    yield* idle
    const job = yield* Job.make(guest, runId)
    // what may be on the disk although it could not be written would be begun by the next agent
    yield* refused(Effect.tapError(Job.save(job, store), () => Effect.ignoreLogged(store.remove(job))))
    yield* keep(job)
    yield* start(job, engine.run, options.readyTimeout, options.slots)
    return job
  })

  const hosted = Effect.fnUntraced(function*(handle: string, wait: Duration.DurationInput) {
    const present = yield* running
    if (Option.isSome(present)) {
      const job = present.value
      // its own vzdump may ask before the line is read that it has begun
      const isDown = (yield* Deferred.isDone(job.quiesced)) || (yield* Ref.get(job.handle)) !== undefined
      if (isDown) yield* Effect.timeoutOption(Job.begun(job), "5 seconds")
      const { phase } = yield* Job.present(job)
      const quiet = phase === "running"
      return quiet
        ? { quiet, runId: job.runId } satisfies HostedAnswer
        : { quiet, reason: `another backup of this guest is '${phase}'` } satisfies HostedAnswer
    }
    if (!(yield* asks.isHeard)) {
      return { quiet: false, reason: "no controller of this guest waits for questions" } satisfies HostedAnswer
    }
    const runId = yield* RunId.make
    const job = yield* Job.make(guest, runId)
    const quiet = yield* Deferred.make<void>()
    const body: Work = (asEngine) =>
      Effect.gen(function*() {
        yield* asEngine.ready()
        yield* asEngine.remember(handle)
        yield* Deferred.succeed(quiet, undefined)
        return yield* engine.resume(asEngine, handle)
      })
    const ended = Effect.gen(function*() {
      const fiber = yield* FiberMap.get(fibers, runId)
      yield* Fiber.await(fiber)
    }).pipe(Effect.ignore)
    // a job that is kept and never started, or never cancelled, would keep all others out
    return yield* Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        // a request may be about to be kept: it is written down first
        const isTaken = yield* gate.withPermits(1)(Effect.gen(function*() {
          if (Option.isSome(yield* running)) return true
          yield* keep(job)
          // the host has a slot already: whoever holds ours may wait for the very backup that asks
          yield* start(job, body, wait, undefined)
          return false
        }))
        if (isTaken) return { quiet: false, reason: "another backup of this guest has just begun" } as const
        yield* asks.put(runId)
        return yield* restore(Effect.raceFirst(
          Effect.as(Deferred.await(quiet), { quiet: true, runId } as const),
          Effect.map(
            Effect.zipRight(ended, Job.present(job)),
            ({ error }) => ({ quiet: false, reason: error ?? "it ended" } as const)
          )
        )).pipe(
          Effect.onInterrupt(() => Effect.ignore(cancel(runId))),
          Effect.ensuring(asks.take(runId))
        )
      })
    )
  })

  const cancel: Jobs["cancel"] = Effect.fnUntraced(function*(runId) {
    const job = yield* known(runId)
    const { phase } = yield* Job.present(job)
    if (isFinal(phase)) return
    if (isPointTaken(phase) && !options.cancelLate) {
      return yield* new AgentRefused({ reason: "its snapshot exists; the backup goes on to its end" })
    }
    yield* Ref.set(job.cancelled, true)
    const fiber = yield* Effect.option(FiberMap.get(fibers, runId))
    if (Option.isSome(fiber)) yield* Fiber.interrupt(fiber.value)
  })

  const recorded = yield* Effect.orElseSucceed(
    Effect.tapError(store.list, ({ message }) => Effect.logError(message)),
    () => []
  )
  for (const record of recorded.filter((one) => one.guest === guest)) {
    const { phase, revision } = record.status
    const status = { ...record.status, phase: Job.phaseOf(phase), revision: revision + unwrittenAtMost }
    const job = yield* Job.restore({ ...record, status })
    yield* keep(job)
    if (yield* Job.isOver(job)) continue
    // nobody was told yet that the app may be stopped
    const untold = phase === "queued" && record.handle === undefined
    yield* start(
      job,
      untold ? engine.run : (asEngine) => engine.resume(asEngine, record.handle),
      options.readyTimeout,
      // what goes on already waits for nobody: an app may be down for it
      untold ? options.slots : undefined
    )
  }

  return {
    guest,
    preflight: refused(engine.preflight),
    request: (runId) =>
      gate.withPermits(1)(Effect.orElse(known(runId), () => Effect.uninterruptible(begin(runId)))).pipe(
        Effect.tap(() => asks.take(runId)),
        Effect.flatMap(Job.present)
      ),
    prepare: (runId) => Effect.zipRight(known(runId), refused(engine.prepare)),
    quiesced: (runId) =>
      Effect.flatMap(
        known(runId),
        (job) => Effect.zipRight(Deferred.succeed(job.quiesced, undefined), Job.present(job))
      ),
    status: (runId, after, wait) => Effect.flatMap(known(runId), (job) => Job.statusAfter(job, after, wait)),
    cancel,
    list: Effect.flatMap(Ref.get(jobs), (all) => Effect.forEach([...all.values()].reverse(), Job.present)),
    asked: asks.next,
    hosted: (handle, wait) => hosted(handle, wait),
    sweep: Effect.zipRight(idle, refused(engine.sweep))
  }
})
