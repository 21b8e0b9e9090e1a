import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck } from "effect"
import { RunId } from "../../src/domain/RunId.ts"
import type { Behaviour, MemoryStack } from "../../src/layers/StackControlMemory.ts"
import { snapshotAgent } from "../support/agents.ts"
import { story } from "../support/judge.ts"
import { isOurs, outOfOrder, unitNames } from "../support/orderOracle.ts"
import { makeWorld, play, real, type Scenario, violations } from "../support/world.ts"

const pick = FastCheck.constantFrom
const upTo = (seconds: number) => FastCheck.integer({ min: 0, max: seconds }).map((n) => n * 1_000)

/** A stop that ends: it may fail, or leave the unit up. */
const stop: FastCheck.Arbitrary<Behaviour> = FastCheck.record({
  takes: upTo(4),
  result: pick<Behaviour["result"]>(...Array.from({ length: 15 }, () => "succeed" as const), "fail", "die")
})

/** A start that fails some times, or is healthy late, and then works. */
const start: FastCheck.Arbitrary<ReadonlyArray<Behaviour>> = FastCheck.tuple(
  FastCheck.array(
    FastCheck.record({
      takes: upTo(4),
      result: pick<Behaviour["result"]>("succeed", "succeed", "succeed", "fail", "hang", "die"),
      healthyAfter: upTo(12)
    }),
    { maxLength: 2 }
  ),
  upTo(3)
).map(([first, takes]) => [...first, { takes }])

interface Shape {
  readonly units: ReadonlyArray<string>
  readonly after: NonNullable<MemoryStack["after"]>
}

/** A graph without circles, whose units are listed in any order. */
const shape: FastCheck.Arbitrary<Shape> = FastCheck.integer({ min: 1, max: 11 }).chain((size) => {
  const names = Array.from({ length: size }, (_, index) => `u${index}`)
  const density = pick(1, 3, 6)
  const edge = FastCheck.record({
    dice: FastCheck.integer({ min: 0, max: 9 }),
    until: pick<"started" | "up">("started", "up")
  })
  return FastCheck.record({
    density,
    edges: FastCheck.array(edge, { minLength: size * size, maxLength: size * size }),
    units: FastCheck.shuffledSubarray(names, { minLength: size, maxLength: size })
  }).map(({ density, edges, units }): Shape => ({
    units,
    after: Object.fromEntries(names.map((name, from) => [
      name,
      names.slice(from + 1).flatMap((unit, index) => {
        const { dice = 9, until = "up" } = edges[from * size + index] ?? {}
        return dice < density ? [{ unit, until }] : []
      })
    ]))
  }))
})

const stack = (name: string): FastCheck.Arbitrary<MemoryStack> =>
  shape.chain(({ after, units }) =>
    FastCheck.record({
      behaviours: FastCheck.array(FastCheck.record({ start, stop }), {
        minLength: units.length,
        maxLength: units.length
      }),
      down: FastCheck.subarray([...units], { maxLength: Math.floor(units.length / 3) }),
      startTimeoutMs: pick(5_000, 60_000)
    }).map(({ behaviours, down, startTimeoutMs }): MemoryStack => ({
      stack: name,
      units,
      after,
      startTimeoutMs,
      unitsInitially: Object.fromEntries(down.map((unit) => [unit, "stopped" as const])),
      perUnit: Object.fromEntries(units.map((unit, index) => {
        const { start, stop } = behaviours[index] ?? {}
        return [unit, { start, stop: stop === undefined ? undefined : [stop] }]
      }))
    }))
  )

const scenario: FastCheck.Arbitrary<Scenario> = FastCheck.record({
  stacks: FastCheck.oneof(FastCheck.tuple(stack("one")), FastCheck.tuple(stack("one"), stack("two"))),
  agent: FastCheck.constant(snapshotAgent),
  policy: pick("2 minutes" as const, "10 seconds" as const).map((maxDowntime) => ({
    maxDowntime,
    // long enough for every start that works in the end
    resumeTimeout: Duration.minutes(30)
  })),
  interruptAt: FastCheck.array(upTo(20), { maxLength: 1 }),
  reversed: FastCheck.boolean()
})

const check = (property: FastCheck.IAsyncProperty<[Scenario]>) =>
  Effect.promise(() => {
    const seed = process.env["SEED"]
    return FastCheck.assert(property, {
      numRuns: Number(process.env["RUNS"] ?? 300),
      ...(seed === undefined ? {} : { seed: Number(seed) })
    })
  })

/** A run of the scenario, and what must be true of a run whose units stop and start as they are told to. */
const runPromises = (scenario: Scenario) =>
  Effect.gen(function*() {
    const history = yield* play(yield* Effect.promise(() => real), scenario)
    assert.deepStrictEqual(violations(scenario, history), [], story(history))
    const { report } = history
    for (const stack of scenario.stacks) {
      const units = unitNames(stack).filter((unit) => isOurs(stack, unit))
      const stopped = units.filter((unit) => history.trace.some(({ what }) => what === `stop ${stack.stack}/${unit}`))
      // nobody is forgotten: all are stopped before the agent is told, or none of what is missing could be
      const told = history.journal.some(({ what }) => what === "agent quiesced")
      if (told) assert.deepStrictEqual(stopped, units, story(history))
    }
    assert.notStrictEqual(report?.outcome, "resume-failed", story(history))
  })

const runId = RunId.make("01936f00-0000-7000-8000-000000000001")

/** The same stacks, down, with the marker of a dead run that had stopped all of them. */
const recoverPromises = (scenario: Scenario) =>
  Effect.gen(function*() {
    const modules = yield* Effect.promise(() => real)
    const run = yield* makeWorld(modules, scenario)
    const planned = yield* Effect.forEach(scenario.stacks, ({ stack }) => run.units(stack))
    const stacks = scenario.stacks.map((stack): MemoryStack => ({ ...stack, initially: "stopped" }))
    const world = yield* makeWorld(modules, {
      ...scenario,
      stacks,
      markers: {
        initially: [{
          _tag: "Readable",
          name: "dead",
          marker: { runId, createdAt: "2026-01-01T00:00:00.000Z", stacks: planned },
          notes: []
        }]
      }
    })
    const exit = yield* world.recover
    const history = yield* world.history
    assert.isDefined(exit, story(history))
    assert.deepStrictEqual(outOfOrder(stacks, history.trace, { takesPart: () => true }), [], story(history))
    assert.deepStrictEqual(history.down, [], story(history))
    assert.deepStrictEqual(history.markers, [], story(history))
  }).pipe(Effect.scoped)

describe("whatever depends on what", () => {
  it.live(
    "no unit is stopped while a dependent is up, or started before its dependencies had their turn, or is left down",
    () => check(FastCheck.asyncProperty(scenario, (one) => Effect.runPromise(runPromises(one)))),
    300_000
  )

  it.live(
    "recover starts dependencies first, and everything",
    () => check(FastCheck.asyncProperty(scenario, (one) => Effect.runPromise(recoverPromises(one)))),
    300_000
  )
})
