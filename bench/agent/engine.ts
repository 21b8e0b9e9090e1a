/**
 * Engines whose snapshots exist after a time of chance, or when they are told to.
 */
import { Effect, Random, Ref } from "effect"
import type { Engine, EngineJob } from "../../src/services/Engine.ts"
import { now } from "./clock.ts"

const still = {
  survives: false,
  preflight: Effect.succeed({ mode: "snapshot" as const, snapshotter: "bench", notes: [] }),
  prepare: Effect.void,
  resume: () => Effect.succeed({ location: "/artifact" }),
  sweep: Effect.succeed([])
}

/** How long the transfer takes: long enough that `done` is a change of its own. */
const transfer = "120 millis"

/** The snapshot takes up to `spread` milliseconds: so no poll can be in step with it. `point` is told when it was. */
export const timed = (
  spread: number,
  point: (job: EngineJob, at: number) => Effect.Effect<void>
): Engine => ({
  ...still,
  run: (job) =>
    Effect.gen(function*() {
      yield* job.ready("snapshot")
      yield* job.report({ phase: "running" })
      yield* Effect.sleep(10 + (yield* Random.nextRange(0, spread)))
      const at = now()
      yield* job.report({ phase: "snapshotted", effectiveMode: "snapshot" })
      yield* point(job, at)
      yield* Effect.sleep(transfer)
      return { location: "/artifact" }
    })
})

/** A backup that does nothing by itself: whoever has the job reports for it. */
export const told = (running: Ref.Ref<ReadonlyArray<EngineJob>>): Engine => ({
  ...still,
  run: (job) =>
    Effect.gen(function*() {
      yield* job.ready("snapshot")
      yield* job.report({ phase: "running" })
      yield* Ref.update(running, (all) => [...all, job])
      return yield* Effect.never
    })
})
