/**
 * The engine of an agent that takes the snapshot and carries it away by itself.
 */
import { type Duration, Effect, Option, Ref } from "effect"
import { type Engine, EngineFailed, type EngineJob, EngineRefused } from "../../services/Engine.ts"
import type { SnapshotCapability, Snapshotter } from "../../services/Snapshotter.ts"
import type { Transfer } from "../../services/Transfer.ts"
import { firstUnreadable, realDirectory } from "../disk.ts"

export interface SnapshotEngineOptions {
  /** The directory to back up, absolute. */
  readonly source: string
  readonly stateDir: string
  /** How long the transfer of a snapshot is put off, so that it does not get in the way of the app's start. */
  readonly transferDelay: Duration.DurationInput
  readonly snapshotter: Snapshotter["Type"]
  readonly transfer: Transfer["Type"]
}

const refused = Effect.mapError((error: { readonly message: string }) => new EngineRefused({ reason: error.message }))

const failed = Effect.mapError((error: { readonly message: string }) => new EngineFailed({ reason: error.message }))

export const make = Effect.fnUntraced(function*(options: SnapshotEngineOptions): Effect.fn.Return<Engine> {
  const { snapshotter, transfer } = options
  const proved = yield* Ref.make(Option.none<SnapshotCapability>())

  const preflight = Effect.gen(function*() {
    const source = yield* Effect.mapError(
      realDirectory(options.source),
      ({ reason }) => new EngineRefused({ reason: `the source ${options.source} cannot be read: ${reason}` })
    )
    const unreadable = yield* firstUnreadable(options.stateDir, source)
    if (Option.isSome(unreadable)) {
      return yield* new EngineRefused({
        reason: `${unreadable.value} in the source cannot be read by user ${process.geteuid?.() ?? "?"}: ` +
          "run as root, or as the owner of the files"
      })
    }
    const capability = yield* snapshotter.probe
    yield* Ref.set(proved, Option.some(capability))
    yield* transfer.preflight
    return { mode: capability.mode, snapshotter: capability.snapshotter, notes: capability.notes ?? [] }
  }).pipe(refused)

  const sweep = Effect.zipWith(transfer.sweep, snapshotter.sweep, (a, b) => [...a, ...b])

  // what the preflight of this run has proved need not be proved twice
  const capability = Effect.flatMap(
    Ref.getAndSet(proved, Option.none()),
    Option.match({
      onNone: () => snapshotter.probe,
      onSome: Effect.succeed
    })
  )

  const run = Effect.fnUntraced(function*(job: EngineJob) {
    const source = yield* failed(realDirectory(options.source))
    const { mode } = yield* failed(capability)
    yield* failed(transfer.sweep)
    yield* failed(snapshotter.sweep)
    const take = yield* failed(snapshotter.reserve)
    yield* job.ready(mode)
    yield* job.report({ phase: "running" })
    const snapshot = yield* failed(take)
    if (Option.isSome(snapshot)) {
      yield* job.report({ phase: "snapshotted", effectiveMode: snapshot.value.mode })
      yield* Effect.sleep(options.transferDelay)
    }
    const path = Option.match(snapshot, { onNone: () => source, onSome: ({ path }) => path })
    return yield* failed(transfer.run({
      runId: job.runId,
      path,
      background: Option.isSome(snapshot),
      onProgress: (progress) => job.report({ progress })
    }))
  })

  return {
    survives: false,
    preflight,
    prepare: refused(snapshotter.prepare),
    run,
    // the transfer has died with the agent that ran it
    resume: () =>
      Effect.zipRight(
        failed(sweep),
        new EngineFailed({ reason: "the agent ended in the middle of this backup; what it left was removed" })
      ),
    sweep: refused(sweep)
  }
})
