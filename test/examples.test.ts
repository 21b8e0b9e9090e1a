/**
 * The embedding example as its reader would run it. `deterministic.test.ts` beside it is a test itself.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { eventually, execute, start, tempDir } from "./layers/fixtures/support.ts"
import { live } from "./support/live.ts"

const embed = (directory: string) =>
  start([process.execPath, "scripts/run-ts.mjs", "examples/embed.ts"], {
    env: { ...process.env, DIRECTORY: directory }
  })

describe("examples/embed.ts", () => {
  live("backs itself up, and says so", ["tar", "zstd", "flock"], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const app = yield* embed(directory)
      yield* app.ended
      const output = app.output()
      assert.strictEqual(app.process.exitCode, 0, output)
      const states = [...output.matchAll(/^notes is (\w+)$/gm)].map(([, state]) => state)
      assert.deepStrictEqual(states, ["preparing", "stopping", "stopped", "starting", "running"], output)
      const archive = /^application consistent: (\S+\.tar\.zst), the worker stood still for \d+ ms$/m.exec(output)?.[1]
      assert.isDefined(archive, output)
      execute("sh", "-c", "cd \"$1\" && sha256sum -c --quiet *.sha256", "sh", Path.dirname(archive))
      assert.match(execute("tar", "--zstd", "-xOf", archive, "--wildcards", "*notes.txt"), /^(one more note\n)+$/)
    }))

  live(
    "killed while its worker stands still, it heals itself at the next start",
    ["tar", "zstd", "flock"],
    () =>
      Effect.gen(function*() {
        const directory = yield* tempDir
        // a copy that takes long enough to be killed in
        Fs.mkdirSync(Path.join(directory, "data"))
        Fs.writeFileSync(Path.join(directory, "data", "large"), Buffer.alloc(256 * 1024 * 1024, "quiesce"))
        const first = yield* embed(directory)
        yield* eventually("the worker stands still", () => first.output().includes("notes is stopped"))
        yield* first.kill("SIGKILL")
        yield* first.ended
        assert.notInclude(first.output(), "notes is running")

        const second = yield* embed(directory)
        yield* second.ended
        assert.include(second.output(), "1 markers of dead runs")
        assert.include(second.output(), "application consistent")
        assert.deepStrictEqual(Fs.readdirSync(Path.join(directory, "state", "markers")), [])
      })
  )
})
