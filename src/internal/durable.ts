/**
 * Small files that a crash or a power loss cannot tear or take: a temporary file, fsync, rename, fsync of the directory.
 *
 * Without the fsync of the file a power loss may leave 0 bytes under the new name, without that of the directory the
 * name itself is lost, and a removed file may come back (rename(2), fsync(2): "calling fsync() does not necessarily
 * ensure that the entry in the directory containing the file has also reached disk").
 */
import { Effect, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = Fs.constants

/** A file could not be made durable or be removed for good. */
export class DurableFailed extends Schema.TaggedError<DurableFailed>()("DurableFailed", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

// node has no name for some of them (EDQUOT: "Unknown system error -122")
const errnoNames = new Map(Object.entries(Os.constants.errno).map(([name, number]) => [-number, name]))

/** The `errno` name of an error of node:fs, "" where it has none. */
export const errnoOf = (error: unknown): string => {
  if (!(error instanceof Error)) return ""
  const named = "errno" in error && typeof error.errno === "number" ? errnoNames.get(error.errno) : undefined
  return named ?? ("code" in error && typeof error.code === "string" ? error.code : "")
}

const wayOut: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on its file system; free some, or set another stateDir",
  EDQUOT: "the disk quota is used up; free some space, or set another stateDir",
  EROFS: "its file system is read-only; remount it writable, or set another stateDir",
  EACCES: "permission denied; run as its owner, or set another stateDir",
  EPERM: "the operation is not permitted (immutable, or another owner); mend that, or set another stateDir",
  ELOOP: "it is a symbolic link, which is not followed; look who made it, and remove it",
  ENOTDIR: "a part of the path is not a directory; remove what is in the way, or set another stateDir",
  EIO: "the disk does not take it (input/output error); look at the kernel's log, and set another stateDir",
  EEXIST: "somebody else has just made it; look who, and remove it"
}

/** What an error of node:fs means, and the way out of it. */
export const reasonOf = (error: unknown): string =>
  wayOut[errnoOf(error)] ?? (error instanceof Error ? error.message : String(error))

const step = <A>(path: string, act: () => Promise<A>) =>
  Effect.tryPromise({ try: act, catch: (error) => new DurableFailed({ path, reason: reasonOf(error) }) })

const missingIsFine = (error: unknown) => {
  if (errnoOf(error) !== "ENOENT") throw error
}

/** Makes the names in a directory durable. */
export const syncDirectory = (directory: string): Effect.Effect<void, DurableFailed> =>
  Effect.acquireUseRelease(
    step(directory, () => Fs.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)),
    (handle) => step(directory, () => handle.sync()),
    (handle) => Effect.promise(() => handle.close().catch(() => undefined))
  )

/** What a run that died in the middle left is a file of ours; anything else at this name was put there by somebody. */
const removeStale = (path: string) =>
  Effect.gen(function*() {
    const found = yield* step(path, () => Fs.lstat(path).catch(missingIsFine))
    if (found === undefined) return
    if (!found.isFile()) {
      return yield* new DurableFailed({ path, reason: "it is not a regular file; look who made it, and remove it" })
    }
    yield* step(path, () => Fs.unlink(path).catch(missingIsFine))
  })

const writeFile = (path: string, content: string) =>
  Effect.gen(function*() {
    const temporary = `${path}.tmp`
    yield* removeStale(temporary)
    yield* Effect.acquireUseRelease(
      step(temporary, () => Fs.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)),
      // after an error the kernel may call the pages clean: an fsync must not be tried again on the same file
      (file) => step(temporary, () => file.writeFile(content).then(() => file.sync())),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    )
    yield* step(path, () => Fs.rename(temporary, path))
  })

const undo = (directory: string, names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => {
    const path = Path.join(directory, name)
    return Effect.zipRight(
      Effect.ignore(step(path, () => Fs.unlink(path))),
      Effect.ignore(removeStale(`${path}.tmp`))
    )
  }, { discard: true }).pipe(Effect.zipRight(Effect.ignore(syncDirectory(directory))))

/**
 * Writes files that are new, in order, and returns when all of them are on the disk under their names. When it fails, it has
 * removed what it had made, as far as it could. Mode 0600; symbolic links are not followed.
 */
export const writeDurably = (
  directory: string,
  files: ReadonlyArray<{ readonly name: string; readonly content: string }>
): Effect.Effect<void, DurableFailed> =>
  Effect.forEach(files, ({ content, name }) => writeFile(Path.join(directory, name), content), { discard: true }).pipe(
    Effect.zipRight(syncDirectory(directory)),
    Effect.tapError(() => undo(directory, files.map(({ name }) => name))),
    // a step that was sent cannot be called back: an interrupted write would go on without its fiber
    Effect.uninterruptible
  )

/**
 * Puts a file in the place of the one with this name, which stays as it is when this fails before the new one is whole.
 * Mode 0600; symbolic links are not followed.
 */
export const replaceDurably = (
  directory: string,
  { content, name }: { readonly name: string; readonly content: string }
): Effect.Effect<void, DurableFailed> => {
  const path = Path.join(directory, name)
  return writeFile(path, content).pipe(
    Effect.tapError(() => Effect.ignore(removeStale(`${path}.tmp`))),
    Effect.zipRight(syncDirectory(directory)),
    Effect.uninterruptible
  )
}

/** Removes the files and returns when a power loss cannot bring them back. What is not there is a success. */
export const removeDurably = (
  directory: string,
  names: ReadonlyArray<string>
): Effect.Effect<void, DurableFailed> =>
  Effect.forEach(names, (name) => {
    const path = Path.join(directory, name)
    return step(path, () => Fs.unlink(path).catch(missingIsFine))
  }, { discard: true }).pipe(
    Effect.zipRight(syncDirectory(directory)),
    Effect.uninterruptible
  )
