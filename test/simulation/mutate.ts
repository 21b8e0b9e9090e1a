/**
 * `npm run simulate:mutants`: the table of the wrong programs, which invariant finds each of them out, and after how many
 * histories. Fails when fewer than 25 are, or an invariant finds none, or the right program is called wrong.
 */
import { build, type Plugin } from "esbuild"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { edited } from "../mutants/edits.ts"
import type { Mutant } from "../mutants/mutants.ts"
import { mutants, type Wrong } from "./mutants.ts"
import type { Invariant } from "./truth.ts"

const invariants: ReadonlyArray<Invariant> = [
  "I1",
  "I2",
  "I3",
  "I4",
  "I5",
  "I6",
  "I7",
  "I8",
  "I9",
  "I10",
  "I11",
  "I12",
  "I13"
]
/** For each those with one fault, then so many random histories, in at most so many seconds. */
const [histories = "300", seconds = "60", only = ""] = process.argv.slice(2)
const enough = 25

interface Found {
  readonly played: number
  readonly invariants?: ReadonlyArray<Invariant>
  readonly what?: string
  readonly replay?: string
}

/** The source with these edits, as it is bundled. */
const wrong = ({ edits, name }: Mutant): Plugin => ({
  name: "mutant",
  setup: ({ onLoad }) => {
    for (const file of new Set(edits.map(({ file }) => file))) {
      onLoad({ filter: new RegExp(`/src/${file.replaceAll(".", "\\.")}$`) }, ({ path }) => {
        const own = edits.filter((edit) => edit.file === file)
        const contents = edited(readFileSync(path, "utf8"), own, name)
        return { contents, loader: "ts" }
      })
    }
  }
})

const play = async (mutant: Wrong, n: number): Promise<Found> => {
  const outfile = Path.resolve(`.build/simulation/${n}.mjs`)
  await build({
    entryPoints: ["test/simulation/mutant.ts"],
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node20",
    format: "esm",
    logLevel: "silent",
    plugins: [wrong(mutant)]
  })
  const { stdout } = await promisify(execFile)(process.execPath, [
    outfile,
    histories,
    seconds,
    String(mutant.world ?? "")
  ], { maxBuffer: 2 ** 24 })
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Found
}

const right: Wrong = { name: "the right program", breaks: "nothing", edits: [] }
const all = [right, ...mutants].filter(({ name }) => name.includes(only))
const found: Array<Found | undefined> = []
let next = 0
await Promise.all([0, 1].map(async () => {
  for (let n = next++; n < all.length; n = next++) {
    const { name } = all[n]!
    found[n] = await play(all[n]!, n)
    console.error(`${found[n]!.invariants ?? "-"} ${name}`)
  }
}))

const by = new Map<Invariant, number>()
for (const [n, { name }] of all.entries()) {
  const { invariants: broken, played = 0, what = "", replay = "" } = found[n] ?? { played: 0 }
  if (n > 0) { for (const invariant of broken ?? []) by.set(invariant, (by.get(invariant) ?? 0) + 1) }
  const seen = broken === undefined ? "not found out here" : `${broken}: ${what} (${replay})`
  console.log(`${String(played).padStart(6)}  ${name}\n        ${seen}`)
}
const caught = found.slice(1).filter((one) => one?.invariants !== undefined).length
const blind = invariants.filter((one) => !by.has(one))
console.log(`\nby invariant: ${invariants.map((one) => `${one} ${by.get(one) ?? 0}`).join(", ")}`)
console.log(
  `${caught} of ${all.length - 1} wrong programs are found out`
)
const isRight = only !== "" || (found[0]?.invariants === undefined && caught >= enough && blind.length === 0)
if (!isRight) {
  console.log(`FAILED: ${blind.length > 0 ? `no program is found out by ${blind.join(", ")}` : "see above"}`)
}
process.exit(isRight ? 0 : 1)
