/**
 * `npm run bench`: downtime and total of a backup, three ways, on every snapshotter that this machine has.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import { parseArgs } from "node:util"
import { bold, dim, say, table } from "../demo/lib/print.ts"
import { runMain } from "../demo/lib/runMain.ts"
import { requireTools } from "../demo/lib/tools.ts"
import { attempt, install } from "../test/lab/postgresInstall.ts"
import { workDirectory } from "../test/lab/postgresWorkDirectory.ts"
import { candidates, type Place } from "./places.ts"
import * as Startup from "./startup.ts"
import * as Variants from "./variants.ts"

const usage = "usage: npm run bench -- [--reps N] [--mb MEGABYTES] [--json FILE] [--dir DIRECTORY]"

const options = attempt(usage, async () => {
  const { values } = parseArgs({
    options: {
      reps: { type: "string", default: "5" },
      mb: { type: "string", default: "200" },
      json: { type: "string" },
      dir: { type: "string" }
    }
  })
  const { dir, json } = values
  const [reps, mb] = [Number(values.reps), Number(values.mb)]
  if (!(Number.isInteger(reps) && reps >= 1)) throw new Error("--reps must be a whole number from 1")
  if (!(mb >= 8 && mb <= 100_000)) throw new Error("--mb must be a number from 8 to 100000")
  return { reps, mb, json, dir }
})

/** All measurements together end soon after this, with as many repetitions as there were. */
const limitMillis = 330_000

const startupRepetitions = 15

const labels: Readonly<Record<Variants.Name, string>> = {
  whole: "a  stop for the whole backup",
  script: "b  shell script: stop; snapshot; start; archive",
  quiesce: "c  quiesce run"
}

type Costs = Effect.Effect.Success<ReturnType<typeof Variants.measure>>

const ratio = (one: number, other: number) => Number((one / other).toFixed(2))

const ratios = ({ quiesce, script, whole }: Costs) => ({
  downtime: {
    quiesceToWhole: ratio(quiesce.downtimeMs.median, whole.downtimeMs.median),
    quiesceToScript: ratio(quiesce.downtimeMs.median, script.downtimeMs.median)
  },
  total: {
    quiesceToWhole: ratio(quiesce.totalMs.median, whole.totalMs.median),
    quiesceToScript: ratio(quiesce.totalMs.median, script.totalMs.median)
  }
})

const spread = ({ max, median, min }: { readonly median: number; readonly min: number; readonly max: number }) =>
  `${median} ms (${min}-${max})`

const show = ({ filesystem, snapshotter }: Place, costs: Costs, wanted: number) => {
  const { downtime, total } = ratios(costs)
  const fewer = costs.repetitions < wanted ? ` of ${wanted}, the time is over` : ""
  say(bold(`\n${snapshotter} on ${filesystem}: median (lowest-highest) of ${costs.repetitions}${fewer}`))
  say(table([
    ["", "downtime of the client", "total"],
    ...Variants.names.map((name) => [labels[name], spread(costs[name].downtimeMs), spread(costs[name].totalMs)]),
    ["c/a", String(downtime.quiesceToWhole), String(total.quiesceToWhole)],
    ["c/b", String(downtime.quiesceToScript), String(total.quiesceToScript)]
  ]))
}

const measureStartup = Effect.gen(function*() {
  const startup = yield* Startup.measure(startupRepetitions)
  const { nodeEmpty, quiesceVersion } = startup
  say(bold(`\nStart of the process: median (lowest-highest) of ${startupRepetitions}`))
  say(table([
    ["quiesce --version", spread(quiesceVersion)],
    ["node -e 0", spread(nodeEmpty)],
    ["ratio", String(ratio(quiesceVersion.median, nodeEmpty.median))]
  ]))
  return startup
})

const bench = Effect.gen(function*() {
  const begin = performance.now()
  const { dir, json, mb, reps } = yield* options
  yield* requireTools
  const placeMegabytes = Math.ceil(mb * 8 + 1000)
  const work = yield* workDirectory({ prefix: "quiesce-bench", needsBytes: 3 * placeMegabytes * 1e6, base: dir })
  const programs = yield* install(work)
  say(
    `${mb} MB of data, ${reps} repetitions in turns, in ${work}, on ${Os.cpus().length} CPUs, Node ${process.version}`
  )
  say(dim("downtime: the longest time in which a client that writes all the time got no answer"))
  const startup = yield* measureStartup
  const found = yield* candidates(work, placeMegabytes)
  const left = () => begin + limitMillis - performance.now()
  const results: Array<unknown> = []
  for (const [index, candidate] of found.entries()) {
    if (candidate._tag === "Missing") {
      say(dim(`\nleft out: ${candidate.reason}`))
      continue
    }
    const share = left() / found.slice(index).filter(({ _tag }) => _tag === "Possible").length
    yield* Effect.scoped(Effect.gen(function*() {
      const place = yield* candidate.make
      const until = performance.now() + share
      const costs = yield* Variants.measure({ programs, place, megabytes: mb, repetitions: reps, until })
      show(place, costs, reps)
      results.push({ snapshotter: place.snapshotter, filesystem: place.filesystem, ...costs, ratios: ratios(costs) })
    }))
  }
  if (json !== undefined) {
    const machine = { node: process.version, cpus: Os.cpus().length, model: Os.cpus()[0]?.model, kernel: Os.release() }
    const document = { schemaVersion: 1, machine, megabytes: mb, startup, backups: results }
    yield* attempt(json, () => Fs.writeFile(json, `${JSON.stringify(document, null, 2)}\n`))
  }
  say(dim(`\nThe bench took ${Math.round((performance.now() - begin) / 1000)} s.`))
  return 0
})

runMain(Effect.scoped(bench))
