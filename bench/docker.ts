/**
 * `npm run bench:docker`: what a backup of a PostgreSQL in a container costs its client, idle and under load.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import { parseArgs } from "node:util"
import { bold, dim, say, table } from "../demo/lib/print.ts"
import { runMain } from "../demo/lib/runMain.ts"
import { requireTools } from "../demo/lib/tools.ts"
import { attempt } from "../test/lab/postgresInstall.ts"
import * as Growth from "./docker/growth.ts"
import * as Site from "./docker/site.ts"
import * as Variants from "./docker/variants.ts"

const usage = "usage: npm run bench:docker -- [--reps N] [--mb MEGABYTES] [--json FILE] [--no-growth]"

const options = attempt(usage, async () => {
  const { values } = parseArgs({
    options: {
      reps: { type: "string", default: "7" },
      mb: { type: "string", default: "1200" },
      json: { type: "string" },
      "no-growth": { type: "boolean", default: false }
    }
  })
  const [reps, mb] = [Number(values.reps), Number(values.mb)]
  if (!(Number.isInteger(reps) && reps >= 1)) throw new Error("--reps must be a whole number from 1")
  if (!(mb >= 16 && mb <= 100_000)) throw new Error("--mb must be a number from 16 to 100000")
  if (process.getuid?.() !== 0) throw new Error("a dockerd and a loop-mounted btrfs of its own need root")
  return { reps, mb, json: values.json, growth: !values["no-growth"] }
})

const labels: Readonly<Record<Variants.Name, string>> = {
  floor: "a  floor: one process, raw API, nothing verified",
  script: "b  shell script: docker stop; snapshot; docker start",
  quiesce: "c  quiesce run",
  unprepared: "c' quiesce run, without a CHECKPOINT before",
  whole: "d  stop for the whole backup"
}

type Costs = Effect.Effect.Success<ReturnType<typeof Variants.measure>>

const spread = ({ max, median, min }: { readonly median: number; readonly min: number; readonly max: number }) =>
  `${median} ms (${min}-${max})`

const ratios = (costs: Costs) => {
  const to = (one: Variants.Name, other: Variants.Name) =>
    Number((costs[one].downtimeMs.median / costs[other].downtimeMs.median).toFixed(2))
  return { "c/a": to("quiesce", "floor"), "c/b": to("quiesce", "script"), "c/d": to("quiesce", "whole") }
}

const show = (title: string, repetitions: number, costs: Costs) => {
  say(bold(`\n${title}: median (lowest-highest) of ${repetitions}`))
  say(table([
    ["", "downtime of the client", "total"],
    ...Variants.names.map((name) => [labels[name], spread(costs[name].downtimeMs), spread(costs[name].totalMs)]),
    ...Object.entries(ratios(costs)).map(([name, ratio]) => [name, String(ratio), ""])
  ]))
}

const bench = Effect.gen(function*() {
  const begin = performance.now()
  const { growth, json, mb, reps } = yield* options
  yield* requireTools
  const site = yield* Site.make(mb)
  say(`${Math.round(site.megabytes)} MB in PostgreSQL on btrfs, ${Os.cpus().length} CPUs, Node ${process.version}`)
  say(dim("downtime: the longest time in which a client that asks every millisecond got no answer"))
  const idle = yield* Variants.measure(site, { repetitions: reps, warmMillis: 500 })
  show("Idle", reps, idle)
  const loaded = yield* Effect.scoped(
    Effect.zipRight(Site.load(site), Variants.measure(site, { repetitions: reps, warmMillis: 3_000 }))
  )
  show("Under load (pgbench, 4 clients, 300 transactions a second)", reps, loaded)
  const grown: Record<string, Effect.Effect.Success<ReturnType<typeof Growth.measure>>> = {}
  for (const stacks of growth ? [1, 10, 50] : []) grown[stacks] = yield* Growth.measure(site, stacks, Math.min(reps, 5))
  if (growth) {
    say(bold("\nEqual stacks of one container held at once: the longest downtime of any of them"))
    say(table([["stacks", "downtime"], ...Object.entries(grown).map(([stacks, cost]) => [stacks, spread(cost)])]))
  }
  if (json !== undefined) {
    const machine = { node: process.version, cpus: Os.cpus().length, model: Os.cpus()[0]?.model, kernel: Os.release() }
    const results = { idle: { ...idle, ratios: ratios(idle) }, load: { ...loaded, ratios: ratios(loaded) }, grown }
    const document = { schemaVersion: 1, machine, megabytes: site.megabytes, ...results }
    yield* attempt(json, () => Fs.writeFile(json, `${JSON.stringify(document, null, 2)}\n`))
  }
  say(dim(`\nThe bench took ${Math.round((performance.now() - begin) / 1000)} s.`))
  return 0
})

runMain(Effect.scoped(bench))
