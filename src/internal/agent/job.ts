/**
 * One backup at its agent: a status that only goes forward, every change with a new revision, and the journal of it.
 */
import { Cause, DateTime, Deferred, Duration, Effect, Option, Ref, Schema, Stream, SubscriptionRef } from "effect"
import { type BackupStatus, isAtLeast, isFinal, Phase, type Progress } from "../../domain/Backup.ts"
import type { RunId } from "../../domain/RunId.ts"
import { EngineFailed, type EngineJob } from "../../services/Engine.ts"
import type { JobRecord, JobStore, JobStoreError } from "../../services/JobStore.ts"
import { millis } from "../monotonic.ts"

/** A backup cannot go on without its journal. */
const failed = Effect.mapError(({ message }: JobStoreError) => new EngineFailed({ reason: message }))

/** A status of ours has a phase of ours. */
export type Status = BackupStatus & { readonly phase: Phase }

export interface Job {
  readonly guest: string
  readonly runId: RunId
  readonly status: SubscriptionRef.SubscriptionRef<Status>
  readonly handle: Ref.Ref<string | undefined>
  readonly quiesced: Deferred.Deferred<void>
  readonly cancelled: Ref.Ref<boolean>
  readonly writing: Effect.Semaphore
}

/** A word that is no phase of ours is one of another version: such a backup is over for us. */
export const phaseOf = (word: string): Phase => Schema.is(Phase)(word) ? word : "failed"

const stamped = (status: Status, phase: Phase) =>
  Effect.map(DateTime.now, (now): Status => ({
    ...status,
    phase,
    times: { ...status.times, [phase]: DateTime.formatIso(now) }
  }))

/** A backup that nobody has begun. */
export const make = Effect.fnUntraced(function*(guest: string, runId: RunId) {
  return yield* restore({
    guest,
    runId,
    status: yield* stamped({ runId, revision: 0, phase: "queued" }, "queued")
  })
})

/** A backup as it was written down. */
export const restore = (
  { guest, handle, runId, status }: Pick<JobRecord, "guest" | "runId" | "handle"> & { readonly status: Status }
): Effect.Effect<Job> =>
  Effect.all({
    guest: Effect.succeed(guest),
    runId: Effect.succeed(runId),
    status: SubscriptionRef.make(status),
    handle: Ref.make(handle),
    quiesced: Deferred.make<void>(),
    cancelled: Ref.make(false),
    writing: Effect.makeSemaphore(1)
  })

export const present = (job: Job): Effect.Effect<Status> => SubscriptionRef.get(job.status)

export const isOver = (job: Job): Effect.Effect<boolean> => Effect.map(present(job), ({ phase }) => isFinal(phase))

export type Change = Partial<Omit<BackupStatus, "phase" | "revision" | "runId" | "times">> & {
  readonly phase?: Phase | undefined
}

/** What the change makes of the status: never backwards, and nothing after the end. */
const changed = Effect.fnUntraced(function*(before: Status, { phase, ...change }: Change) {
  const forward = phase !== undefined && phase !== before.phase && isAtLeast(phase, before.phase)
  const next = { ...before, ...change, revision: before.revision + 1 }
  return forward ? yield* stamped(next, phase) : next
})

/** Makes a change known to everybody who waits. Answers with whether the phase is another one now. */
export const publish = (job: Job, change: Change): Effect.Effect<boolean> =>
  SubscriptionRef.modifyEffect(job.status, (before) =>
    isFinal(before.phase)
      ? Effect.succeed([false, before] as const)
      : Effect.map(changed(before, change), (after) => [after.phase !== before.phase, after] as const))

const write = (job: Job, store: JobStore["Type"], record: (status: Status) => Effect.Effect<Status>) =>
  job.writing.withPermits(1)(Effect.gen(function*() {
    const status = yield* Effect.flatMap(present(job), record)
    const handle = yield* Ref.get(job.handle)
    yield* store.save({
      version: 1,
      guest: job.guest,
      runId: job.runId,
      status,
      ...handle === undefined ? {} : { handle }
    })
  }))

/** Writes the present status down. */
export const save = (job: Job, store: JobStore["Type"]): Effect.Effect<void, JobStoreError> =>
  write(job, store, Effect.succeed)

/** What the change makes of it is written down. */
const record = (job: Job, store: JobStore["Type"], change: Change) =>
  write(job, store, (status) => isFinal(status.phase) ? Effect.succeed(status) : changed(status, change))

