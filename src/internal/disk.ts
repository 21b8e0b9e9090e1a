/**
 * What the agent's side asks of file systems.
 */
import { Effect, Option, Schema } from "effect"
import type { Stats } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt, tool, type ToolFailed } from "./tool.ts"

/** Something at this path is not as it must be. */
export class DiskError extends Schema.TaggedError<DiskError>()("DiskError", {
  path: Schema.String,
  /** The `errno` name, where there is one. */
  code: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

const words: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the quota is used up",
  ENOENT: "it does not exist",
  ENOSPC: "no space is left on the file system",
  ENOTDIR: "a part of the path is not a directory",
  EPERM: "the operation is not permitted",
  EROFS: "the file system is read-only"
}

/** The `errno` name of what Node throws. */
const codeOf = (error: unknown): string => error instanceof Error && "code" in error ? String(error.code) : ""

/** One file system call. */
export const io = <A>(path: string, call: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, DiskError> =>
  Effect.tryPromise({
    try: call,
    catch: (error) => {
      const code = codeOf(error)
      return new DiskError({
        path,
        code,
        reason: words[code] ?? (error instanceof Error ? error.message : String(error))
      })
    }
  })

/** lstat(2), or nothing where nothing is. */
export const lstat = (path: string): Effect.Effect<Option.Option<Stats>, DiskError> =>
  io(path, () => Fs.lstat(path)).pipe(
    Effect.asSome,
    Effect.catchIf((error) => error.code === "ENOENT", () => Effect.succeedNone)
  )

/** The real path of a directory that can be listed: tools copy or archive a symbolic link as such. */
export const realDirectory = (path: string): Effect.Effect<string, DiskError> =>
  Effect.gen(function*() {
    const real = yield* io(path, () => Fs.realpath(path))
    const stat = yield* io(path, () => Fs.stat(real))
    if (!stat.isDirectory()) return yield* new DiskError({ path, code: "ENOTDIR", reason: "it is not a directory" })
    yield* io(path, () => Fs.access(real, Fs.constants.R_OK | Fs.constants.X_OK))
    return real
  })

/** Whether `path` is `directory` or lies below it. Both are real paths. */
export const isWithin = (path: string, directory: string): boolean => {
  const relative = Path.relative(directory, path)
  return relative !== ".." && !relative.startsWith("../")
}

const closedFile = ["-type", "f", "!", "-readable"]
const closedDirectory = ["-type", "d", "!", "(", "-readable", "-executable", ")"]

/** The first thing below `source` that this user cannot read, if any. Root can read everything. */
export const firstUnreadable = (
  stateDir: string,
  source: string
): Effect.Effect<Option.Option<string>, ToolFailed> => {
  if (process.geteuid?.() === 0) return Effect.succeedNone
  const search = ["(", ...closedFile, "-o", ...closedDirectory, ")", "-print", "-quit"]
  return Effect.map(
    attempt(stateDir, ["find", source, ...search]),
    ({ stdout }) => stdout === "" ? Option.none() : Option.some(stdout.trimEnd())
  )
}

/** Bytes on disk of all below `path`, as du(1) counts them. Files that come and go meanwhile do not matter. */
export const diskUsage = (stateDir: string, path: string): Effect.Effect<number, ToolFailed> =>
  Effect.map(attempt(stateDir, ["du", "-s", "-B1", "--", path]), ({ stdout }) => Number.parseInt(stdout, 10) || 0)

/** Bytes of content of all below `path`. */
export const contentSize = (stateDir: string, path: string): Effect.Effect<number, ToolFailed> =>
  Effect.map(
    attempt(stateDir, ["du", "-s", "-B1", "--apparent-size", "--", path]),
    ({ stdout }) => Number.parseInt(stdout, 10) || 0
  )

/** Bytes that are free for this user. */
export const freeSpace = (path: string): Effect.Effect<number, DiskError> =>
  Effect.map(io(path, () => Fs.statfs(path)), ({ bavail, bsize }) => bavail * bsize)

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

/** A number of bytes for people. */
export const humanBytes = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power] ?? ""}`
}

/** Writes what the file system that holds `path` still has in memory to its disk (syncfs(2)). */
export const syncFileSystem = (stateDir: string, path: string): Effect.Effect<void, ToolFailed> =>
  Effect.asVoid(tool(stateDir, ["sync", "-f", "--", path]))

/** statfs(2) `f_type` of btrfs. */
const btrfsMagic = 0x9123683e

/** Whether the file system that holds `path` is a btrfs. */
export const isBtrfs = (path: string): Effect.Effect<boolean, DiskError> =>
  Effect.map(io(path, () => Fs.statfs(path)), ({ type }) => type === btrfsMagic)

/** Whether `path` is the root of a btrfs subvolume: that, and only that, has inode number 256. */
export const isSubvolume = (path: string): Effect.Effect<boolean, DiskError> =>
  Effect.gen(function*() {
    const stat = yield* io(path, () => Fs.lstat(path))
    return stat.ino === 256 && stat.isDirectory() && (yield* isBtrfs(path))
  })
