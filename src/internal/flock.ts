/**
 * flock(2) on a descriptor of ours: the util-linux program takes the lock on the open file description that it
 * inherits, the kernel keeps it for as long as this process lives and frees it on any death, also kill -9.
 */
import { Effect, Schema, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import { errnoOf, reasonOf } from "./durable.ts"
import { explain, run } from "./process.ts"

const { O_CREAT, O_NOFOLLOW, O_RDONLY, O_RDWR } = Fs.constants

/** The file could not be opened or locked for another reason than being locked already. */
export class FlockFailed extends Schema.TaggedError<FlockFailed>()("FlockFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

// O_NOFOLLOW: a planted symlink must not make us create a file elsewhere
const open = (path: string) =>
  Fs.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600).catch((error: unknown) => {
    if (errnoOf(error) !== "EROFS") throw error
    // recover must work on a file system that has become read-only; a lock needs no write
    return Fs.open(path, O_RDONLY | O_NOFOLLOW).catch((second: unknown) => {
      throw errnoOf(second) === "ENOENT" ? error : second
    })
  })

const close = (file: Fs.FileHandle) => Effect.promise(() => file.close().catch(() => undefined))

/** Takes the lock without waiting: whether it was taken. It is held until the scope closes. */
export const tryLock = (path: string): Effect.Effect<boolean, FlockFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const file = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => open(path),
        catch: (error) => new FlockFailed({ reason: `${path}: ${reasonOf(error)}` })
      }),
      close
    )
    const result = yield* run({ argv: ["flock", "-n", "-x", "3"], inherit: [file.fd], timeout: "10 seconds" }).pipe(
      Effect.mapError((error) => new FlockFailed({ reason: `${error.message}; flock is part of util-linux` }))
    )
    if (result.code === 0) return true
    if (result.code === 1 && result.output === "") {
      yield* close(file)
      return false
    }
    return yield* new FlockFailed({ reason: `flock on ${path}: ${explain(result)}` })
  })
