/**
 * One backup of an agent that is this process: its status, and the work from the slot to the artifact.
 */
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Option,
  Ref,
  Schema,
  Scope,
  Stream,
  SubscriptionRef
} from "effect"
import type { BackupStatus, Phase, Progress } from "../domain/Backup.ts"
import { isFinal } from "../domain/Backup.ts"
import type { RunId } from "../domain/RunId.ts"
import type { SnapshotCapability, Snapshotter, SnapshotUnsupported } from "../services/Snapshotter.ts"
import type { Transfer } from "../services/Transfer.ts"
import { realDirectory } from "./disk.ts"

class NotQuiesced extends Schema.TaggedError<NotQuiesced>()("NotQuiesced", { after: Schema.String }) {
  override get message(): string {
    return `nobody said within ${this.after} that the app is down; the slot is free again`
  }
}

export interface JobOptions {
  readonly source: string
  /** How long the slot is held for a controller that does not say `quiesced`. */
  readonly readyTimeout: Duration.DurationInput
  readonly transferDelay: Duration.DurationInput
}

export interface JobServices {
  readonly snapshotter: Snapshotter["Type"]
  readonly transfer: Transfer["Type"]
  readonly capability: Effect.Effect<SnapshotCapability, SnapshotUnsupported>
}

/** A status as it changes: every change has a new revision. */
export interface Job {
  readonly runId: RunId
  readonly status: SubscriptionRef.SubscriptionRef<BackupStatus & { readonly phase: Phase }>
  readonly quiesced: Deferred.Deferred<void>
}

export const make = (runId: RunId): Effect.Effect<Job> =>
  Effect.all({
    runId: Effect.succeed(runId),
    status: SubscriptionRef.make({ runId, revision: 0, phase: "queued" as Phase }),
    quiesced: Deferred.make<void>()
  })

export const isOver = (job: Job): Effect.Effect<boolean> =>
  Effect.map(SubscriptionRef.get(job.status), ({ phase }) => isFinal(phase))

type Change = Partial<Omit<BackupStatus, "phase" | "revision" | "runId">> & { readonly phase?: Phase }

const update = (job: Job, change: Change) =>
  SubscriptionRef.update(
    job.status,
    (before) => isFinal(before.phase) ? before : { ...before, ...change, revision: before.revision + 1 }
  )

/** The status once its revision is not `after`, or as it is after `wait`. */
export const statusAfter = (
  job: Job,
  after: number,
  wait: Duration.DurationInput
): Effect.Effect<BackupStatus> =>
  Effect.flatMap(
    SubscriptionRef.get(job.status),
    (now) =>
      now.revision !== after ? Effect.succeed(now) : job.status.changes.pipe(
        // begins with the present status, so a change between the two steps is seen
        Stream.filter(({ revision }) => revision !== after),
        Stream.runHead,
        Effect.timeoutOption(wait),
        Effect.map(Option.flatten),
        Effect.flatMap(Option.match({ onNone: () => SubscriptionRef.get(job.status), onSome: Effect.succeed }))
      )
  )

/** At most four changes a second, and the last one. */
const reporter = (job: Job) =>
  Effect.map(
    Ref.make({ at: Number.NEGATIVE_INFINITY, bytes: -1 }),
    (last) => (progress: Progress) =>
      Effect.gen(function*() {
        const at = yield* Clock.currentTimeMillis
        const { bytes } = progress
        const due = yield* Ref.modify(last, (before) => {
          const due = bytes !== before.bytes && (at - before.at >= 250 || bytes === progress.totalBytes)
          return [due, due ? { at, bytes } : before]
        })
        if (due) yield* update(job, { progress })
      })
  )

const body = Effect.fnUntraced(function*(job: Job, options: JobOptions, services: JobServices) {
  const { snapshotter, transfer } = services
  const source = yield* realDirectory(options.source)
  const capability = yield* services.capability
  yield* transfer.sweep
  yield* snapshotter.sweep
  const take = yield* snapshotter.reserve
  yield* update(job, { phase: "ready", effectiveMode: capability.mode })
  yield* Deferred.await(job.quiesced).pipe(Effect.timeoutFail({
    duration: options.readyTimeout,
    onTimeout: () => new NotQuiesced({ after: Duration.format(options.readyTimeout) })
  }))
  yield* update(job, { phase: "running" })
  const snapshot = yield* take
  if (Option.isSome(snapshot)) {
    yield* update(job, { phase: "snapshotted", effectiveMode: snapshot.value.mode })
    yield* Effect.sleep(options.transferDelay)
  }
  const path = Option.match(snapshot, { onNone: () => source, onSome: ({ path }) => path })
  return yield* transfer.run({
    runId: job.runId,
    path,
    background: Option.isSome(snapshot),
    onProgress: yield* reporter(job)
  })
})

const describe = (cause: Cause.Cause<{ readonly message: string }>): string =>
  Option.match(Cause.failureOption(cause), {
    onSome: ({ message }) => message,
    onNone: () => Cause.isInterruptedOnly(cause) ? "cancelled" : Cause.pretty(cause).split("\n")[0] ?? "unknown"
  })

/**
 * Does the work and sets the final status, whatever happens; the snapshot is gone before it is set. Once the artifact
 * is complete, an interruption comes too late. To be forked in an uninterruptible region: an interruption before its
 * first step would leave a backup that never ends.
 */
export const work = (job: Job, options: JobOptions, services: JobServices): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Effect.interruptible(Scope.extend(body(job, options, services), scope)))
    const closed = yield* Effect.exit(Scope.close(scope, exit))
    if (Exit.isFailure(closed)) yield* Effect.logWarning("the snapshot could not be removed", closed.cause)
    yield* update(
      job,
      Exit.match(exit, {
        onFailure: (cause) => ({ phase: "failed", error: describe(cause) }),
        onSuccess: ({ location }) => ({ phase: "done", artifact: location })
      })
    )
  }))
