/**
 * Wrong builds of the program, made of the real source with the edits of test/mutants.
 */
import { Effect } from "effect"
import { build } from "esbuild"
import * as Path from "node:path"
import { copy } from "../mutants/edits.ts"
import { mutants } from "../mutants/mutants.ts"

const extra = [{
  name: "a dead-man that does nothing",
  breaks: "the death of the run brings the app back",
  edits: [{ file: "layers/DeadManShell.ts", from: "exec \"$@\" </dev/null`", to: "exit 0`" }]
}, {
  name: "a recover that starts all that is down",
  breaks: "nothing is started that the run did not stop",
  edits: [{
    file: "programs/recover.ts",
    from: "        ? recoverMarker(policy, stored)\n        : recoverDamaged(policy, stored.name, stored.reason),",
    to:
      "        ? recoverDamaged(policy, stored.name, \"\")\n        : recoverDamaged(policy, stored.name, stored.reason),"
  }]
}]

/** Builds it; answers with the file. */
export const binary = (name: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const mutant = [...extra, ...mutants].find((one) => one.name === name)
    if (mutant === undefined) throw new Error(`there is no mutant '${name}'`)
    const root = copy(mutant, "kills")
    const outfile = Path.join(root, "bin.js")
    await build({
      entryPoints: [Path.join(root, "bin.ts")],
      outfile,
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      define: { QUIESCE_VERSION: "\"mutant\"" },
      banner: {
        js:
          "import{createRequire as __createRequire}from\"node:module\";const require=__createRequire(import.meta.url);"
      },
      logLevel: "error"
    })
    return outfile
  })
