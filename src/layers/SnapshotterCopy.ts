/**
 * Snapshots by a full copy beside the source: works on every file system, takes its time and its space.
 */
import { Effect, Layer, Number } from "effect"
import * as Path from "node:path"
import { copySmallFile, create, locate } from "../internal/copySnapshot.ts"
import { diskUsage, freeSpace, humanBytes, realDirectory } from "../internal/disk.ts"
import * as Place from "../internal/snapshotPlace.ts"
import * as Snapshotting from "../internal/snapshotting.ts"
import { Snapshotter } from "../services/Snapshotter.ts"

/** `source`: the directory to back up. `stateDir`: the mark of this installation's processes. */
export type SnapshotterCopyOptions = Snapshotting.Options

/** The snapshotter itself, for a layer that chooses among several. */
export const make = (options: SnapshotterCopyOptions): Snapshotter["Type"] =>
  Snapshotting.make({
    name: "copy",
    mode: "copy",
    locate: locate(options),
    prove: Effect.gen(function*() {
      const source = yield* realDirectory(options.source)
      const { place } = yield* locate(options)
      yield* Place.attempt(place, copySmallFile(place, "never"))
      const needsBytes = yield* diskUsage(options.stateDir, source)
      // what a dead run left is removed before the copy is made
      const left = yield* Effect.forEach([place.stable, place.partial], (path) => diskUsage(options.stateDir, path))
      const free = Number.sumAll([yield* freeSpace(Path.dirname(source)), ...left])
      if (needsBytes >= free) {
        return yield* new Place.PlaceUnusable({
          reason: `a copy of ${source} needs ${humanBytes(needsBytes)}, and ${humanBytes(free)} are free in ` +
            `${Path.dirname(source)}: free some space, or use a file system that can snapshot, or no snapshot ('none')`
        })
      }
      return { needsBytes }
    }),
    create: create(options, "never")
  }, options)

/**
 * A full copy by `cp -a --reflink=never`, beside the source. Not `auto`: a copy that shares extents with the source is
 * what `reflink` is for, costs the app a copy-on-write at each later write, and makes the space that is asked for a
 * guess. Its probe refuses when the file system has no space for the copy. restic and borg see new inode numbers and
 * change times, and read all files again unless they are told to ignore these.
 */
export const layer = (options: SnapshotterCopyOptions): Layer.Layer<Snapshotter> =>
  Layer.sync(Snapshotter, () => make(options))
