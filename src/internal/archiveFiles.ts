/**
 * The files of an archive: under a `.partial` name while it is written, under its own name once it is on the disk.
 */
import { type DateTime, DateTime as Time, Effect, Exit, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { RunId } from "../domain/RunId.ts"
import { type DiskError, io } from "./disk.ts"
import { tryLock } from "./flock.ts"

const suffix = ".partial"
const sums = ".sha256"

export interface ArchiveFile {
  readonly directory: string
  /** The name of the finished archive. */
  readonly name: string
  readonly handle: Fs.FileHandle
}

/** `<name>-<UTC time>-<end of the run id>.tar.zst` */
export const fileName = (name: string, at: DateTime.Utc, runId: RunId): string =>
  `${name}-${Time.formatIso(at).replace(/[-:]|\.\d+/g, "")}-${runId.slice(-12)}.tar.zst`

const isUnfinished = (name: string) => {
  const prefix = `${name}-`
  const rest = /^\d{8}T\d{6}Z-[0-9a-f]{12}\.tar\.zst(\.sha256)?\.partial$/
  return (file: string) => file.startsWith(prefix) && rest.test(file.slice(prefix.length))
}

const unlink = (path: string) => Effect.ignore(io(path, () => Fs.unlink(path)))

const syncDirectory = (directory: string) =>
  io(directory, () => Fs.open(directory, "r").then((handle) => handle.sync().finally(() => handle.close())))

/**
 * Makes the `.partial` file, readable for this user alone. The close of the scope with a failure removes whatever was
 * made. The file is locked, so that the sweep of another installation sees that it is being written.
 */
export const open = (directory: string, name: string): Effect.Effect<ArchiveFile, DiskError, Scope.Scope> =>
  Effect.gen(function*() {
    const archive = Path.join(directory, name)
    const handle = yield* Effect.acquireRelease(
      io(archive + suffix, () => Fs.open(archive + suffix, "wx", 0o600)),
      (handle, exit) =>
        Effect.ignore(io(archive, () => handle.close())).pipe(
          Effect.zipRight(unlink(archive + suffix)),
          Effect.zipRight(unlink(archive + sums + suffix)),
          Effect.zipRight(Exit.isSuccess(exit) ? Effect.void : Effect.zipRight(unlink(archive), unlink(archive + sums)))
        )
    )
    // not every file system can lock; there the name alone must do
    yield* Effect.ignoreLogged(tryLock(archive + suffix))
    return { directory, name, handle }
  })

/**
 * Brings the archive to the disk and gives it its name. The checksum, in the format of sha256sum(1), comes first, so that
 * no archive is ever without one.
 */
export const publish = (file: ArchiveFile, sha256: string): Effect.Effect<void, DiskError> =>
  Effect.gen(function*() {
    const archive = Path.join(file.directory, file.name)
    const checksum = archive + sums
    yield* io(archive, () => file.handle.sync())
    yield* io(checksum, () =>
      Fs.open(checksum + suffix, "wx", 0o600).then((handle) =>
        handle.writeFile(`${sha256}  ${file.name}\n`).then(() =>
          handle.sync()
        ).finally(() => handle.close())
      ))
    yield* io(checksum, () => Fs.rename(checksum + suffix, checksum))
    yield* io(archive, () => Fs.rename(archive + suffix, archive))
    yield* syncDirectory(file.directory)
  }).pipe(Effect.uninterruptible)

const removeUnlessLive = (directory: string, name: string) =>
  Effect.scoped(Effect.gen(function*() {
    const path = Path.join(directory, name)
    const free = yield* Effect.orElseSucceed(tryLock(path), () => true)
    if (!free) return []
    const archive = path.slice(0, -suffix.length)
    const left = archive.endsWith(sums) ? [path] : [path, archive + sums + suffix, archive + sums]
    return yield* Effect.filter(left, (path) =>
      io(path, () => Fs.unlink(path)).pipe(
        Effect.as(true),
        Effect.catchIf((error) => error.code === "ENOENT", () => Effect.succeed(false))
      ))
  }))

/** Removes what dead runs left of archives of this name. Answers with the paths. */
export const sweep = (directory: string, name: string): Effect.Effect<ReadonlyArray<string>, DiskError> =>
  io(directory, () => Fs.readdir(directory)).pipe(
    Effect.catchIf((error) => error.code === "ENOENT", () => Effect.succeed([])),
    Effect.map((files) => files.filter(isUnfinished(name)).sort()),
    Effect.flatMap(Effect.forEach((file) => removeUnlessLive(directory, file))),
    Effect.map((removed) => removed.flat())
  )
