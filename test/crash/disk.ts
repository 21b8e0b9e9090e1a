/**
 * Disks that lose power: real file systems on loop devices, and what is on them afterwards.
 */
import { Effect, Schedule, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type LabFailed, sh, workDirectory } from "../lab/loopfs.ts"

/**
 * How the power goes. `ext4` and `xfs` are shut down by ioctl: nothing that was not synced survives. `-journal`: what
 * the file system has logged survives (names), data does not. `btrfs`, which has no such ioctl: what it has sent to the disk.
 */
export const kinds = ["ext4", "xfs", "btrfs", "ext4-journal", "xfs-journal"] as const
export type Kind = (typeof kinds)[number]

export interface Disk {
  readonly kind: Kind
  /** Where it is mounted, also after the crash. */
  readonly mount: string
  /** Cuts the power, and lets the caller look at what is left. The disk is usable again afterwards. */
  readonly crash: <A, E, R>(look: (mount: string) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | LabFailed, R>
}

const fileSystems = {
  // long intervals: what is never synced must not be saved by the clock
  ext4: { mkfs: ["mkfs.ext4", "-q", "-F"], megabytes: 64, options: "loop,commit=300" },
  xfs: { mkfs: ["mkfs.xfs", "-q", "-f"], megabytes: 320, options: "loop" },
  btrfs: { mkfs: ["mkfs.btrfs", "-q", "-f"], megabytes: 160, options: "loop,commit=300" }
} as const

// a loop device may be taken by another test between the search and the use, and a process be slow to let go
const patience = Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(20))

/** A new, empty disk. Needs root. */
export const make = (kind: Kind): Effect.Effect<Disk, LabFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const [name, journal] = kind.split("-") as [keyof typeof fileSystems, string?]
    const { megabytes, mkfs, options } = fileSystems[name]
    const directory = yield* workDirectory
    const [image, mount] = [Path.join(directory, "image"), Path.join(directory, "mount")]
    const [copy, mountOfCopy] = [Path.join(directory, "copy"), Path.join(directory, "mount of copy")]
    for (const made of [mount, mountOfCopy]) Fs.mkdirSync(made)
    yield* sh(["truncate", "-s", `${megabytes}M`, image])
    yield* sh([...mkfs, image])
    const patiently = (argv: Parameters<typeof sh>[0]) => Effect.retry(sh(argv), patience)
    const attach = (from: string, to: string) => patiently(["mount", "-o", options, from, to])
    const detach = (from: string) => patiently(["umount", from])
    yield* attach(image, mount)
    /**
     * A process with mounts of its own (a container that somebody starts) keeps a copy of ours for a while: to mount the
     * image again would then mean to see the file system that is shut down, and not what is on the disk.
     */
    const renew = Effect.gen(function*() {
      const free = yield* Effect.map(sh(["losetup", "-j", image]), (devices) => devices.trim() === "").pipe(
        Effect.repeat({
          until: (free) => free,
          schedule: Schedule.zipRight(
            Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(40)),
            Schedule.identity<boolean>()
          )
        })
      )
      if (free) return
      yield* sh(["cp", "--sparse=always", image, copy])
      yield* sh(["mv", copy, image])
    })
    const shutDown = ["xfs_io", "-x", "-c", `shutdown${journal === undefined ? "" : " -f"}`, mount] as const
    return {
      kind,
      mount,
      crash: (look) =>
        name === "btrfs"
          ? Effect.acquireUseRelease(
            Effect.zipRight(sh(["cp", "--sparse=always", image, copy]), attach(copy, mountOfCopy)),
            () => look(mountOfCopy),
            () => Effect.orDie(detach(mountOfCopy))
          )
          : Effect.zipRight(
            Effect.all([sh(shutDown), detach(mount), renew, attach(image, mount)]),
            Effect.suspend(() => look(mount))
          )
    }
  })
