import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { oneLine, printable } from "../../src/internal/oneLine.ts"
import { explain, run } from "../../src/internal/process.ts"

describe("what others have said", () => {
  it("is one line, no longer than a person reads, and whole in its characters", () => {
    assert.strictEqual(oneLine(" a\n\u001b[2Jb\u0000\u2028c\ud800 "), "a [2Jb c")
    assert.strictEqual(oneLine("x".repeat(5_000)).length, 500)
    assert.isTrue(/^x{499}$/.test(oneLine(`${"x".repeat(499)}\ud83d\ude00`)))
  })

  it("gives no orders to a terminal", () => {
    assert.strictEqual(
      printable("a\tb\r\nc\u001b]0;t\u0007d\u009b2Je\u202ef"),
      "a\tb\nc\ufffd]0;t\ufffdd\ufffd2Je\ufffdf"
    )
    assert.strictEqual(printable("jörg \ud83d\ude00 日本"), "jörg \ud83d\ude00 日本")
  })

  it.live("also when it is the output of a command that has failed", () =>
    Effect.gen(function*() {
      const result = yield* run({
        argv: ["sh", "-c", "printf 'no\\033[2J\\033]0;title\\007\\n' >&2; exit 3"],
        timeout: "20 seconds"
      })
      assert.strictEqual(explain(result), "exit code 3: no\ufffd[2J\ufffd]0;title\ufffd")
    }))
})
