/**
 * An engine that does what a test says, with a journal of what it was asked.
 */
import { Deferred, type Duration, Effect, Ref } from "effect"
import type { JobChange } from "../../src/services/Engine.ts"
import { type Engine, EngineFailed, EngineRefused } from "../../src/services/Engine.ts"

export interface EngineScript {
  /** How long it waits before it is ready. */
  readonly queue?: Duration.DurationInput | undefined
  /** What it reports since `quiesced`, each after its time. */
  readonly changes?: ReadonlyArray<JobChange & { readonly after?: Duration.DurationInput }> | undefined
  /** How it ends, after this time. */
  readonly end?: { readonly after?: Duration.DurationInput; readonly error?: string | undefined } | undefined
  readonly survives?: boolean | undefined
  readonly refuses?: string | undefined
  readonly removing?: Duration.DurationInput | undefined
}

export interface ScriptedEngine {
  readonly engine: Engine
  readonly journal: Effect.Effect<ReadonlyArray<string>>
  /** Ends the present backup, when the script has no end of its own. */
  readonly finish: Effect.Effect<void>
}

/** Default: ready at once, `running` and `snapshotted` at once, and the end when the test says so. */
export const scriptedEngine = Effect.fnUntraced(function*(script: EngineScript = {}) {
  const entries = yield* Ref.make<ReadonlyArray<string>>([])
  const finished = yield* Ref.make(yield* Deferred.make<void>())
  const say = (entry: string) => Ref.update(entries, (all) => [...all, entry])
  const changes = script.changes ?? [{ phase: "running" }, { phase: "snapshotted", effectiveMode: "snapshot" as const }]

  const rest = (report: (change: JobChange) => Effect.Effect<void>, name: string) =>
    Effect.gen(function*() {
      for (const { after, ...change } of changes) {
        if (after !== undefined) yield* Effect.sleep(after)
        yield* report(change)
      }
      if (script.end === undefined) yield* Effect.flatMap(Ref.get(finished), Deferred.await)
      else yield* Effect.sleep(script.end.after ?? 0)
      if (script.end?.error !== undefined) return yield* new EngineFailed({ reason: script.end.error })
      yield* say(`${name} ends`)
      return { location: "/artifact" }
    })

  const scripted: ScriptedEngine = {
    engine: {
      survives: script.survives ?? false,
      preflight: script.refuses === undefined
        ? Effect.as(say("preflight"), { mode: "snapshot" as const, snapshotter: "scripted", notes: [] })
        : new EngineRefused({ reason: script.refuses }),
      prepare: say("prepare"),
      run: (job) =>
        Effect.gen(function*() {
          yield* say(`run ${job.runId}`)
          yield* Effect.addFinalizer(() =>
            Effect.zipRight(
              Effect.sleep(script.removing ?? 0),
              Effect.flatMap(job.cancelled, (cancelled) => say(cancelled ? "removes, cancelled" : "removes"))
            )
          )
          yield* Effect.sleep(script.queue ?? 0)
          yield* job.ready("snapshot")
          yield* say("begins to read")
          if (script.survives === true) yield* job.remember(`handle of ${job.runId}`)
          return yield* rest(job.report, "run")
        }),
      resume: (job, handle) =>
        Effect.gen(function*() {
          yield* say(`resume ${handle}`)
          if (handle === undefined || script.survives !== true) {
            return yield* new EngineFailed({ reason: "the agent ended in the middle of this backup" })
          }
          return yield* rest(job.report, "resume")
        }),
      sweep: Effect.as(say("sweep"), [])
    },
    journal: Ref.get(entries),
    finish: Effect.gen(function*() {
      yield* Effect.flatMap(Ref.get(finished), (one) => Deferred.succeed(one, undefined))
      yield* Ref.set(finished, yield* Deferred.make<void>())
    })
  }
  return scripted
})
