/**
 * The agent that is this process: takes the snapshot and carries it away by itself.
 */
import { Deferred, type Duration, Effect, Fiber, FiberMap, Layer, Option, Ref } from "effect"
import type { RunId } from "../domain/RunId.ts"
import { firstUnreadable, realDirectory } from "../internal/disk.ts"
import * as Job from "../internal/localJob.ts"
import { AgentBusy, AgentClient, AgentRefused, BackupUnknown } from "../services/AgentClient.ts"
import { type SnapshotCapability, Snapshotter } from "../services/Snapshotter.ts"
import { Transfer } from "../services/Transfer.ts"

/** What is backed up, and how long this agent waits. */
export interface AgentClientLocalOptions {
  /** The directory to back up, absolute. */
  readonly source: string
  readonly stateDir: string
  /** How long the slot is held for a controller that does not say `quiesced`. Default: 10 minutes. */
  readonly readyTimeout?: Duration.DurationInput | undefined
  /**
   * How long the transfer of a snapshot is put off, so that it does not get in the way of the app's start. Default: half
   * a second.
   */
  readonly transferDelay?: Duration.DurationInput | undefined
  /** How long `status` waits for a change. Default: 1 second. */
  readonly statusWait?: Duration.DurationInput | undefined
}

/** How many ended backups can still be asked for. */
const kept = 16

const refused = Effect.mapError((error: { readonly message: string }) => new AgentRefused({ reason: error.message }))

const make = Effect.fnUntraced(function*(options: AgentClientLocalOptions) {
  const snapshotter = yield* Snapshotter
  const transfer = yield* Transfer
  const jobs = yield* Ref.make<ReadonlyMap<RunId, Job.Job>>(new Map())
  const fibers = yield* FiberMap.make<RunId, void, never>()
  const slot = yield* Effect.makeSemaphore(1)
  const proved = yield* Ref.make(Option.none<SnapshotCapability>())

  const preflight = Effect.gen(function*() {
    const source = yield* Effect.mapError(
      realDirectory(options.source),
      ({ reason }) => new AgentRefused({ reason: `the source ${options.source} cannot be read: ${reason}` })
    )
    const unreadable = yield* firstUnreadable(options.stateDir, source)
    if (Option.isSome(unreadable)) {
      return yield* new AgentRefused({
        reason: `${unreadable.value} in the source cannot be read by user ${process.geteuid?.() ?? "?"}: ` +
          "run as root, or as the owner of the files"
      })
    }
    const capability = yield* snapshotter.probe
    yield* Ref.set(proved, Option.some(capability))
    yield* transfer.preflight
    return { mode: capability.mode, snapshotter: capability.snapshotter, notes: capability.notes ?? [] }
  }).pipe(
    Effect.catchTags({
      SnapshotUnsupported: (error) => new AgentRefused({ reason: error.message }),
      ToolFailed: (error) => new AgentRefused({ reason: error.message }),
      TransferRefused: (error) => new AgentRefused({ reason: error.message })
    }),
    Effect.withSpan("AgentClientLocal.preflight")
  )

  const services: Job.JobServices = {
    snapshotter,
    transfer,
    // what the preflight of this run has proved need not be proved twice
    capability: Effect.flatMap(
      Ref.getAndSet(proved, Option.none()),
      Option.match({
        onNone: () => snapshotter.probe,
        onSome: Effect.succeed
      })
    )
  }

  const known = (runId: RunId) =>
    Effect.flatMap(Ref.get(jobs), (all) => {
      const job = all.get(runId)
      return job === undefined ? new BackupUnknown({ runId }) : Effect.succeed(job)
    })

  const idle = Effect.gen(function*() {
    for (const [runId, job] of yield* Ref.get(jobs)) {
      if (!(yield* Job.isOver(job))) {
        return yield* new AgentBusy({ reason: `the backup of run ${runId} has not ended yet` })
      }
    }
  })

  const begin = Effect.fnUntraced(function*(runId: RunId) {
    yield* idle
    const all = yield* Ref.get(jobs)
    const job = yield* Job.make(runId)
    yield* Ref.set(jobs, new Map([...[...all].slice(1 - kept), [runId, job]]))
    const work = Job.work(job, {
      source: options.source,
      readyTimeout: options.readyTimeout ?? "10 minutes",
      transferDelay: options.transferDelay ?? "500 millis"
    }, services)
    yield* FiberMap.run(fibers, runId, work)
    return job
  })

  const request = Effect.fn("AgentClientLocal.request")((runId: RunId) =>
    slot.withPermits(1)(Effect.orElse(known(runId), () => Effect.uninterruptible(begin(runId)))).pipe(
      Effect.flatMap(({ status }) => status.get)
    )
  )

  const cancel = Effect.fn("AgentClientLocal.cancel")(function*(runId: RunId) {
    const fiber = yield* Effect.option(FiberMap.get(fibers, runId))
    if (Option.isSome(fiber)) yield* Fiber.interrupt(fiber.value)
  })

  return AgentClient.of({
    preflight,
    request,
    prepare: () => refused(snapshotter.prepare),
    quiesced: (runId) =>
      Effect.flatMap(known(runId), (job) => Effect.zipRight(Deferred.succeed(job.quiesced, undefined), job.status.get)),
    status: (runId, after) =>
      Effect.flatMap(known(runId), (job) => Job.statusAfter(job, after, options.statusWait ?? "1 second")),
    cancel,
    sweep: idle.pipe(
      Effect.zipRight(refused(Effect.zipWith(transfer.sweep, snapshotter.sweep, (a, b) => [...a, ...b]))),
      Effect.withSpan("AgentClientLocal.sweep")
    )
  })
})

/**
 * An agent in this process. A backup runs in the layer's scope, never in the caller's fiber: the close of the layer ends
 * it and removes its snapshot. One backup at a time. Which processes are its own, and may be ended by a sweep, is told
 * by `stateDir`, so one run at a time may use that.
 */
export const layer = (
  options: AgentClientLocalOptions
): Layer.Layer<AgentClient, never, Snapshotter | Transfer> => Layer.scoped(AgentClient, make(options))
