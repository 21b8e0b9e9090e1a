import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { judge, story } from "../support/judge.ts"
import { cases } from "../support/scenarios.ts"
import { play, real } from "../support/world.ts"

describe("every scenario keeps every promise", () => {
  for (const scenario of cases) {
    it.live(scenario.name, () =>
      Effect.gen(function*() {
        const history = yield* play(yield* Effect.promise(() => real), scenario)
        const wrong = judge(scenario, history)
        assert.deepStrictEqual(wrong, [], `${wrong.join("\n")}\n${story(history)}`)
      }))
  }
})
