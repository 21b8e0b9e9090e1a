import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { RunId } from "../../src/domain/RunId.ts"
import { defaults, initialState, type WatchState } from "../../src/domain/Watch.ts"
import * as WatchStoreFile from "../../src/layers/WatchStoreFile.ts"
import { WatchStore } from "../../src/services/WatchStore.ts"
import { live } from "../support/live.ts"
import { execute, tempDir } from "./fixtures/support.ts"

const storeOf = (stateDir: string) => WatchStore.pipe(Effect.provide(WatchStoreFile.layer({ stateDir })))
const freshState = Effect.map(tempDir, (directory) => Path.join(directory, "state dir ü\n"))

const runId = RunId.make("01936f00-0000-7000-8000-000000000001")
const state: WatchState = {
  ...initialState(defaults),
  settledUntil: Date.parse("2026-01-01T03:30:00.123Z"),
  next: { due: Date.parse("2026-01-02T03:30:00Z"), at: Date.parse("2026-01-02T03:34:00Z") },
  begun: { due: Date.parse("2026-01-02T03:30:00Z"), times: 1 },
  lastRun: { runId, at: "2026-01-01T03:30:00.000Z", outcome: "aborted" },
  answered: [runId]
}

describe("WatchStoreFile", () => {
  live("keeps the state, for people too, and nobody else can read it", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* freshState
      const store = yield* storeOf(stateDir)
      assert.isTrue(Option.isNone(yield* store.read))
      yield* store.write(initialState(defaults))
      yield* store.write(state)
      assert.deepStrictEqual(yield* (yield* storeOf(stateDir)).read, Option.some(state))
      assert.deepStrictEqual(Fs.readdirSync(stateDir), ["watch.json"])
      const file = Path.join(stateDir, "watch.json")
      assert.strictEqual(Fs.statSync(file).mode & 0o777, 0o600)
      assert.include(Fs.readFileSync(file, "utf8"), "\"at\": \"2026-01-02T03:34:00.000Z\"")
    }))

  for (const text of ["", "{", "{}", "{\"schemaVersion\":2}", "null"]) {
    live(
      `a file that says ${text === "" ? "nothing" : text} is an error that names it`,
      [],
      () =>
        Effect.gen(function*() {
          const stateDir = yield* freshState
          const store = yield* storeOf(stateDir)
          yield* store.write(state)
          Fs.writeFileSync(Path.join(stateDir, "watch.json"), text)
          assert.match((yield* Effect.flip(store.read)).message, /watch\.json: it does not say what it should/)
          yield* store.write(state)
          assert.deepStrictEqual(yield* store.read, Option.some(state))
        })
    )
  }

  live("a symbolic link is not followed", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* freshState
      const store = yield* storeOf(stateDir)
      yield* store.write(state)
      const victim = Path.join(stateDir, "victim")
      Fs.writeFileSync(victim, "precious")
      for (const name of ["watch.json", "watch.json.new", "watch.json.new.tmp"]) {
        Fs.rmSync(Path.join(stateDir, name), { force: true })
        Fs.symlinkSync(victim, Path.join(stateDir, name))
        if (name === "watch.json") assert.isTrue(Exit.isFailure(yield* Effect.exit(store.read)))
        yield* Effect.exit(store.write(state))
        assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
      }
    }))

  live("one daemon at a time, until its scope closes; asking changes nothing", ["flock"], () =>
    Effect.gen(function*() {
      const stateDir = yield* freshState
      const store = yield* storeOf(stateDir)
      assert.isFalse(yield* store.alive)
      assert.isFalse(Fs.existsSync(stateDir))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* store.claim
        assert.isTrue(yield* store.alive)
        const error = yield* Effect.flip(Effect.scoped((yield* storeOf(stateDir)).claim))
        assert.strictEqual(error._tag, "WatchClaimed")
      }))
      assert.isFalse(yield* store.alive)
      yield* Effect.scoped(store.claim)
    }))

  live("who only asks does not keep a daemon from its start", ["flock"], () =>
    Effect.gen(function*() {
      const store = yield* storeOf(yield* freshState)
      yield* Effect.scoped(store.claim)
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(store.alive, Effect.sleep("5 millis"))))
      for (let n = 0; n < 10; n++) yield* Effect.scoped(store.claim)
    }))

  live("a state directory that others can write is refused", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* tempDir
      Fs.chmodSync(stateDir, 0o777)
      const store = yield* storeOf(stateDir)
      for (const use of [Effect.scoped(store.claim), store.write(state), store.alive]) {
        assert.match((yield* Effect.flip(Effect.asVoid(use))).message, /others can write it/)
      }
    }))

  live(
    "a full disk: an error with the way out, the old state stays, and the next write works",
    ["mount"],
    () =>
      Effect.gen(function*() {
        const mounted = yield* tempDir
        yield* Effect.acquireRelease(
          Effect.sync(() => execute("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", mounted)),
          () => Effect.sync(() => execute("umount", mounted))
        )
        const store = yield* storeOf(mounted)
        yield* store.write(initialState(defaults))
        const ballast = Path.join(mounted, "ballast")
        yield* Effect.ignore(Effect.try(() => Fs.writeFileSync(ballast, Buffer.alloc(128 * 1024))))
        assert.match((yield* Effect.flip(store.write(state))).message, /no space is left/)
        assert.deepStrictEqual(yield* store.read, Option.some(initialState(defaults)))
        Fs.rmSync(ballast)
        yield* store.write(state)
        assert.deepStrictEqual(yield* store.read, Option.some(state))
      })
  )
})
