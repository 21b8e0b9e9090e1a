/**
 * One wrong program in the simulated world, in a process of its own: prints how it was found out, or nothing.
 */
import { replay, run } from "./campaign.ts"

Error.stackTraceLimit = 0

const [histories = "1500", seconds = "60", world = ""] = process.argv.slice(2)
const { one, random, wrong: [wrong] } = run({
  worker: 0,
  workers: 1,
  parts: ["one", "random"],
  pairs: "core",
  random: Number(histories),
  seed: 1,
  limit: Number(seconds) * 1_000,
  enough: 1,
  onlyShape: world === "" ? undefined : Number(world)
})
console.log(JSON.stringify({
  played: one + random,
  ...wrong === undefined
    ? {}
    : { invariants: wrong.invariants, what: wrong.violation.what, replay: replay(wrong.plan) }
}))
process.exit(0)
