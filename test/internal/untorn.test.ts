import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Ref, TestClock } from "effect"
import { untorn } from "../../src/internal/untorn.ts"

describe("untorn", () => {
  it.effect("runs to its end, with the timeouts inside it at work, and the caller waits", () =>
    Effect.gen(function*() {
      const log = yield* Ref.make<ReadonlyArray<string>>([])
      const say = (word: string) => Ref.update(log, (all) => [...all, word])
      const fiber = yield* Effect.fork(untorn(Effect.gen(function*() {
        yield* Effect.timeoutOption(Effect.never, "5 seconds")
        yield* say("timed out")
        yield* Effect.timeoutOption(Effect.zipRight(Effect.sleep("1 second"), say("worked")), "5 seconds")
      })))
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      assert.isNull(yield* Fiber.poll(interrupting).pipe(Effect.map((o) => o._tag === "None" ? null : o)))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interrupting)))
      assert.deepStrictEqual(yield* Ref.get(log), ["timed out", "worked"])
    }))

  it.effect("passes on the result and the failure", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* untorn(Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(untorn(Effect.fail("no"))), "no")
    }))
})
