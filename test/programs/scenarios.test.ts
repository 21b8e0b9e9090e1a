import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cases } from "../support/scenarios.ts"
import { lines, play, real, violations } from "../support/world.ts"

describe("every scenario keeps every promise", () => {
  for (const scenario of cases) {
    it.live(scenario.name, () =>
      Effect.gen(function*() {
        const history = yield* play(yield* Effect.promise(() => real), scenario)
        const story = `\n${history.journal.map(({ at, what }) => `${at} ${what}`).join("\n")}\n${
          JSON.stringify(history.report, null, 1)
        }`
        assert.deepStrictEqual(violations(scenario, history), [], story)
        assert.strictEqual(history.report?.outcome, scenario.outcome, story)
        if (scenario.level !== undefined) assert.strictEqual(history.report?.consistency.level, scenario.level, story)
        if (scenario.reasons !== undefined) {
          assert.deepStrictEqual(history.report?.consistency.reasons, scenario.reasons, story)
        }
        for (const stack of scenario.untouched ?? []) {
          assert.isFalse(
            lines(history).some((line) => /^(stop|start) /.test(line) && line.includes(` ${stack}/`)),
            story
          )
        }
        for (const [stack, limit] of Object.entries(scenario.upBy ?? {})) {
          const start = history.journal.find(({ what }) => what.startsWith(`start ${stack}/`))
          assert.isAtMost(start?.at ?? Infinity, limit, story)
        }
        if (scenario.outcome === "refused" || scenario.outcome === "busy") {
          assert.isFalse(lines(history).some((line) => line.startsWith("stop ")), story)
        }
      }))
  }
})
