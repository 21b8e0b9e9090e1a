import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunLockFlock from "../../src/layers/RunLockFlock.ts"
import { RunLock } from "../../src/services/RunLock.ts"
import { live } from "../support/live.ts"
import { alive, bundle, eventually, execute, reap, start, tempDir, withEnv } from "./fixtures/support.ts"

const lockOf = (stateDir: string) => RunLock.pipe(Effect.provide(RunLockFlock.layer({ stateDir })))

const freshState = Effect.map(tempDir, (directory) => Path.join(directory, "state dir ü\n"))

describe("RunLockFlock", () => {
  live(
    "one holder at a time, also within one process, and the next one after the scope",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const stateDir = yield* freshState
        const lock = yield* lockOf(stateDir)
        assert.isTrue(Option.isNone(yield* lock.holder))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* lock.acquire("run  0193\nabc")
          const error = yield* Effect.flip(Effect.scoped(lock.acquire("another")))
          assert.strictEqual(error._tag, "LockHeld")
          assert.match(
            error.message,
            new RegExp(`another run is under way: run 0193 abc \\(pid ${process.pid}, since \\d{4}-\\d\\d-.*Z\\)$`)
          )
          assert.match(Option.getOrThrow(yield* lock.holder), /^run 0193 abc \(pid/)
          // a separate layer on the same directory is a separate open file description
          const again = yield* Effect.flip(Effect.scoped(Effect.flatMap(lockOf(stateDir), (lock) => lock.acquire("x"))))
          assert.strictEqual(again._tag, "LockHeld")
        }))
        assert.isTrue(Option.isNone(yield* lock.holder))
        yield* lock.acquire("next")
        assert.strictEqual(Fs.statSync(Path.join(stateDir, "lock")).mode & 0o777, 0o600)
      })
  )

  live(
    "kill -9 frees the lock at once, though a child of the holder lives on",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const stateDir = yield* freshState
        const lock = yield* lockOf(stateDir)
        const holder = yield* start([process.execPath, yield* bundle("lockHolder"), stateDir])
        const childPid = () => Number(/held (\d+)/.exec(holder.output())?.[1] ?? 0)
        yield* reap(childPid)
        yield* eventually("the fixture holds the lock", () => childPid() > 0)
        assert.match(
          Option.getOrThrow(yield* lock.holder),
          new RegExp(`^run of the fixture \\(pid ${holder.pid}, since`)
        )
        assert.strictEqual((yield* Effect.flip(Effect.scoped(lock.acquire("x"))))._tag, "LockHeld")
        yield* holder.kill("SIGKILL")
        yield* holder.ended
        const [took] = yield* Effect.timed(lock.acquire("after the death"))
        assert.isTrue(alive(childPid()))
        assert.isBelow(Duration.toMillis(took), 1000)
        assert.match(Fs.readFileSync(Path.join(stateDir, "lock"), "utf8"), /^after the death \(pid/)
      })
  )

  live("who only asks for the holder does not make an acquire fail", ["flock"], () =>
    Effect.gen(function*() {
      const lock = yield* lockOf(yield* freshState)
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(lock.holder, Effect.sleep("5 millis"))))
      for (let n = 0; n < 20; n++) yield* Effect.scoped(lock.acquire("run"))
    }))

  live("does not follow a symbolic link", ["flock"], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const victim = Path.join(directory, "victim")
      Fs.writeFileSync(victim, "precious")
      const stateDir = Path.join(directory, "state")
      Fs.mkdirSync(stateDir, { mode: 0o700 })
      Fs.symlinkSync(victim, Path.join(stateDir, "lock"))
      const lock = yield* lockOf(stateDir)
      const error = yield* Effect.flip(Effect.scoped(lock.acquire("x")))
      assert.strictEqual(error._tag, "LockUnavailable")
      assert.match(error.message, /state\/lock: it is a symbolic link/)
      assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
    }))

  live("refuses a state directory that others can write", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* tempDir
      Fs.chmodSync(stateDir, 0o777)
      const lock = yield* lockOf(stateDir)
      assert.match((yield* Effect.flip(Effect.scoped(lock.acquire("x")))).message, /others can write it/)
      assert.match((yield* Effect.flip(lock.holder)).message, /others can write it/)
    }))

  live("names the package of a missing flock program, and holds nothing", ["flock"], () =>
    Effect.gen(function*() {
      const stateDir = yield* freshState
      const lock = yield* lockOf(stateDir)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* withEnv("PATH", stateDir)
        const error = yield* Effect.flip(Effect.scoped(lock.acquire("x")))
        assert.strictEqual(error._tag, "LockUnavailable")
        assert.match(error.message, /'flock' was not found .*util-linux/)
      }))
      yield* lock.acquire("now it is there")
    }))

  live("works on a file system that has become read-only", ["flock", "mount"], () =>
    Effect.gen(function*() {
      const mounted = yield* tempDir
      yield* Effect.acquireRelease(
        Effect.sync(() => execute("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", mounted)),
        () => Effect.sync(() => execute("umount", mounted))
      )
      const stateDir = Path.join(mounted, "state")
      const lock = yield* lockOf(stateDir)
      yield* Effect.scoped(lock.acquire("first"))
      execute("mount", "-o", "remount,ro", mounted)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* lock.acquire("recover")
        assert.strictEqual((yield* Effect.flip(Effect.scoped(lock.acquire("x"))))._tag, "LockHeld")
      }))
    }))
})
