/**
 * Wrong programs that these kills must catch, each within a few.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { live } from "../support/live.ts"
import * as Gate from "./gate.ts"
import * as Kills from "./kills.ts"
import * as Lanes from "./lanes.ts"
import * as Mutants from "./mutants.ts"

const atMost = 8

/** What is killed is killed with the dead-man alive, and around what the mutant does wrong. */
const around = (text: RegExp) => (point: Gate.Point) => text.test(point.key) && point.cut !== "during"

const after = (text: RegExp) => (point: Gate.Point) => around(text)(point) && point.cut !== "before"

const cases = [
  { name: "marker after stop", where: around(/stop/), sees: /is down/ },
  { name: "clear before start", where: around(/start/), sees: /is down/ },
  { name: "a recover that starts all that is down", where: around(/stop/), sees: /shop-old-1 was started/ },
  { name: "a dead-man that does nothing", where: after(/stop|quiesced/), sees: /is down/ }
] as const

describe("a wrong program is caught by a few kills", () => {
  for (const { name, sees, where } of cases) {
    live(name, ["flock"], () =>
      Effect.gen(function*() {
        const [world] = yield* Lanes.worlds("docker", 1, yield* Mutants.binary(name))
        if (world === undefined) return assert.fail()
        const { seen, wrong } = yield* Kills.record(world)
        assert.deepStrictEqual(wrong, [], "a clean run shows nothing of it")
        const kills = Gate.pointsOf(seen).filter(where).slice(0, atMost)
        for (const [index, point] of kills.entries()) {
          const { violations } = yield* Kills.survive(world, { where: point, way: "alone" }, { next: false })
          if (violations.length === 0) continue
          console.log(`${name}: caught by kill ${index + 1}, ${Gate.nameOf(point)}: ${violations.join("; ")}`)
          assert.match(violations.join(), sees)
          return
        }
        return assert.fail(`${kills.length} kills did not see that it is wrong`)
      }), 300_000)
  }
})
