import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { errnoOf, reasonOf, removeDurably, replaceDurably, writeDurably } from "../../src/internal/durable.ts"
import { tempDir } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const files = (...names: ReadonlyArray<string>) => names.map((name) => ({ name, content: `content of ${name}` }))

describe("durable", () => {
  live("writes all files and removes them; what is not there is a success", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      yield* writeDurably(directory, files("a b", "ü\n"))
      assert.sameMembers(Fs.readdirSync(directory), ["a b", "ü\n"])
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "ü\n"), "utf8"), "content of ü\n")
      yield* removeDurably(directory, ["a b", "never there", "ü\n"])
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  live("takes back the first file when the second fails", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      Fs.mkdirSync(Path.join(directory, "second"))
      Fs.writeFileSync(Path.join(directory, "second", "full"), "")
      const error = yield* Effect.flip(writeDurably(directory, files("first", "second")))
      assert.include(error.message, "second")
      assert.deepStrictEqual(Fs.readdirSync(directory), ["second"])
    }))

  live("replaces a file; the old one stays when the new one cannot be written", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const text = () => Fs.readFileSync(Path.join(directory, "a"), "utf8")
      yield* replaceDurably(directory, { name: "a", content: "old" })
      yield* replaceDurably(directory, { name: "a", content: "new" })
      assert.strictEqual(text(), "new")
      Fs.mkdirSync(Path.join(directory, "a.tmp"))
      yield* Effect.flip(replaceDurably(directory, { name: "a", content: "newer" }))
      assert.strictEqual(text(), "new")
      Fs.rmdirSync(Path.join(directory, "a.tmp"))
      assert.deepStrictEqual(Fs.readdirSync(directory), ["a"])
    }))

  live("removes a stale temporary file, and nothing else at its name", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      Fs.writeFileSync(Path.join(directory, "a.tmp"), "stale, and longer than the new content will be")
      yield* writeDurably(directory, files("a"))
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "a"), "utf8"), "content of a")
      Fs.mkdirSync(Path.join(directory, "b.tmp"))
      assert.match(
        (yield* Effect.flip(writeDurably(directory, files("b")))).message,
        /b\.tmp: it is not a regular file/
      )
      assert.sameMembers(Fs.readdirSync(directory), ["a", "b.tmp"])
    }))

  live("an interrupted write is a whole one, or none", [], () =>
    Effect.gen(function*() {
      for (let n = 0; n < 20; n++) {
        const directory = yield* tempDir
        const fiber = yield* Effect.fork(writeDurably(directory, files("a", "b", "c")))
        yield* Effect.forEach(Array.from({ length: n }), () => Effect.yieldNow())
        if (n > 10) yield* Effect.sleep(n - 10)
        const exit = yield* Fiber.interrupt(fiber)
        const left = Fs.readdirSync(directory)
        assert.include([0, 3], left.length)
        if (Exit.isSuccess(exit)) assert.strictEqual(left.length, 3)
        // nothing goes on without its fiber
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(Fs.readdirSync(directory), left)
      }
    }))

  live("names the directory that is missing, and the way out of known errors", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      assert.include((yield* Effect.flip(writeDurably(Path.join(directory, "gone"), files("a")))).message, "gone")
      assert.strictEqual(errnoOf("text"), "")
      assert.match(reasonOf(Object.assign(new Error("x"), { code: "EROFS" })), /read-only; remount/)
      assert.strictEqual(reasonOf("text"), "text")
    }))
})
