import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck } from "effect"
import type { EffectiveMode } from "../../src/domain/Backup.ts"
import type { AgentScript, Fault } from "../../src/layers/AgentClientMemory.ts"
import type { Behaviour, MemoryStack } from "../../src/layers/StackControlMemory.ts"
import { play, real, type Scenario, violations } from "../support/world.ts"

const pick = FastCheck.constantFrom
const seconds = (max: number) => FastCheck.integer({ min: 0, max: max * 1_000 })

const behaviour: FastCheck.Arbitrary<Behaviour> = FastCheck.record({
  takes: seconds(8),
  result: pick<NonNullable<Behaviour["result"]>>("succeed", "succeed", "succeed", "fail", "hang", "die"),
  effective: FastCheck.boolean(),
  clean: FastCheck.boolean(),
  frozen: FastCheck.boolean(),
  healthyAfter: seconds(8)
}, { requiredKeys: [] })

/** A stop may do anything; what it does late lands within its own timeout, as the memory of a hold is that long. */
const stop = FastCheck.tuple(behaviour, seconds(20)).map(([how, lands]): Behaviour => ({ ...how, lands }))

/** A start may misbehave a few times and then works, or never works. */
const starts = FastCheck.tuple(
  FastCheck.array(behaviour, { maxLength: 3 }),
  pick<Behaviour>({}, {}, {}, { takes: 500 }, { result: "fail" })
).map(([first, last]) => [...first.map((how) => ({ ...how, takes: how.takes ?? 0 })), last])

const interference: FastCheck.Arbitrary<MemoryStack["interference"]> = FastCheck.option(
  FastCheck.array(
    FastCheck.record({
      takes: seconds(20),
      result: pick<Behaviour["result"]>("succeed", "succeed", "succeed", "fail", "hang", "die"),
      found: pick([], [], [], [{ reason: "shared-data", detail: "somebody writes" } as const])
    }),
    { minLength: 1, maxLength: 2 }
  ),
  { nil: undefined }
)

const stack = (name: string): FastCheck.Arbitrary<MemoryStack> =>
  FastCheck.record({
    stack: FastCheck.constant(name),
    units: pick([name], ["front", "db"], ["front", "left", "right", "db"]),
    after: pick<MemoryStack["after"]>(undefined, {}, {
      front: [{ unit: "left", until: "up" }, { unit: "right", until: "started" }, { unit: "db", until: "started" }],
      left: [{ unit: "db", until: "up" }],
      db: [{ unit: "right", until: "started" }]
    }),
    initially: pick("running", "running", "running", "stopped"),
    frozen: FastCheck.boolean(),
    interference,
    stop: FastCheck.array(stop, { minLength: 1, maxLength: 1 }),
    start: starts,
    opaque: FastCheck.boolean()
  })

const phase = pick("queued", "ready", "running", "snapshotted", "done", "failed", "pruning", "")
const mode = pick<EffectiveMode | undefined>("snapshot", "copy", "stop", undefined)

const agent: FastCheck.Arbitrary<AgentScript> = FastCheck.record({
  phases: FastCheck.array(FastCheck.record({ at: seconds(60), phase, mode }), { maxLength: 6 }).map((steps) =>
    steps.sort((a, b) => a.at - b.at)
  ),
  waits: pick<AgentScript["waits"]>(undefined, "5 seconds")
}).chain((script) =>
  FastCheck.tuple(
    pick<Parameters<NonNullable<AgentScript["fault"]>>[0]>("request", "quiesced", "status", "cancel", "prepare"),
    pick<Fault | undefined>(undefined, undefined, "unavailable", "invalid", "hang", "stranger", "unknown", "die"),
    FastCheck.integer({ min: 0, max: 20 }),
    FastCheck.boolean()
  ).map(([operation, fault, from, ever]): AgentScript =>
    fault === undefined ? script : {
      ...script,
      fault: (called, n) => called === operation && (ever ? n >= from : n === from) ? fault : undefined
    }
  )
)

const scenario: FastCheck.Arbitrary<Scenario> = FastCheck.record({
  stacks: FastCheck.tuple(stack("one"), stack("two")),
  agent,
  markers: pick(
    {},
    {},
    { fails: (operation: string) => operation === "write" },
    { fails: (operation: string, n: number) => operation === "clear" && n < 2 },
    { fails: (operation: string, n: number) => operation === "note" && n === 3 }
  ),
  policy: FastCheck.constant({
    maxDowntime: "40 seconds",
    maxDowntimeWithoutSnapshot: "50 seconds",
    deadline: Duration.minutes(20)
  }),
  interruptAt: FastCheck.array(seconds(40), { maxLength: 3 }),
  interruptAtOperation: FastCheck.array(FastCheck.integer({ min: 1, max: 3_000 }), { maxLength: 2 }),
  reversed: FastCheck.boolean()
})

/** The promises that hold whatever the agent says and whoever interrupts: the app is up, or exit 4 and a marker. */
const promises = (scenario: Scenario) =>
  Effect.gen(function*() {
    const history = yield* play(yield* Effect.promise(() => real), scenario)
    const wrong = violations(scenario, history)
    const story = history.journal.map(({ at, what }) => `${at} ${what}`).join("\n")
    assert.deepStrictEqual(wrong, [], `${story}\n${JSON.stringify(history.report)}`)
  })

describe("whatever the phases, faults and interruptions", () => {
  it.live(
    "every stop has exactly one resume, and the app is up at the end",
    () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(scenario, (one) => Effect.runPromise(promises(one))),
          { numRuns: Number(process.env["RUNS"] ?? 400), ...seedOf(process.env["SEED"]) }
        )
      ),
    300_000
  )
})

function seedOf(seed: string | undefined) {
  return seed === undefined ? {} : { seed: Number(seed) }
}
