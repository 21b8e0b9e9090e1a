import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { tempDir } from "../layers/fixtures/support.ts"
import * as Canary from "../support/canary.ts"
import { live } from "../support/live.ts"
import * as Hooks from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"

const fresh = () => {
  const secret = Crypto.randomBytes(24).toString("base64url")
  Canary.plant(secret)
  return secret
}

describe("a secret is heard", () => {
  live("in what the binary says", [], () =>
    Effect.gen(function*() {
      const secret = fresh()
      yield* Quiesce.run(["status", `--${secret}`])
      assert.match(Canary.take().join("\n"), /^a secret is in stderr of quiesce status/)
      yield* Quiesce.run(["status", "--help"])
      assert.deepStrictEqual(Canary.take(), [])
    }))

  live("in a file that is not there for it, in any form", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const home = Path.join(directory, "token")
      const secret = Crypto.randomBytes(24).toString("base64url")
      Canary.plant(secret, home)
      Fs.mkdirSync(Path.join(directory, "state"))
      Fs.writeFileSync(home, secret)
      Canary.search(directory)
      assert.deepStrictEqual(Canary.take(), [])
      for (
        const form of [secret, Buffer.from(`web~${secret}`).toString("base64"), Buffer.from(secret).toString("hex")]
      ) {
        Fs.writeFileSync(Path.join(directory, "state", "report.json"), `{"error":"no ${form} there"}`)
        Canary.search(directory)
        assert.isAbove(Canary.take().length, 0, form)
      }
      Fs.rmSync(Path.join(directory, "state", "report.json"))
      Fs.writeFileSync(Path.join(directory, "state", `${secret}.json`), "")
      Canary.search(directory)
      assert.isAbove(Canary.take().length, 0)
    }))

  live("in the environment and the words of a command", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const hooks = yield* Hooks.make(directory, process.env["PATH"] ?? "")
      const call = (words: ReadonlyArray<string>, env: Readonly<Record<string, string>>) => {
        const [program, ...args] = hooks.hooked("stop", ["true", ...words])
        ChildProcess.execFileSync(program, args, {
          env: { PATH: process.env["PATH"], RESTIC_PASSWORD: Canary.password, ...env }
        })
        Canary.search(directory)
        return Canary.take().length
      }
      assert.strictEqual(call(["plain"], {}), 0)
      assert.isAbove(call([], { QUIESCE_TOKEN: fresh() }), 0)
      Fs.rmSync(Path.join(hooks.directory, ".seen"))
      assert.isAbove(call([fresh()], {}), 0)
    }))
})
