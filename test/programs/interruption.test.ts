import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { diamond } from "../support/graphCases.ts"
import { cases } from "../support/scenarios.ts"
import { type Modules, play, real, type Scenario, violations } from "../support/world.ts"

/** Interrupts the run at its kth operation, for every k of `step`, until it has fewer operations than k. */
const sweep = (modules: Modules, scenario: Scenario, step: number, second?: number) =>
  Effect.gen(function*() {
    const wrong: Array<string> = []
    let points = 0
    for (let k = 1;; k += step) {
      const at = second === undefined ? [k] : [k, k + second]
      const interrupted = { ...scenario, interruptAtOperation: at }
      const history = yield* play(modules, interrupted)
      points++
      wrong.push(...violations(interrupted, history).map((what) => `interrupted at operation ${at}: ${what}`))
      if (history.operations < k || wrong.length > 5) return { points, wrong }
    }
  })

const slow: Scenario = {
  stacks: [{ ...diamond, interference: [{}] }],
  agent: {
    phases: [
      { at: 0, phase: "running", mode: "snapshot" },
      { at: "1 second", phase: "snapshotted" },
      { at: "5 seconds", phase: "done" }
    ]
  },
  policy: { pollInterval: Duration.seconds(1) }
}

describe("an interruption at any operation of the run leaves nothing down", () => {
  it.live("once", () =>
    Effect.gen(function*() {
      const { points, wrong } = yield* sweep(yield* Effect.promise(() => real), slow, 1)
      assert.deepStrictEqual(wrong, [])
      assert.isAbove(points, 300)
    }), 240_000)

  it.live("twice, 40 operations apart", () =>
    Effect.gen(function*() {
      const { wrong } = yield* sweep(yield* Effect.promise(() => real), slow, 3, 40)
      assert.deepStrictEqual(wrong, [])
    }), 120_000)

  for (
    const [name, step = 17] of [
      ["three units and two stacks"],
      ["failed before snapshotted"],
      ["a stop fails and lands later, unseen"],
      ["a start fails twice, then works"],
      ["one unit never starts, the others do", 29],
      ["eight stops and eight starts at a time", 97],
      ["a dependent that is not down: what it depends on is not touched, and the others come up"],
      ["at the snapshot nobody answers what interferes"]
    ] as const
  ) {
    it.live(name, () =>
      Effect.gen(function*() {
        const scenario = cases.find((one) => one.name === name)
        assert(scenario !== undefined)
        const { wrong } = yield* sweep(yield* Effect.promise(() => real), scenario, step)
        assert.deepStrictEqual(wrong, [])
      }), 120_000)
  }
})
