/**
 * The scenarios of test/scenarios.json: each must be held by tests that were run and have passed.
 *
 * `npm run check:scenarios -- RESULTS...`: JSON reports of vitest, of `npm test` and `npm run test:long` together. Without
 * them it only checks that the files are there and say the titles' first words.
 */
import { existsSync, readFileSync } from "node:fs"
import * as Path from "node:path"

const wanted = 64
const scenarios = JSON.parse(readFileSync("test/scenarios.json", "utf8")) as Readonly<
  Record<string, readonly [title: string, tests: ReadonlyArray<readonly [file: string, title: string]>]>
>

interface Results {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>
  }>
}

const run = process.argv.slice(2).flatMap((file) =>
  (JSON.parse(readFileSync(file, "utf8")) as Results).testResults.flatMap(({ assertionResults, name }) => {
    const at = name.lastIndexOf(`${Path.sep}test${Path.sep}`)
    return assertionResults.map(({ fullName, status }) => ({ file: name.slice(at + 1), fullName, status }))
  })
)

const wrong: Array<string> = []
const say = (id: string, what: string) => wrong.push(`${id}: ${what}`)

for (let n = 1; n <= wanted; n++) {
  const id = `F${String(n).padStart(2, "0")}`
  const [, tests] = scenarios[id] ?? ["", []]
  if (tests.length === 0) say(id, "no test")
  for (const [file, title] of tests) {
    if (!existsSync(file)) say(id, `${file} is not there`)
    if (process.argv.length === 2) continue
    const found = run.filter((test) => test.file === file && test.fullName.includes(title))
    if (found.length === 0) say(id, `'${title}' of ${file} was not run`)
    for (const { fullName, status } of found) if (status !== "passed") say(id, `'${fullName}' has ${status}`)
  }
}
for (const line of wrong) console.log(line)
const held = wanted - new Set(wrong.map((line) => line.slice(0, 3))).size
console.log(
  `scenarios: ${held} of ${wanted}${process.argv.length === 2 ? " have tests" : " are held by tests that have passed"}`
)
process.exit(wrong.length === 0 ? 0 : 1)
