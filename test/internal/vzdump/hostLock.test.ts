import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref, TestClock } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../../src/domain/RunId.ts"
import * as HostLock from "../../../src/internal/vzdump/hostLock.ts"
import * as EngineVzdump from "../../../src/layers/EngineVzdump.ts"
import { EngineFailed, type EngineJob } from "../../../src/services/Engine.ts"
import { labHost } from "../../lab/vzdump/host.ts"
import { eventually, start, tempDir, withEnv } from "../../layers/fixtures/support.ts"
import { live } from "../../support/live.ts"

describe("the lock of the host", () => {
  live("is looked at and never kept; a file that is not there is not made", ["flock"], () =>
    Effect.gen(function*() {
      const file = Path.join(yield* tempDir, "vzdump.lock")
      assert.isTrue(yield* HostLock.isFree(file))
      assert.isFalse(Fs.existsSync(file))
      Fs.writeFileSync(file, "")
      assert.isTrue(yield* HostLock.isFree(file))
      const holder = yield* start(["flock", "-n", "-x", "-F", file, "sh", "-c", "echo held; exec sleep 60"])
      yield* eventually("it is held", () => holder.output().includes("held"))
      assert.isFalse(yield* HostLock.isFree(file))
      yield* holder.kill("SIGKILL")
      yield* holder.ended
      assert.isTrue(yield* HostLock.isFree(file))
      yield* start(["flock", "-s", "-F", file, "sleep", "60"])
      yield* Effect.repeat(HostLock.isFree(file), { until: (isFree) => !isFree })
    }))

  live("while it is held, the look does not take it", ["flock"], () =>
    Effect.gen(function*() {
      const file = Path.join(yield* tempDir, "vzdump.lock")
      const holder = yield* start(["flock", "-x", "-F", file, "sh", "-c", "echo held; exec sleep 60"])
      yield* eventually("it is held", () => holder.output().includes("held"))
      // who does not try it does not miss the program
      yield* withEnv("PATH", "/nowhere")
      assert.isFalse(yield* HostLock.isFree(file))
    }))

  it.scoped("is waited for in virtual time", () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.guest("lxc", 100, "lock: migrate\n")
      const engine = yield* EngineVzdump.make({
        vmid: 100,
        storage: "backup",
        stateDir: host.stateDir,
        host: host.paths
      })
      const isReady = yield* Ref.make(false)
      const job: EngineJob = {
        runId: yield* RunId.make,
        report: () => Effect.void,
        ready: () => Effect.zipRight(Ref.set(isReady, true), new EngineFailed({ reason: "that was it" })),
        remember: () => Effect.void,
        cancelled: Effect.succeed(false)
      }
      const real = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      const fiber = yield* Effect.fork(engine.run(job))
      for (let second = 0; second < 100; second++) yield* Effect.zipRight(real, TestClock.adjust("1 second"))
      assert.isFalse(yield* Ref.get(isReady))
      host.guest("lxc", 100, "")
      yield* Effect.repeat(Effect.zipRight(real, TestClock.adjust("1 second")), {
        until: () => fiber.unsafePoll() !== null
      })
      assert.isTrue(yield* Ref.get(isReady))
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber))).message, "that was it")
    }))
})
