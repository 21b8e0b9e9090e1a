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
import { mutants, type WrongProgram } from "./mutants.ts"
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

const play = async (mutant: WrongProgram, n: number): Promise<Found> => {
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

const right: WrongProgram = { name: "the right program", breaks: "nothing", edits: [] }
const wrongs = mutants.filter(({ name }) => name.includes(only))
const all = only === "" ? [right, ...wrongs] : wrongs
const found = new Map<WrongProgram, Found>()
let next = 0
await Promise.all([0, 1].map(async () => {
  for (let n = next++; n < all.length; n = next++) {
    const mutant = all[n]!
    const seen = await play(mutant, n)
    found.set(mutant, seen)
    console.error(`${seen.invariants ?? "-"} ${mutant.name}`)
  }
}))

for (const [{ name }, { invariants: broken, played, replay, what }] of found) {
  const seen = broken === undefined ? "not found out" : `${broken}: ${what} (${replay})`
  console.log(`${String(played).padStart(6)}  ${name}\n        ${seen}`)
}
const broken = wrongs.map((mutant) => found.get(mutant)?.invariants ?? [])
const caught = broken.filter((some) => some.length > 0).length
const times = (invariant: Invariant) => broken.filter((some) => some.includes(invariant)).length
console.log(`\nby invariant: ${invariants.map((one) => `${one} ${times(one)}`).join(", ")}`)
console.log(`${caught} of ${wrongs.length} wrong programs are found out`)
if (only !== "") process.exit(0)
const flaws = [
  ...invariants.filter((one) => times(one) === 0).map((one) => `${one} finds out no wrong program`),
  ...caught < enough ? [`fewer than ${enough} are found out`] : [],
  ...found.get(right)?.invariants === undefined ? [] : ["the right program is called wrong"]
]
if (flaws.length > 0) console.log(`FAILED: ${flaws.join("; ")}`)
process.exit(flaws.length === 0 ? 0 : 1)
