/**
 * Where the bench can work on this machine: one directory for each snapshotter, on a file system that can do it.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { has } from "../demo/lib/tools.ts"
import { loopMount } from "../test/lab/loopfs.ts"
import { type Account, type Argv, attempt, execute, LabError } from "../test/lab/postgresInstall.ts"

/** How a script takes a snapshot, and how it removes it. */
interface ByHand {
  readonly path: string
  readonly take: Argv
  readonly remove: Argv
}

export interface Place {
  readonly snapshotter: "copy" | "btrfs" | "reflink"
  readonly filesystem: string
  readonly directory: string
  /** Makes the data directory, where it has to be something special. */
  readonly prepareData: (path: string, account: Account) => Effect.Effect<void, LabError>
  readonly byHand: (data: string, path: string) => ByHand
}

const removal = (path: string): Argv => ["rm", "-rf", path]

const copyPlace = (directory: string) =>
  Effect.map(execute(["stat", "-f", "-c", "%T", directory]), (type): Place => ({
    snapshotter: "copy",
    filesystem: type.trim(),
    directory,
    prepareData: () => Effect.void,
    byHand: (data, path) => ({ path, take: ["cp", "-a", "--reflink=never", data, path], remove: removal(path) })
  }))

const btrfsPlace = (directory: string): Place => ({
  snapshotter: "btrfs",
  filesystem: "btrfs",
  directory,
  prepareData: (path, { ids }) =>
    Effect.gen(function*() {
      yield* attempt(path, () => Fs.mkdir(Path.dirname(path), { recursive: true }))
      yield* execute(["btrfs", "-q", "subvolume", "create", path])
      if (ids !== undefined) yield* attempt(path, () => Fs.chown(path, ids.uid, ids.gid))
    }),
  byHand: (data, path) => ({
    path,
    take: ["btrfs", "-q", "subvolume", "snapshot", "-r", data, path],
    remove: ["btrfs", "-q", "subvolume", "delete", path]
  })
})

const reflinkPlace = (directory: string): Place => ({
  snapshotter: "reflink",
  filesystem: "xfs",
  directory,
  prepareData: () => Effect.void,
  byHand: (data, path) => ({ path, take: ["cp", "-a", "--reflink=always", data, path], remove: removal(path) })
})

const kernelKnows = (filesystem: string) =>
  attempt("/proc/filesystems", () => Fs.readFile("/proc/filesystems", "utf8")).pipe(
    Effect.map((text) => new RegExp(`\\b${filesystem}\\b`).test(text)),
    Effect.orElseSucceed(() => false)
  )

const possible = (filesystem: "btrfs" | "xfs") =>
  Effect.gen(function*() {
    if (process.getuid?.() !== 0) return `not root, so no loop-mounted ${filesystem}`
    if (!(yield* has(`mkfs.${filesystem}`))) return `mkfs.${filesystem} is not installed`
    return (yield* kernelKnows(filesystem)) ? undefined : `the kernel has no ${filesystem}`
  })

/** A place to be, or why it cannot be. */
export type Candidate =
  | { readonly _tag: "Possible"; readonly make: Effect.Effect<Place, LabError, Scope.Scope> }
  | { readonly _tag: "Missing"; readonly reason: string }

const loopCandidate = Effect.fnUntraced(
  function*(filesystem: "btrfs" | "xfs", megabytes: number, place: (directory: string) => Place) {
    const reason = yield* possible(filesystem)
    if (reason !== undefined) return { _tag: "Missing", reason } satisfies Candidate
    const make = loopMount(filesystem, { megabytes }).pipe(
      Effect.mapError((error) => new LabError({ message: error.message })),
      Effect.map(place)
    )
    return { _tag: "Possible", make } satisfies Candidate
  }
)

/** The places of this machine; each is made, and gone again, with its scope. `megabytes`: the size of a loop device. */
export const candidates = (work: string, megabytes: number): Effect.Effect<ReadonlyArray<Candidate>> => {
  const copy = Path.join(work, "copy")
  // not by the mode of mkdir, which a umask would cut
  const directory = attempt(copy, () => Fs.mkdir(copy).then(() => Fs.chmod(copy, 0o711)))
  return Effect.all([
    Effect.succeed<Candidate>({ _tag: "Possible", make: Effect.zipRight(directory, copyPlace(copy)) }),
    loopCandidate("btrfs", megabytes, btrfsPlace),
    loopCandidate("xfs", megabytes, reflinkPlace)
  ])
}
