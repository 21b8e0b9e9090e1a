import { assert, it } from "@effect/vitest"
import { distance, hint, nearest } from "../../src/internal/suggest.ts"

it("counts typing errors", () => {
  assert.strictEqual(distance("stop", "stop"), 0)
  assert.strictEqual(distance("stpo", "stop"), 1)
  assert.strictEqual(distance("", "abc"), 3)
  assert.strictEqual(distance("kitten", "sitting"), 3)
})

it("suggests what a typing error explains, and nothing else", () => {
  const known = ["stop", "start", "status", "prepare", "maxDowntime"]
  assert.strictEqual(nearest("stpo", known), "stop")
  assert.strictEqual(nearest("max_downtime", known), "maxDowntime")
  assert.strictEqual(nearest("MAXDOWNTIME", known), "maxDowntime")
  assert.strictEqual(nearest("zzzz", known), undefined)
  assert.strictEqual(nearest("x", known), undefined)
  assert.strictEqual(nearest("stop", []), undefined)
  assert.strictEqual(nearest("s".repeat(100_000), known), undefined)
  assert.strictEqual(hint("sart", known), "; did you mean 'start'?")
  assert.strictEqual(hint("zzzz", known), "")
})
