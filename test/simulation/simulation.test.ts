import { assert, describe, it } from "@effect/vitest"
import corpus from "./corpus.json" with { type: "json" }
import { playPlan, run } from "./campaign.ts"
import { read } from "./faults.ts"
import { shapes } from "./shapes.ts"

const campaign = { worker: 0, workers: 1, pairs: "core", seed: 1, limit: 600_000, enough: 1 } as const

describe("in the simulated world every promise is kept", () => {
  it.each([...shapes.keys()])("world %i without a fault", (shape) => {
    const { outcome, reached, violations } = playPlan({ shape, faults: [], seed: "0", withLast: true })
    assert.deepStrictEqual(violations, [])
    assert.strictEqual(outcome, "ok")
    assert.isAbove(reached.length, 30)
  })

  it.each(corpus)("once broken: $was", ({ faults, shape }) => {
    const { violations } = playPlan({ shape, faults: read(faults), seed: "0", withLast: true })
    assert.deepStrictEqual(violations, [])
  })

  it("with three to eight faults, 200 times", () => {
    const { random, wrong } = run({ ...campaign, parts: ["random"], random: 200 })
    assert.deepStrictEqual(wrong, [])
    assert.strictEqual(random, 200)
  }, 600_000)
})

it("the same seed is the same history", () => {
  const plan = { shape: 3, faults: read("12:slow,30:kill-after"), seed: "7", withLast: true }
  assert.deepStrictEqual(playPlan(plan, true), playPlan(plan, true))
})
