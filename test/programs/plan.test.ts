import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { stackDefaults } from "../../src/domain/Policy.ts"
import { type DataPlace, StackName, UnitId } from "../../src/domain/Stack.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import { plan } from "../../src/programs/plan.ts"
import { StackControl } from "../../src/services/StackControl.ts"

const stack = StackName.make("app")

const memory = StackControlMemory.layer([{
  stack: "app",
  units: ["web", "job", "db"],
  after: { web: [{ unit: "job", until: "started" }], job: [{ unit: "db", until: "up" }] },
  unitsInitially: { job: "stopped" }
}]).pipe(Layer.provide(Journal.layer))

describe("plan", () => {
  it.effect("holds what is up, in the order that goes through what is down", () =>
    Effect.gen(function*() {
      const { stacks } = yield* plan([{ stack, ...stackDefaults }])
      const [planned] = stacks
      assert.deepStrictEqual(planned?.held.map(({ after, id }) => [id as string, after]), [
        ["web", [{ unit: UnitId.make("db"), until: "up" }]],
        ["db", []]
      ])
      assert.deepStrictEqual(planned?.idle.map(({ id }) => id as string), ["job"])
      assert.deepStrictEqual([planned?.notes, planned?.data], [[], []])
    }).pipe(Effect.provide(memory)))

  it.effect("passes on what its control knows of the stack", () =>
    Effect.gen(function*() {
      const notes = ["'db' has no restart policy"]
      const data: ReadonlyArray<DataPlace> = [
        { unit: UnitId.make("db"), kind: "volume", path: "/v/pg", target: "/pg", writable: true, covered: undefined }
      ]
      const control = yield* StackControl
      const { stacks } = yield* plan([{ stack, ...stackDefaults }]).pipe(
        Effect.provideService(StackControl, {
          ...control,
          inspect: (name) => Effect.map(control.inspect(name), (seen) => ({ ...seen, notes, data }))
        })
      )
      assert.deepStrictEqual([stacks[0]?.notes, stacks[0]?.data], [notes, data])
    }).pipe(Effect.provide(memory)))
})
