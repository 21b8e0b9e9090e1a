/**
 * Scripted storage whose backups wait for orders: as an engine, and as the parts of an agent that takes snapshots itself.
 */
import { Deferred, Effect, Option, Ref } from "effect"
import { type Engine, EngineFailed } from "../../src/services/Engine.ts"
import { SnapshotFailed, type Snapshotter } from "../../src/services/Snapshotter.ts"
import { type Transfer, TransferFailed } from "../../src/services/Transfer.ts"
import type { AgentControls } from "../../src/testing/AgentClientContract.ts"

interface Gates {
  readonly snapshot: Deferred.Deferred<void, string>
  readonly end: Deferred.Deferred<void, string>
  readonly progress: Ref.Ref<(bytes: number) => Effect.Effect<void>>
}

export const stepStorage = Effect.gen(function*() {
  const begun = yield* Ref.make(0)
  const read = yield* Ref.make(false)
  const journal = yield* Ref.make<ReadonlyArray<string>>([])
  const make = Effect.gen(function*() {
    return {
      snapshot: yield* Deferred.make<void, string>(),
      end: yield* Deferred.make<void, string>(),
      progress: yield* Ref.make<(bytes: number) => Effect.Effect<void>>(() => Effect.void)
    } satisfies Gates
  })
  const present = yield* Ref.make<Gates>(yield* make)
  const gates = Ref.get(present)
  const say = (entry: string) => Ref.update(journal, (all) => [...all, entry])

  const begin = Effect.gen(function*() {
    yield* Ref.update(begun, (n) => n + 1)
    yield* Ref.set(read, false)
    yield* Ref.set(present, yield* make)
  })

  const controls: AgentControls = {
    begun: Ref.get(begun),
    hasRead: Ref.get(read),
    snapshot: Effect.flatMap(gates, ({ snapshot }) => Deferred.succeed(snapshot, undefined)),
    progress: (bytes) =>
      Effect.flatMap(gates, ({ progress }) => Effect.flatMap(Ref.get(progress), (report) => report(bytes))),
    end: (reason) =>
      Effect.flatMap(gates, ({ end, snapshot }) =>
        reason === undefined
          ? Deferred.succeed(end, undefined)
          : Effect.zipRight(Deferred.fail(snapshot, reason), Deferred.fail(end, reason)))
  }

  const engine: Engine = {
    survives: false,
    preflight: Effect.as(say("preflight"), { mode: "snapshot", snapshotter: "steps", notes: ["a note"] }),
    prepare: say("prepare"),
    run: (job) =>
      Effect.gen(function*() {
        yield* begin
        yield* say(`run ${job.runId}`)
        const { end, progress, snapshot } = yield* gates
        yield* job.ready("snapshot")
        yield* Ref.set(read, true)
        yield* say("read")
        yield* job.report({ phase: "running" })
        yield* Deferred.await(snapshot)
        yield* job.report({ phase: "snapshotted", effectiveMode: "snapshot" })
        yield* Ref.set(progress, (bytes) => job.report({ progress: { bytes, totalBytes: 1000 } }))
        yield* Deferred.await(end)
        return { location: "/artifact" }
      }).pipe(Effect.mapError((reason) => typeof reason === "string" ? new EngineFailed({ reason }) : reason)),
    resume: () => new EngineFailed({ reason: "the agent ended in the middle of this backup" }),
    sweep: Effect.succeed([])
  }

  const snapshotter: Snapshotter["Type"] = {
    probe: Effect.succeed({ snapshotter: "steps", mode: "snapshot" as const }),
    prepare: say("prepare"),
    reserve: Effect.as(
      begin,
      Effect.gen(function*() {
        yield* Ref.set(read, true)
        yield* Effect.flatMap(gates, ({ snapshot }) => Deferred.await(snapshot))
        return Option.some({ path: "/snap", mode: "snapshot" as const })
      }).pipe(Effect.mapError((reason) => new SnapshotFailed({ snapshotter: "steps", operation: "take", reason })))
    ),
    sweep: Effect.succeed([])
  }

  const transfer: Transfer["Type"] = {
    preflight: Effect.void,
    run: ({ onProgress }) =>
      Effect.gen(function*() {
        const { end, progress } = yield* gates
        yield* Ref.set(progress, (bytes) => onProgress({ bytes, totalBytes: 1000 }))
        yield* Deferred.await(end)
        return { location: "/artifact" }
      }).pipe(Effect.mapError((reason) => new TransferFailed({ reason }))),
    sweep: Effect.succeed([])
  }

  return { controls, engine, snapshotter, transfer, journal: Ref.get(journal) }
})
