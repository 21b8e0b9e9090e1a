/**
 * The state of the daemon as `<stateDir>/watch.json`, and its life as flock(2) on `<stateDir>/watch.lock`.
 */
import { Effect, Layer, Option, Schedule, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { WatchState } from "../domain/Watch.ts"
import { errnoOf, reasonOf, replaceDurably } from "../internal/durable.ts"
import { tryLock } from "../internal/flock.ts"
import * as StateDir from "../internal/stateDir.ts"
import { WatchClaimed, WatchStore, WatchStoreError } from "../services/WatchStore.ts"

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants

const StateJson = Schema.parseJson(WatchState, { space: 2 })

const orFail = (operation: WatchStoreError["operation"]) =>
  Effect.mapError((error: { readonly message: string }) => new WatchStoreError({ operation, reason: error.message }))

// who only asks whether there is a daemon has the lock for a moment: a claim in that moment meets no other daemon
const pastProbes = Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(5))

const make = (options: { readonly stateDir: string }): WatchStore["Type"] => {
  const stateDir = Path.resolve(options.stateDir)
  const file = Path.join(stateDir, "watch.json")
  const lock = Path.join(stateDir, "watch.lock")

  const claim = Effect.gen(function*() {
    yield* orFail("claim")(StateDir.ensure(stateDir))
    const taken = yield* tryLock(lock).pipe(
      Effect.repeat({
        until: (taken) => taken,
        schedule: Schedule.zipRight(pastProbes, Schedule.identity<boolean>())
      }),
      orFail("claim")
    )
    if (!taken) return yield* new WatchClaimed()
  }).pipe(Effect.withSpan("WatchStore.claim"))

  const alive = Effect.scoped(Effect.gen(function*() {
    if (!(yield* orFail("read")(StateDir.check(stateDir)))) return false
    // asking makes the file; where no daemon has ever been there is nothing to ask
    const there = yield* Effect.promise(() => Fs.lstat(lock).then(() => true, () => false))
    return there && !(yield* orFail("read")(tryLock(lock)))
  })).pipe(Effect.withSpan("WatchStore.alive"))

  const write = Effect.fn("WatchStore.write")(function*(state: WatchState) {
    yield* orFail("keep")(StateDir.ensure(stateDir))
    const content = yield* orFail("keep")(Schema.encode(StateJson)(state))
    yield* orFail("keep")(replaceDurably(stateDir, { name: Path.basename(file), content: `${content}\n` }))
  })

  const read = Effect.gen(function*() {
    const text = yield* Effect.tryPromise({
      try: () =>
        Fs.open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
          .then((handle) => handle.readFile("utf8").finally(() => handle.close()))
          .catch((error: unknown) => {
            if (errnoOf(error) !== "ENOENT") throw error
          }),
      catch: (error) => new WatchStoreError({ operation: "read", reason: `${file}: ${reasonOf(error)}` })
    })
    if (text === undefined) return Option.none()
    const decoded = yield* Effect.option(Schema.decode(StateJson)(text))
    if (Option.isNone(decoded)) {
      return yield* new WatchStoreError({ operation: "read", reason: `${file}: it does not say what it should` })
    }
    return decoded
  }).pipe(Effect.withSpan("WatchStore.read"))

  return { claim, alive, write, read }
}

/** The daemon's state in a state directory. Needs the program `flock` of util-linux. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<WatchStore> =>
  Layer.sync(WatchStore, () => make(options))
