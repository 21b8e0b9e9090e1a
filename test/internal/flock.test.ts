import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { tryLock } from "../../src/internal/flock.ts"
import { tempDir, withEnv } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const openOn = (path: string) =>
  Fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return Fs.readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false
    }
  }).length

describe("flock", () => {
  live("is held until the scope closes; a refused one keeps no descriptor", ["flock"], () =>
    Effect.gen(function*() {
      const path = Path.join(yield* tempDir, "lock ü")
      yield* Effect.scoped(Effect.gen(function*() {
        assert.isTrue(yield* tryLock(path))
        assert.isFalse(yield* tryLock(path))
        assert.strictEqual(openOn(path), 1)
        assert.strictEqual(Fs.statSync(path).mode & 0o777, 0o600)
      }))
      assert.strictEqual(openOn(path), 0)
      assert.isTrue(yield* tryLock(path))
    }))

  live(
    "fails typed on what is no lock file, and with a flock that does not work",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const directory = yield* tempDir
        assert.match((yield* Effect.flip(tryLock(directory))).message, /EISDIR/)
        assert.match((yield* Effect.flip(tryLock(Path.join(directory, "gone", "lock")))).message, /ENOENT/)
        Fs.writeFileSync(Path.join(directory, "flock"), "#!/bin/sh\necho no locks here >&2\nexit 1\n", { mode: 0o700 })
        yield* withEnv("PATH", `${directory}:${process.env["PATH"]}`)
        const error = yield* Effect.flip(tryLock(Path.join(directory, "lock")))
        assert.match(error.message, /flock on .*exit code 1: no locks here/)
      })
  )
})
