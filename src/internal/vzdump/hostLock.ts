/**
 * Whether a vzdump holds the lock of the host.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import { EngineFailed } from "../../services/Engine.ts"
import { errnoOf, reasonOf } from "../durable.ts"
import { tryLock } from "../flock.ts"

/** The major and minor number of a device as `/proc/locks` writes them (makedev(3)). */
const deviceOf = (dev: bigint) => {
  const hex = (value: bigint) => value.toString(16).padStart(2, "0")
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n)
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n)
  return `${hex(major)}:${hex(minor)}`
}

/** Who the kernel says has locked or waits to lock the file. A file system may hide its device: then nobody is found. */
const isListed = (file: { readonly dev: bigint; readonly ino: bigint }) =>
  Fs.readFile("/proc/locks", "latin1").then(
    (locks) => new RegExp(` FLOCK .* ${deviceOf(file.dev)}:${file.ino} `).test(locks),
    () => false
  )

/**
 * Whether nobody holds the lock. The list of the kernel is read first, since a vzdump that starts in the moment in which
 * the lock is tried, without waiting, would fail. Where no file is, nobody has ever taken the lock.
 */
export const isFree = (path: string): Effect.Effect<boolean, EngineFailed> =>
  Effect.gen(function*() {
    const listed = yield* Effect.tryPromise({
      try: () =>
        Fs.stat(path, { bigint: true }).then(isListed, (error: unknown) => {
          if (errnoOf(error) !== "ENOENT") throw error
        }),
      catch: (error) => new EngineFailed({ reason: `${path}: ${reasonOf(error)}` })
    })
    if (listed === undefined) return true
    if (listed) return false
    return yield* Effect.scoped(tryLock(path)).pipe(
      Effect.mapError(({ message }) => new EngineFailed({ reason: message }))
    )
  })
