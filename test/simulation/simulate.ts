/**
 * `npm run simulate`: plays histories of the simulated world, on all cores; or one of them again, step by step.
 */
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { type Campaign, playPlan, replay, run, type Tally } from "./campaign.ts"
import { ofSeed, type Plan } from "./explore.ts"
import { read } from "./faults.ts"
import { shapes } from "./shapes.ts"

// a history makes thousands of errors that nobody reads the stack of
Error.stackTraceLimit = 0

const usage = `usage: npm run simulate -- [options]
  --seed N          plays the random history of this seed again, step by step
  --shape N         only this world; with --faults, plays that history again, step by step
  --faults LIST     such as 17:kill-after,20:hang
  --parts LIST      of one,two,random (default: all)
  --pairs KIND      core (default) or all kinds of faults in pairs
  --random N        how many random histories (default: 20000), with seeds from --from (default: 1)
  --workers N       default: 2
  --seconds N       begins no further history after this time
  --enough N        ends after so many wrong histories (default: 20)`

/** What a worker says now and then, and at its end. */
interface Said {
  readonly tally: Tally
  readonly isLast: boolean
}

const fail = (message: string): never => {
  console.error(`${message}\n${usage}`)
  process.exit(2)
}

const number = (text: string | undefined, otherwise: number): number => {
  const value = text === undefined ? otherwise : Number(text)
  return Number.isInteger(value) && value >= 0 ? value : fail(`'${text}' is not a whole number`)
}

const tell = (plan: Plan): never => {
  const { log, outcome, violations } = playPlan(plan, true)
  console.log(`world ${plan.shape}: ${shapes[plan.shape]?.name}\n${log.join("\n")}\noutcome: ${outcome}`)
  for (const { at, invariant, step, what } of violations) {
    console.log(`${invariant} at step ${step} (${Math.round(at)} ms): ${what}`)
  }
  process.exit(violations.length === 0 ? 0 : 1)
}

const main = async () => {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      shape: { type: "string" },
      faults: { type: "string" },
      parts: { type: "string" },
      pairs: { type: "string" },
      random: { type: "string" },
      from: { type: "string" },
      workers: { type: "string" },
      seconds: { type: "string" },
      enough: { type: "string" }
    }
  })
  const shape = values.shape === undefined ? undefined : number(values.shape, 0)
  if (shape !== undefined && shapes[shape] === undefined) fail(`there is no world ${shape}`)
  if (values.seed !== undefined) tell(ofSeed(number(values.seed, 0)))
  if (values.faults !== undefined) tell({ shape: shape ?? 0, faults: read(values.faults), seed: "0", withLast: true })
  const workers = Math.max(1, number(values.workers, 2))
  const parts = (values.parts ?? "one,two,random").split(",").map((part) =>
    part === "one" || part === "two" || part === "random" ? part : fail(`'${part}' is no part`)
  )
  const campaign: Omit<Campaign, "worker"> = {
    workers,
    parts,
    pairs: values.pairs === "all" ? "all" : "core",
    random: number(values.random, 20_000),
    seed: number(values.from, 1),
    limit: number(values.seconds, 1_000_000) * 1_000,
    enough: number(values.enough, 20),
    onlyShape: shape
  }
  const began = performance.now()
  const tallies = new Map<number, Tally>()
  const sum = (of: (tally: Tally) => number) => [...tallies.values()].reduce((all, tally) => all + of(tally), 0)
  const line = () => {
    const [one, two, random] = [sum(({ one }) => one), sum(({ two }) => two), sum(({ random }) => random)]
    const seconds = (performance.now() - began) / 1_000
    const all = one + two + random
    return `${all} histories (${one} with at most one fault, ${two} with two, ${random} with three to eight), ` +
      `${sum(({ boundaries }) => boundaries)} boundaries, ${Math.round(all / seconds)}/s, ${Math.round(seconds)} s, ` +
      `${sum(({ wrong }) => wrong.length)} wrong`
  }
  let told = began
  await Promise.all(Array.from({ length: workers }, (_, worker) =>
    new Promise<void>((resolve, reject) => {
      const thread = new Worker(new URL(import.meta.url), {
        workerData: { ...campaign, worker },
        // of the many small objects of a history almost none lives on
        resourceLimits: { maxYoungGenerationSizeMb: 256 }
      })
      thread.on("message", ({ isLast, tally }: Said) => {
        tallies.set(worker, tally)
        // a frozen process may have a timer of Node, with which a thread does not end by itself
        if (isLast) void thread.terminate()
        if (performance.now() - told < 20_000) return
        told = performance.now()
        console.error(line())
      })
      thread.on("error", reject)
      thread.on("exit", () => resolve())
    })))
  const wrong = [...tallies.values()].flatMap(({ wrong }) => wrong)
  for (const { plan, violation: { at, invariant, step, what } } of wrong) {
    console.log(
      `${invariant} at step ${step} (${Math.round(at)} ms) in world ${plan.shape}: ${what}\n    ${replay(plan)}`
    )
  }
  console.log(line())
  process.exit(wrong.length === 0 ? 0 : 1)
}

if (isMainThread) await main()
else {
  // oxlint-disable unicorn/require-post-message-target-origin -- a thread, not a window
  const say = (said: Said) => parentPort?.postMessage(said)
  const tally = run(workerData as Campaign, (tally) => say({ tally, isLast: false }))
  say({ tally, isLast: true })
}
