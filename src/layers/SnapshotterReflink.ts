/**
 * Snapshots by reflinks: a copy beside the source that shares all blocks with it (XFS, btrfs).
 */
import { Effect, Layer } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { copySmallFile, cp, create, locate } from "../internal/copySnapshot.ts"
import { io, realDirectory } from "../internal/disk.ts"
import { isMountPoint, mountsBelow } from "../internal/mounts.ts"
import * as Place from "../internal/snapshotPlace.ts"
import * as Snapshotting from "../internal/snapshotting.ts"
import { attempt } from "../internal/tool.ts"
import { Snapshotter } from "../services/Snapshotter.ts"

/** `source`: the directory to back up. `stateDir`: the mark of this installation's processes. */
export type SnapshotterReflinkOptions = Snapshotting.Options

const unusable = (reason: string) => new Place.PlaceUnusable({ reason })

const refuseOtherFileSystems = Effect.fnUntraced(function*(source: string) {
  if (yield* isMountPoint(source)) {
    return yield* unusable(
      `${source} is a mount point, so ${
        Path.dirname(source)
      } is another file system, and blocks are shared only within ` +
        "one: make a directory in it the source"
    )
  }
  const mounted = (yield* mountsBelow(source))[0]
  if (mounted !== undefined) {
    return yield* unusable(`${mounted} is mounted below the source, and blocks are shared only within one file system`)
  }
})

/** Reflinks the first file of the source: only that proves that its blocks can be shared. Whether there was a file. */
const reflinkFirstFile = Effect.fnUntraced(function*(stateDir: string, source: string, place: Place.Place) {
  // a call that is abandoned would make it again after its removal
  yield* Effect.uninterruptible(io(place.probe, () => Fs.mkdir(place.probe, { mode: 0o700 })))
  const copy = [...cp("always"), "--", "{}", Path.join(place.probe, "file"), ";"]
  const file = ["-type", "f", "-readable"]
  const tried = [...file, "-exec", ...copy, "-printf", "shared\n", "-quit"]
  const found = yield* attempt(stateDir, ["find", source, "-xdev", ...tried, "-o", ...file, "-quit"])
  if (found.stdout.startsWith("shared")) return true
  if (found.output === "") return false
  return yield* unusable(`the file system cannot share blocks between files: ${found.output.split("\n").at(-1)}`)
})

/** The snapshotter itself, for a layer that chooses among several. */
export const make = (options: SnapshotterReflinkOptions): Snapshotter["Type"] =>
  Snapshotting.make({
    name: "reflink",
    mode: "copy",
    locate: locate(options),
    prove: Effect.gen(function*() {
      const source = yield* realDirectory(options.source)
      yield* refuseOtherFileSystems(source)
      const { place } = yield* locate(options)
      yield* Place.attempt(
        place,
        Effect.flatMap(reflinkFirstFile(options.stateDir, source, place), (proved) =>
          proved ? Effect.void : copySmallFile(place, "always"))
      )
      return {}
    }),
    create: create(options, "always")
  }, options)

/**
 * A copy by `cp -a --reflink=always`, beside the source: as quick as the number of files and extents, complete but not
 * atomic. Needs a file system that can share blocks. restic and borg see new inode numbers and change times, and read
 * all files again unless they are told to ignore these (`restic backup --ignore-inode --ignore-ctime`).
 */
export const layer = (options: SnapshotterReflinkOptions): Layer.Layer<Snapshotter> =>
  Layer.sync(Snapshotter, () => make(options))
