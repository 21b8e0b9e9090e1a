/**
 * The state directory: what lies in it decides what is started, as whom this program runs. Nobody else may write it.
 */
import { Effect, Schema } from "effect"
import type { Stats } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { errnoOf, reasonOf } from "./durable.ts"

/** Somebody else could write the directory, or has put something else in its place. */
export class StateDirUnsafe extends Schema.TaggedError<StateDirUnsafe>()("StateDirUnsafe", {
  path: Schema.String,
  /** What is wrong, and the way out of it. */
  reason: Schema.String
}) {
  override get message(): string {
    return `the state directory ${this.path} is not safe: ${this.reason}`
  }
}

/** The directory could not be made or looked at. */
export class StateDirUnavailable extends Schema.TaggedError<StateDirUnavailable>()("StateDirUnavailable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `the state directory ${this.path} cannot be used: ${this.reason}`
  }
}

export type StateDirError = StateDirUnsafe | StateDirUnavailable

const flaw = (path: string, found: Stats): string | undefined => {
  const me = process.geteuid?.()
  if (found.isSymbolicLink()) return "it is a symbolic link; set stateDir to where it points, or remove it"
  if (!found.isDirectory()) return "it is not a directory; remove it, or set another stateDir"
  if (me !== undefined && found.uid !== me) {
    return `it belongs to user ${found.uid} and we are user ${me}; run as its owner, chown it, or set another stateDir`
  }
  if ((found.mode & 0o022) !== 0) {
    return `others can write it (mode ${(found.mode & 0o7777).toString(8)}); look into it, then: chmod 700 '${path}'`
  }
  return undefined
}

const attempt = <A>(path: string, act: () => Promise<A>) =>
  Effect.tryPromise({ try: act, catch: (error) => new StateDirUnavailable({ path, reason: reasonOf(error) }) })

/** Makes the name of a new directory durable: what is written in it later must not be lost with it (fsync(2)). */
const syncName = (path: string): Promise<void> =>
  Fs.open(Path.dirname(path), Fs.constants.O_RDONLY | Fs.constants.O_DIRECTORY).then(
    (above) => above.sync().finally(() => above.close()),
    (error: unknown) => {
      // a directory in which we may make names and not read them cannot be synced by us
      if (errnoOf(error) !== "EACCES") throw error
    }
  ).catch((error: unknown) =>
    // the next one who looks must not take it for durable
    Fs.rmdir(path).catch(() => undefined).then(() => {
      throw error
    })
  )

// the recursive mkdir of node says ENOENT where a file system is read-only
const makeAll = (path: string): Promise<void> =>
  Fs.mkdir(path, { mode: 0o700 }).then(() => syncName(path), (error: unknown) => {
    if (errnoOf(error) === "EEXIST") return
    if (errnoOf(error) !== "ENOENT" || Path.dirname(path) === path) throw error
    return makeAll(Path.dirname(path)).then(() => makeAll(path))
  })

/** Whether the directory is there. One that is there and not safe is refused; nothing is made. */
export const check = (path: string): Effect.Effect<boolean, StateDirError> =>
  Effect.gen(function*() {
    // a trailing slash would make lstat follow a symbolic link
    const directory = Path.resolve(path)
    const found = yield* attempt(directory, () =>
      Fs.lstat(directory).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error
      }))
    if (found === undefined) return false
    const reason = flaw(directory, found)
    if (reason !== undefined) return yield* new StateDirUnsafe({ path: directory, reason })
    return true
  })

/** Makes the directory (0700), with those above it, where it is missing; refuses one that is not safe. */
export const ensure = (path: string): Effect.Effect<void, StateDirError> =>
  Effect.gen(function*() {
    if (yield* check(path)) return
    yield* attempt(path, () => makeAll(Path.resolve(path)))
    yield* check(path)
  })

const readWord = (path: string) =>
  Effect.promise(() => Fs.readFile(path, "utf8").then((text) => text.trim()).catch(() => ""))

/** The id of this boot of the kernel (random(4)); "" where there is none. */
export const bootId: Effect.Effect<string> = readWord("/proc/sys/kernel/random/boot_id")

/** The id of this machine (machine-id(5)); "" where there is none. */
export const machineId: Effect.Effect<string> = readWord("/etc/machine-id")
