/**
 * The run lock as flock(2) on `<stateDir>/lock`: freed by the kernel on any death of the process, so it is never stale.
 */
import { DateTime, Effect, Layer, Option, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { tryLock } from "../internal/flock.ts"
import * as StateDir from "../internal/stateDir.ts"
import { LockHeld, LockUnavailable, RunLock } from "../services/RunLock.ts"

const { O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = Fs.constants

const unavailable = Effect.mapError((error: { readonly message: string }) =>
  new LockUnavailable({ reason: error.message })
)

// who only asks for the holder has the lock for a moment: an acquire in that moment is not another run
const pastProbes = Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(5))

const readHolder = (path: string) =>
  Effect.promise(() =>
    Fs.open(path, O_RDONLY | O_NOFOLLOW).then((file) =>
      file.read({ buffer: Buffer.alloc(4096), position: 0 }).then(
        ({ buffer, bytesRead }) => buffer.toString("utf8", 0, bytesRead).trim()
      ).finally(() => file.close())
    ).catch(() => "")
  ).pipe(Effect.map((text) => text === "" ? "a process that did not say who it is" : text))

/** For people only: a disk that is full must not keep recover from its work. */
const sayHolder = (path: string, purpose: string) =>
  Effect.gen(function*() {
    const since = DateTime.formatIso(yield* DateTime.now)
    const text = `${purpose.replace(/\s+/g, " ").slice(0, 1000)} (pid ${process.pid}, since ${since})\n`
    yield* Effect.promise(() =>
      Fs.open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW).then((file) => file.writeFile(text).finally(() => file.close()))
        .catch(() => undefined)
    )
  })

const forgetHolder = (path: string) =>
  Effect.promise(() =>
    Fs.open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW).then((file) => file.close()).catch(() => undefined)
  )

const make = (options: { readonly stateDir: string }): RunLock["Type"] => {
  const path = Path.join(Path.resolve(options.stateDir), "lock")

  const acquire = Effect.fn("RunLock.acquire")(function*(purpose: string) {
    yield* unavailable(StateDir.ensure(options.stateDir))
    const taken = yield* unavailable(
      tryLock(path).pipe(
        Effect.repeat({
          until: (taken) => taken,
          schedule: Schedule.zipRight(pastProbes, Schedule.identity<boolean>())
        })
      )
    )
    if (!taken) return yield* new LockHeld({ holder: yield* readHolder(path) })
    yield* Effect.acquireRelease(sayHolder(path, purpose), () => forgetHolder(path))
  })

  const holder: Effect.Effect<Option.Option<string>, LockUnavailable> = Effect.scoped(Effect.gen(function*() {
    if (!(yield* unavailable(StateDir.check(options.stateDir)))) return Option.none()
    return (yield* unavailable(tryLock(path))) ? Option.none() : Option.some(yield* readHolder(path))
  })).pipe(Effect.withSpan("RunLock.holder"))

  return { acquire, holder }
}

/** The lock of a state directory. Needs the program `flock` of util-linux. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<RunLock> =>
  Layer.sync(RunLock, () => make(options))
