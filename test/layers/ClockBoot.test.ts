import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as ClockBoot from "../../src/layers/ClockBoot.ts"

const second = 1_000_000_000n

/** A machine whose clocks a test moves. */
const machine = () => {
  const now = { awake: 5n * second, asleep: 0n, readable: true }
  const clock = ClockBoot.make({
    monotonic: () => now.awake,
    uptime: () => now.readable ? Number(now.awake + now.asleep) / 1e9 + 40 : undefined
  })
  return { now, clock, nanos: () => clock.unsafeCurrentTimeNanos() }
}

describe("the clock of a machine that may sleep", () => {
  it("counts a sleep once", () => {
    const { nanos, now } = machine()
    assert.strictEqual(nanos(), 5n * second)
    now.awake += second
    assert.strictEqual(nanos(), 6n * second)
    now.asleep += 3_600n * second
    now.awake += second
    assert.strictEqual(nanos(), 3_607n * second)
    now.awake += second
    assert.strictEqual(nanos(), 3_608n * second)
  })

  it("takes no noise for a sleep, and never goes back", () => {
    const { nanos, now } = machine()
    let before = nanos()
    for (const noise of [0n, 400_000_000n, -400_000_000n, 900_000_000n, -900_000_000n, 0n]) {
      now.awake += second
      now.asleep = noise
      const after = nanos()
      assert.strictEqual(after - before, second)
      before = after
    }
    now.asleep = 10n * second
    now.awake += second
    before = nanos()
    now.asleep = 0n
    now.awake += second
    assert.isAtLeast(Number(nanos() - before), 0)
  })

  it("does without where it cannot be read", () => {
    const { nanos, now } = machine()
    now.readable = false
    now.awake += 2n * second
    assert.strictEqual(nanos(), 7n * second)
  })

  it.live("is that of Node on a machine that is awake", () =>
    Effect.gen(function*() {
      const before = process.hrtime.bigint()
      const told = yield* Clock.currentTimeNanos
      const after = process.hrtime.bigint()
      assert.isTrue(before <= told && told <= after, `${before} ${told} ${after}`)
      const wall = yield* Clock.currentTimeMillis
      assert.approximately(wall, Date.now(), 10_000)
      assert.strictEqual(
        yield* Effect.timeoutTo(Effect.never, { duration: 5, onSuccess: () => "", onTimeout: () => "woken" }),
        "woken"
      )
      const slept = yield* Clock.currentTimeNanos
      yield* Effect.sleep("20 millis")
      assert.isAtLeast(Number((yield* Clock.currentTimeNanos) - slept), 15e6)
    }).pipe(Effect.provide(ClockBoot.layer)))
})
