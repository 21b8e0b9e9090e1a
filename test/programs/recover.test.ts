import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit } from "effect"
import { RunLock } from "../../src/services/RunLock.ts"
import { snapshotAgent } from "../support/agents.ts"
import { playRecovery, recoveries } from "../support/recoveries.ts"
import { lines, makeWorld, real } from "../support/world.ts"

describe("recover", () => {
  for (const recovery of recoveries) {
    it.live(recovery.name, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* playRecovery(yield* Effect.promise(() => real), recovery), [])
      }))
  }

  it.live("a second recover finds nothing to do", () =>
    Effect.gen(function*() {
      const recovery = recoveries.find(({ name }) => name === "held: it is started")
      assert(recovery !== undefined)
      const world = yield* makeWorld(yield* Effect.promise(() => real), {
        stacks: recovery.stacks,
        agent: snapshotAgent,
        markers: { initially: recovery.markers }
      })
      yield* world.recover
      const second = yield* world.recover
      assert(second !== undefined && Exit.isSuccess(second))
      assert.deepStrictEqual(second.value, { recovered: [], failed: [], markers: 0, liveRun: false, warnings: [] })
      assert.strictEqual(lines(yield* world.history).filter((line) => line.startsWith("start ")).length, 1)
    }).pipe(Effect.scoped))

  it.live("beside a live run it does nothing", () =>
    Effect.gen(function*() {
      const recovery = recoveries.find(({ name }) => name === "held: it is started")
      assert(recovery !== undefined)
      const world = yield* makeWorld(yield* Effect.promise(() => real), {
        stacks: recovery.stacks,
        agent: snapshotAgent,
        markers: { initially: recovery.markers }
      })
      yield* Context.get(world.context, RunLock).acquire("run x")
      const exit = yield* world.recover
      assert(exit !== undefined && Exit.isSuccess(exit))
      assert.isTrue(exit.value.liveRun)
      assert.deepStrictEqual(lines(yield* world.history), [])
    }).pipe(Effect.scoped))

  it.live("after a resume that failed, only what is still down is started", () =>
    Effect.gen(function*() {
      const fails = { result: "fail" } as const
      // the first 60 starts of 'bad' fail: its run gives up; the user then stops 'good', which the run had resumed
      const world = yield* makeWorld(yield* Effect.promise(() => real), {
        stacks: [{ stack: "bad", start: [...Array.from({ length: 60 }, () => fails), {}] }, { stack: "good" }],
        agent: snapshotAgent,
        policy: { resumeTimeout: Duration.minutes(1) }
      })
      const history = yield* world.run
      assert.strictEqual(history.report?.outcome, "resume-failed")
      assert.strictEqual(history.report?.exitCode, 4)
      assert.deepStrictEqual(history.down, ["bad/bad"])
      yield* world.world.meddle("stopped", "good")
      for (let n = 0; n < 10 && (yield* world.world.state("bad")) !== "running"; n++) yield* world.recover
      const after = yield* world.history
      assert.deepStrictEqual(after.down, ["good/good"])
      assert.deepStrictEqual(after.markers, [])
    }).pipe(Effect.scoped))
})
