import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Tail from "../../../src/internal/vzdump/tail.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { live } from "../../support/live.ts"

describe("the lines of a file that grows", () => {
  it("are the same however the file is cut into pieces", () => {
    const line = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll(/[\r\n]/g, " "))
    fc.assert(
      fc.property(fc.array(line), line, fc.array(fc.nat({ max: 200 })), (lines, last, cuts) => {
        const bytes = Buffer.from([...lines, last].join("\n"))
        const split = Tail.splitter()
        const ends = [...cuts.filter((cut) => cut <= bytes.length).sort((a, b) => a - b), bytes.length]
        const found = ends.flatMap((end, index) => split.push(bytes.subarray(ends[index - 1] ?? 0, end)))
        assert.deepStrictEqual([...found], lines.map((one) => Buffer.from(one).toString("utf8")))
        assert.deepStrictEqual(split.rest(), last === "" ? [] : [Buffer.from(last).toString("utf8")])
      }),
      { numRuns: 500 }
    )
  })

  it("are not kept when they never end", () => {
    const split = Tail.splitter()
    for (let n = 0; n < 1_000; n++) assert.deepStrictEqual(split.push(Buffer.alloc(10_000, "x")), [])
    const [long, next] = split.push(Buffer.from("y\nnext\n"))
    assert.isAtMost(long?.length ?? 0, 64 * 1024)
    assert.strictEqual(next, "next")
  })

  live("come when they are whole, also of a file that is not there yet", [], () =>
    Effect.gen(function*() {
      const file = Path.join(yield* tempDir, "log")
      const tail = yield* Tail.make(file)
      assert.deepStrictEqual(yield* tail.lines, [])
      Fs.writeFileSync(file, "one\ntw")
      assert.deepStrictEqual(yield* tail.lines, ["one"])
      Fs.appendFileSync(file, "o\r\nth")
      assert.deepStrictEqual(yield* tail.lines, ["two"])
      assert.deepStrictEqual(yield* tail.lines, [])
      assert.deepStrictEqual(yield* tail.rest, ["th"])
    }))

  live("a change is seen at once, and one between two waits is not lost", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const change = yield* Tail.watch(directory)
      const [idle] = yield* Effect.timed(change(100))
      assert.isAtLeast(Duration.toMillis(idle), 95)
      Fs.writeFileSync(Path.join(directory, "log"), "x")
      yield* Effect.sleep("50 millis")
      const [seen] = yield* Effect.timed(change(2_000))
      assert.isBelow(Duration.toMillis(seen), 100)
      const nowhere = yield* Tail.watch(Path.join(directory, "none"))
      const [waited] = yield* Effect.timed(nowhere(50))
      assert.isAtLeast(Duration.toMillis(waited), 45)
    }))
})
