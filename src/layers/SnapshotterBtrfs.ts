/**
 * Snapshots by btrfs: a read-only snapshot of the subvolume that holds the source. Atomic, and as quick as one commit.
 *
 * A snapshot keeps inode numbers and change times, so restic and borg recognise unchanged files without reading them.
 */
import { Duration, Effect, Layer, Schedule } from "effect"
import * as Path from "node:path"
import { isBtrfs, isSubvolume, realDirectory } from "../internal/disk.ts"
import { isMountPoint, mountOf, mountsBelow } from "../internal/mounts.ts"
import * as Place from "../internal/snapshotPlace.ts"
import * as Snapshotting from "../internal/snapshotting.ts"
import { attempt, tool } from "../internal/tool.ts"
import { Snapshotter } from "../services/Snapshotter.ts"

/** `source` is a subvolume, or a directory inside one. */
export type SnapshotterBtrfsOptions = Snapshotting.Options

const unusable = (reason: string) => new Place.PlaceUnusable({ reason })

/** The subvolume that holds the real path `source`, found by walking up to the inode number 256. */
const enclosing = Effect.fnUntraced(function*(source: string) {
  if (!(yield* isBtrfs(source))) return yield* unusable(`${source} is not on a btrfs file system`)
  let path = source
  while (!(yield* isSubvolume(path))) {
    if (yield* isMountPoint(path)) {
      return yield* unusable(
        `${path} is a mount of a directory inside a subvolume: give the path below the subvolume itself as the source`
      )
    }
    path = Path.dirname(path)
  }
  return path
})

/**
 * The snapshot lies beside the subvolume. Beside a mount point is another file system, so there it lies inside: a
 * snapshot inside a subvolume is an empty directory in the snapshot of that subvolume.
 */
const locate = Effect.fnUntraced(function*(options: SnapshotterBtrfsOptions) {
  const source = yield* realDirectory(options.source)
  const subvolume = yield* enclosing(source)
  const inside = yield* isMountPoint(subvolume)
  const place = Place.make({
    parent: inside ? subvolume : Path.dirname(subvolume),
    name: Path.basename(source),
    stateDir: options.stateDir
  })
  return { source, subvolume, place, path: Path.join(place.stable, Path.relative(subvolume, source)) }
})

const snapshot = (stateDir: string, subvolume: string, path: string) =>
  tool(stateDir, ["btrfs", "subvolume", "snapshot", "-r", "--", subvolume, path])

/** A snapshot does not hold what is mounted, or is a subvolume of its own, below the source. */
const refuseHoles = Effect.fnUntraced(function*(stateDir: string, source: string) {
  const mounted = (yield* mountsBelow(source))[0]
  if (mounted !== undefined) {
    return yield* unusable(`${mounted} is mounted below the source, and a snapshot would not hold it`)
  }
  const search = ["-mindepth", "1", "-xdev", "-type", "d"]
  const own = ["-name", Place.directoryName, "-prune"]
  const nested = yield* attempt(stateDir, [
    "find",
    source,
    ...search,
    "(",
    ...own,
    "-o",
    "-inum",
    "256",
    "-print",
    "-quit",
    ")"
  ])
  if (nested.stdout !== "") {
    return yield* unusable(`${nested.stdout.trimEnd()} is a subvolume of its own, and a snapshot would not hold it`)
  }
})

/** Whoever is not root must be able to remove what he takes. */
const refuseUnremovable = Effect.fnUntraced(function*(stateDir: string, subvolume: string) {
  const user = process.geteuid?.() ?? 0
  const mount = yield* mountOf(subvolume)
  if (user === 0 || mount?.superOptions.includes("user_subvol_rm_allowed") === true) return
  const search = ["-xdev", "-type", "d", "!", "-user", String(user)]
  const foreign = yield* attempt(stateDir, ["find", subvolume, ...search, "-print", "-quit"])
  if (foreign.stdout !== "") {
    return yield* unusable(
      `user ${user} could not remove a snapshot again, because ${foreign.stdout.trimEnd()} belongs to somebody else: ` +
        "run as root, or mount the file system with the option user_subvol_rm_allowed"
    )
  }
})

/** How long a run waits, with the app up, for the deletion of old snapshots. */
const settleLimit = Duration.seconds(20)

/**
 * btrfs deletes a snapshot in the background, and while it does so a stop that writes, and the next snapshot, take
 * several times as long. The cleaner sleeps for up to a commit interval (30 s) unless it is poked, which the ioctl of
 * `btrfs filesystem sync` does. Only root may ask what is left to do (btrfs-subvolume(8), list -d).
 */
const settle = (options: SnapshotterBtrfsOptions) =>
  Effect.gen(function*() {
    if (process.geteuid?.() !== 0) return
    const { subvolume } = yield* locate(options)
    const left = Effect.map(
      attempt(options.stateDir, ["btrfs", "subvolume", "list", "-d", subvolume]),
      ({ stdout }) => stdout.trim()
    )
    const isClean = yield* attempt(options.stateDir, ["btrfs", "filesystem", "sync", subvolume]).pipe(
      Effect.zipRight(left),
      Effect.repeat({
        until: (deleted) => deleted === "",
        schedule: Schedule.identity<string>().pipe(Schedule.addDelay(() => "50 millis"))
      }),
      Effect.timeoutTo({ duration: settleLimit, onSuccess: () => true, onTimeout: () => false })
    )
    if (isClean) return
    return yield* unusable("an old snapshot is still being deleted in the background; the hold will be longer for it")
  })

/** The snapshotter itself, for a layer that chooses among several. */
export const make = (options: SnapshotterBtrfsOptions): Snapshotter["Type"] =>
  Snapshotting.make({
    name: "btrfs",
    mode: "snapshot",
    locate: locate(options),
    prove: Effect.gen(function*() {
      const { place, source, subvolume } = yield* locate(options)
      yield* refuseHoles(options.stateDir, source)
      yield* refuseUnremovable(options.stateDir, subvolume)
      yield* Place.attempt(place, snapshot(options.stateDir, subvolume, place.probe))
      return {}
    }),
    settle: settle(options),
    // the ioctl commits the transaction before it returns: the snapshot is on the disk
    create: ({ place, subvolume }) => snapshot(options.stateDir, subvolume, place.stable)
  }, options)

/**
 * A read-only snapshot of the subvolume that holds `source`. Needs `btrfs` of btrfs-progs. Whoever is not root must own
 * the subvolume, and all in it unless it is mounted with `user_subvol_rm_allowed`; its removal is then slower.
 */
export const layer = (options: SnapshotterBtrfsOptions): Layer.Layer<Snapshotter> =>
  Layer.sync(Snapshotter, () => make(options))