/** A journal that cannot be written must not keep an app down: what it does not know, a restart will call failed. */
const told = Effect.catchAll((error: JobStoreError) => Effect.logWarning(error.message))

/** Writes the end down as it is told, then makes it known. */
export const settle = (job: Job, store: JobStore["Type"], change: Change): Effect.Effect<void> =>
  Effect.asVoid(Effect.zipRight(told(record(job, store, change)), publish(job, change)))

/**
 * Writes down an order (`ready`: the app may be stopped), then makes it known. What cannot be written is not told: a restarted agent would
 * begin a backup anew that somebody has an app down for.
 */
const order = (job: Job, store: JobStore["Type"], change: Change): Effect.Effect<void, EngineFailed> =>
  Effect.asVoid(Effect.zipRight(failed(record(job, store, change)), publish(job, change)))

/** Makes a change known. `running` needs no record of its own, and the app is down; `snapshotted` is told first. */
const report = (job: Job, store: JobStore["Type"], change: Change): Effect.Effect<void> =>
  Effect.flatMap(
    publish(job, change),
    (another) => another && change.phase === "snapshotted" ? told(save(job, store)) : Effect.void
  )

/** The status once its revision is not `after`, or as it is after `wait`. */
export const statusAfter = (job: Job, after: number, wait: Duration.DurationInput): Effect.Effect<BackupStatus> =>
  Effect.flatMap(
    present(job),
    (now) =>
      now.revision !== after ? Effect.succeed(now) : job.status.changes.pipe(
        // begins with the present status, so a change between the two steps is seen
        Stream.filter(({ revision }) => revision !== after),
        Stream.runHead,
        Effect.timeoutOption(wait),
        Effect.map(Option.flatten),
        Effect.flatMap(Option.match({ onNone: () => present(job), onSome: Effect.succeed }))
      )
  )

/** Waits until its engine has begun, or it is over. */
export const begun = (job: Job): Effect.Effect<void> =>
  job.status.changes.pipe(
    Stream.filter(({ phase }) => isAtLeast(phase, "running")),
    Stream.runHead,
    Effect.asVoid
  )

/** At most four changes a second, and the last one. */
export const throttled = (publishProgress: (progress: Progress) => Effect.Effect<void>) =>
  Effect.map(
    Ref.make({ at: Number.NEGATIVE_INFINITY, bytes: -1 }),
    (last) => (progress: Progress) =>
      Effect.gen(function*() {
        const at = yield* millis
        const { bytes } = progress
        const due = yield* Ref.modify(last, (before) => {
          const due = bytes !== before.bytes && (at - before.at >= 250 || bytes === progress.totalBytes)
          return [due, due ? { at, bytes } : before]
        })
        if (due) yield* publishProgress(progress)
      })
  )

/** The job as its engine sees it. */
export const forEngine = (
  job: Job,
  store: JobStore["Type"],
  readyTimeout: Duration.DurationInput
): Effect.Effect<EngineJob> =>
  Effect.map(throttled((progress) => Effect.asVoid(publish(job, { progress }))), (progressed) => ({
    runId: job.runId,
    report: ({ effectiveMode, phase, progress }) =>
      Effect.zipRight(
        phase === undefined && effectiveMode === undefined
          ? Effect.void
          : report(job, store, { phase, ...effectiveMode === undefined ? {} : { effectiveMode } }),
        progress === undefined ? Effect.void : progressed(progress)
      ),
    ready: (effectiveMode) =>
      order(job, store, { phase: "ready", ...effectiveMode === undefined ? {} : { effectiveMode } }).pipe(
        Effect.zipRight(Deferred.await(job.quiesced)),
        Effect.timeoutFail({
          duration: readyTimeout,
          onTimeout: () =>
            new EngineFailed({
              reason: `nobody said within ${Duration.format(readyTimeout)} that the app is down; the slot is free again`
            })
        })
      ),
    remember: (handle) =>
      Ref.set(job.handle, handle).pipe(
        Effect.zipRight(save(job, store)),
        failed
      ),
    cancelled: Ref.get(job.cancelled)
  }))

/** Why it ended, in one line. */
export const describe = (cause: Cause.Cause<{ readonly message: string }>): string =>
  Option.match(Cause.failureOption(cause), {
    onSome: ({ message }) => message,
    onNone: () => Cause.isInterruptedOnly(cause) ? "cancelled" : Cause.pretty(cause).split("\n")[0] ?? "unknown"
  })
