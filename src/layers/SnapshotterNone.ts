/**
 * No snapshot: the transfer reads the source itself, and the app stays down until the backup is done.
 */
import { Effect, Layer } from "effect"
import { realDirectory } from "../internal/disk.ts"
import * as Snapshotting from "../internal/snapshotting.ts"
import { endLeftovers } from "../internal/tool.ts"
import { Snapshotter, SnapshotUnsupported } from "../services/Snapshotter.ts"

/** `source`: the directory to back up. `stateDir`: the mark of this installation's processes. */
export type SnapshotterNoneOptions = Snapshotting.Options

const snapshotter = "none"

/** The snapshotter itself, for a layer that chooses among several. */
export const make = (options: SnapshotterNoneOptions): Snapshotter["Type"] => ({
  probe: realDirectory(options.source).pipe(
    Effect.as({ snapshotter, mode: "stop" as const }),
    Effect.mapError((error) => new SnapshotUnsupported({ snapshotter, reason: error.message }))
  ),
  prepare: Snapshotting.prepare(snapshotter, options),
  reserve: Effect.succeed(Effect.succeedNone),
  sweep: endLeftovers(options.stateDir)
})

/** Takes no snapshot: `snapshotted` never comes. */
export const layer = (options: SnapshotterNoneOptions): Layer.Layer<Snapshotter> =>
  Layer.sync(Snapshotter, () => make(options))
