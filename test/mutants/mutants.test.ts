import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { judge } from "../support/judge.ts"
import { playRecovery, recoveries } from "../support/recoveries.ts"
import { snapshotAgent } from "../support/agents.ts"
import { cases } from "../support/scenarios.ts"
import { watchCases } from "../support/watchCases.ts"
import { playWatch, watchViolations } from "../support/watchWorld.ts"
import { load, type Modules, play, violations } from "../support/world.ts"
import { copy } from "./edits.ts"
import { type Mutant, mutants } from "./mutants.ts"

/** A copy of the source with the mutant's edits, loaded. */
const make = (mutant: Mutant): Promise<Modules> => load(copy(mutant, "mutants"))

const interrupted = [3, 40, 120, 200, 280, 330, 380, 430, 480, 530, 580, 640, 700, 800]

const firstCatchInWatch = Effect.fnUntraced(function*(modules: Modules) {
  for (const scenario of watchCases) {
    const [wrong] = watchViolations(scenario, yield* playWatch(modules, scenario))
    if (wrong !== undefined) return `${scenario.name}: ${wrong}`
  }
  return undefined
})

const isWatch = ({ edits }: Mutant) => edits.some(({ file }) => /watch|Timetable/.test(file))

/** The first broken promise that the suite sees, if any. */
const firstCatch = (modules: Modules) =>
  Effect.gen(function*() {
    for (const scenario of cases) {
      const [wrong] = judge(scenario, yield* play(modules, scenario))
      if (wrong !== undefined) return `${scenario.name}: ${wrong}`
    }
    for (const recovery of recoveries) {
      const [wrong] = yield* playRecovery(modules, recovery)
      if (wrong !== undefined) return `${recovery.name}: ${wrong}`
    }
    for (const interruptAtOperation of interrupted) {
      const scenario = {
        stacks: [{ stack: "app", stop: [{ takes: "1 second" }], start: [{ takes: "1 second" }] }],
        agent: snapshotAgent,
        interruptAtOperation: [interruptAtOperation]
      } as const
      const [wrong] = violations(scenario, yield* play(modules, scenario))
      if (wrong !== undefined) return `interrupted at operation ${interruptAtOperation}: ${wrong}`
    }
    return undefined
  })

describe("the suite catches every wrong program", () => {
  for (const mutant of mutants) {
    it.live(mutant.name, () =>
      Effect.gen(function*() {
        const modules = yield* Effect.promise(() => make(mutant))
        const caught = yield* isWatch(mutant) ? firstCatchInWatch(modules) : firstCatch(modules)
        assert.isDefined(caught, `not caught: ${mutant.breaks}`)
        yield* Effect.logDebug(`${mutant.name}: ${caught}`)
        if (process.env["MUTANTS"] === "show") {
          console.log(`${mutant.name}\n    breaks: ${mutant.breaks}\n    seen in: ${caught}`)
        }
      }), 120_000)
  }

  it.live("and lets the right one pass", () =>
    Effect.gen(function*() {
      const right = { name: "none", breaks: "nothing", edits: [] }
      const modules = yield* Effect.promise(() => make(right))
      assert.isUndefined(yield* firstCatch(modules))
      assert.isUndefined(yield* firstCatchInWatch(modules))
    }), 120_000)
})
