/**
 * A snapshotter that only says what it does: for tests of agents.
 */
import { Duration, Effect, Layer, Option } from "effect"
import type { EffectiveMode } from "../domain/Backup.ts"
import { SnapshotFailed, Snapshotter, SnapshotUnsupported } from "../services/Snapshotter.ts"
import { Journal } from "./Journal.ts"

/** How the snapshotter behaves. Default: an atomic snapshot in no time. */
export interface SnapshotterMemoryOptions {
  readonly mode?: EffectiveMode | undefined
  readonly takes?: Duration.DurationInput | undefined
  readonly fails?: "probe" | "take" | "remove" | undefined
}

const name = "memory"

/** Writes `snapshot take` and the like into the journal, and answers with a path that does not exist. */
export const layer = (
  options: SnapshotterMemoryOptions = {}
): Layer.Layer<Snapshotter, never, Journal> =>
  Layer.effect(
    Snapshotter,
    Effect.map(Journal, (journal) => {
      const mode = options.mode ?? "snapshot"
      const failed = (operation: "take" | "remove") =>
        new SnapshotFailed({ snapshotter: name, operation, reason: "told to fail" })
      return {
        probe: options.fails === "probe"
          ? new SnapshotUnsupported({ snapshotter: name, reason: "told to fail" })
          : Effect.succeed({ snapshotter: name, mode }),
        prepare: journal.record("snapshot prepare"),
        reserve: Effect.as(
          journal.record("snapshot reserve"),
          mode === "stop" ? Effect.succeedNone : Effect.acquireRelease(
            journal.record("snapshot take").pipe(
              Effect.delay(options.takes ?? Duration.zero),
              Effect.zipRight(
                options.fails === "take" ? failed("take") : Effect.succeed(Option.some({ path: "/snapshot", mode }))
              )
            ),
            () => journal.record("snapshot remove")
          )
        ),
        sweep: Effect.as(journal.record("snapshot sweep"), [])
      }
    })
  )
