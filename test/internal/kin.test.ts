import { assert, describe } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Kin from "../../src/internal/kin.ts"
import { spawn } from "../../src/internal/process.ts"
import { alive, start } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const kin = (owner: string): Kin.Kin => ({ role: "stop", owner: `${owner}#${process.pid}` })

describe("kin", () => {
  live("finds a process and its children by the mark, and nothing else", [], () =>
    Effect.gen(function*() {
      const mine = kin("/odd dir/with\nnewline ü=;")
      assert.deepStrictEqual(yield* Kin.find(mine), [])
      const child = yield* spawn({ argv: ["sh", "-c", "sleep 60 & wait"], env: Kin.environment(mine) })
      yield* spawn({ argv: ["sleep", "60"], env: Kin.environment({ ...mine, role: "transfer" }) })
      yield* spawn({ argv: ["sleep", "60"], env: Kin.environment(kin("/odd dir")) })
      yield* Effect.sleep("100 millis")
      const found = yield* Kin.find(mine)
      assert.include(found, child.pid)
      assert.strictEqual(found.length, 2)
    }))

  live("finds a process whose parent is gone", [], () =>
    Effect.gen(function*() {
      const mine = kin("orphan")
      const parent = yield* start(["sh", "-c", "setsid sleep 60 & wait"], {
        env: { ...process.env, ...Kin.environment(mine) }
      })
      yield* Effect.sleep("200 millis")
      yield* parent.kill("SIGKILL")
      yield* parent.ended
      const found = yield* Kin.find(mine)
      assert.strictEqual(found.length, 1)
      assert.strictEqual(yield* Kin.end(mine, "1 second"), 1)
      assert.deepStrictEqual(yield* Kin.find(mine), [])
    }))

  live("ends what ignores SIGTERM, and says how many there were", [], () =>
    Effect.gen(function*() {
      const mine = kin("stubborn")
      const child = yield* spawn({
        argv: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"],
        env: Kin.environment(mine)
      })
      yield* Effect.sleep("200 millis")
      const [took, count] = yield* Effect.timed(Kin.end(mine, "300 millis"))
      assert.isAtLeast(count, 1)
      assert.isFalse(alive(child.pid))
      assert.isBelow(Duration.toMillis(took), 3000)
      assert.strictEqual(yield* Kin.end(mine, "1 second"), 0)
    }))

  live("a mark is taken out of an environment", [], () =>
    Effect.sync(() => {
      const marked = { PATH: "/bin", ...Kin.environment(kin("x")) }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(Kin.unmarked(marked))), { PATH: "/bin" })
    }))
})
