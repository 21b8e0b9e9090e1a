import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as StateDir from "../../src/internal/stateDir.ts"
import { tempDir } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const refusal = (path: string) => Effect.flip(StateDir.ensure(path))

describe("stateDir", () => {
  live("makes the directory, and those above it, for this user alone", [], () =>
    Effect.gen(function*() {
      const path = Path.join(yield* tempDir, "a b", "ü\nnewline", "state")
      assert.isFalse(yield* StateDir.check(path))
      assert.isFalse(Fs.existsSync(path))
      yield* StateDir.ensure(path)
      yield* StateDir.ensure(`${path}/`)
      assert.strictEqual(Fs.statSync(path).mode & 0o7777, 0o700)
      assert.isTrue(yield* StateDir.check(path))
    }))

  live("refuses a symbolic link, also a dangling one and one with a slash behind it", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const target = Path.join(directory, "target")
      Fs.mkdirSync(target, { mode: 0o700 })
      for (const [name, to] of [["link", target], ["dangling", Path.join(directory, "nowhere")]] as const) {
        Fs.symlinkSync(to, Path.join(directory, name))
        const error = yield* refusal(`${Path.join(directory, name)}/`)
        assert.strictEqual(error._tag, "StateDirUnsafe")
        assert.match(error.message, /symbolic link; set stateDir/)
      }
      assert.isFalse(Fs.existsSync(Path.join(directory, "nowhere")))
    }))

  live("refuses a file, and a path through a file", [], () =>
    Effect.gen(function*() {
      const file = Path.join(yield* tempDir, "file")
      Fs.writeFileSync(file, "")
      assert.match((yield* refusal(file)).message, /not a directory/)
      const through = yield* refusal(Path.join(file, "state"))
      assert.strictEqual(through._tag, "StateDirUnavailable")
      assert.match(through.message, /not a directory; remove/)
    }))

  live(
    "refuses a directory that group or others can write, and not one that they can read",
    [],
    () =>
      Effect.gen(function*() {
        const path = Path.join(yield* tempDir, "state")
        Fs.mkdirSync(path)
        for (const mode of [0o720, 0o702, 0o777, 0o1777]) {
          Fs.chmodSync(path, mode)
          const error = yield* refusal(path)
          assert.strictEqual(error._tag, "StateDirUnsafe")
          assert.include(error.message, `mode ${mode.toString(8)}`)
          assert.include(error.message, "chmod 700")
        }
        Fs.chmodSync(path, 0o755)
        yield* StateDir.ensure(path)
      })
  )

  live("refuses a directory of somebody else", ["root"], () =>
    Effect.gen(function*() {
      const path = Path.join(yield* tempDir, "state")
      Fs.mkdirSync(path, { mode: 0o700 })
      Fs.chownSync(path, 12345, 12345)
      assert.match((yield* refusal(path)).message, /belongs to user 12345 and we are user 0/)
    }))

  live("knows this boot and this machine", [], () =>
    Effect.gen(function*() {
      assert.match(yield* StateDir.bootId, /^[0-9a-f-]{36}$/)
      assert.match(yield* StateDir.machineId, /^\w*$/)
    }))
})
