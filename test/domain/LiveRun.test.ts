import { assert, describe, it } from "@effect/vitest"
import { follow, type LiveRun } from "../../src/domain/LiveRun.ts"
import type { RunEvent } from "../../src/domain/Report.ts"
import { RunId } from "../../src/domain/RunId.ts"
import { StackName } from "../../src/domain/Stack.ts"

const runId = RunId.make("01936f00-0000-7000-8000-000000000001")
const app = StackName.make("app")
const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`
const stack = (second: number, state: Extract<RunEvent, { type: "stack" }>["state"]): RunEvent => ({
  type: "stack",
  runId,
  at: at(second),
  stack: app,
  state
})
const fold = (...events: ReadonlyArray<RunEvent>) => events.reduce<LiveRun | undefined>(follow, undefined)

describe("LiveRun", () => {
  it("is down from its first stop until it runs again", () => {
    assert.deepStrictEqual(fold(stack(1, "preparing"))?.stacks, [{ stack: app, state: "preparing", downSince: null }])
    assert.strictEqual(
      fold(stack(1, "stopping"), stack(2, "stopping"), stack(3, "stopped"))?.stacks[0]?.downSince,
      at(1)
    )
    assert.strictEqual(fold(stack(1, "stopping"), stack(2, "failed"))?.stacks[0]?.downSince, at(1))
    assert.isNull(fold(stack(1, "stopping"), stack(2, "running"))?.stacks[0]?.downSince)
  })

  it("keeps the phase and the progress, and ends with the report", () => {
    const live = fold(
      { type: "phase", runId, at: at(1), phase: "running" },
      { type: "progress", runId, at: at(2), bytes: 5, totalBytes: 10 },
      { type: "warning", runId, at: at(3), message: "careful" }
    )
    assert.deepStrictEqual(live, {
      runId,
      at: at(3),
      phase: "running",
      stacks: [],
      progress: { bytes: 5, totalBytes: 10 }
    })
    assert.isUndefined(follow(live, { type: "report" } as RunEvent))
  })
})
