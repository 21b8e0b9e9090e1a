/**
 * `npm run bench:agent`: how soon an app is started again after its snapshot, and what an agent bears.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { bold, dim, say, table } from "../demo/lib/print.ts"
import { runMain } from "../demo/lib/runMain.ts"
import { attempt } from "../test/lab/postgresInstall.ts"
import * as Crowd from "./agent/crowd.ts"
import * as Latency from "./agent/latency.ts"
import { ratio } from "./agent/quantiles.ts"
import * as Tail from "./agent/tail.ts"

const usage = "usage: npm run bench:agent -- [--quick] [--guests N] [--only latency,crowd,vzdump] [--json FILE]"

const parts = ["latency", "crowd", "vzdump"] as const

const options = attempt(usage, async () => {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      guests: { type: "string", default: "1000" },
      only: { type: "string", default: parts.join(",") },
      json: { type: "string" }
    }
  })
  const guests = Number(values.guests)
  const only = new Set(values.only.split(","))
  if (!(Number.isInteger(guests) && guests >= 1 && guests <= 4000)) {
    throw new Error("--guests must be a whole number from 1 to 4000")
  }
  for (const part of only) {
    if (!parts.some((one) => one === part)) throw new Error(`--only knows ${parts.join(", ")}; not ${part}`)
  }
  return { quick: values.quick, guests, only, json: values.json }
})

const millis = (value: number) => `${value.toFixed(value < 100 ? 2 : 0)} ms`

const load = () => Os.loadavg().map((value) => value.toFixed(1)).join(" ")

const showLatency = (costs: Effect.Effect.Success<ReturnType<typeof Latency.measure>>) => {
  say(bold("\nFrom the snapshot to the first start of the stack"))
  say(table([
    ["", "p50", "of rounds", "p99", "max", "answer p50", "p50 to b", "runs"],
    ...Latency.names.map((name) => {
      const { answer, max, medians, n, p50, p99 } = costs[name]
      const rounds = `${medians.min}-${medians.max}`
      return [Latency.labels[name], millis(p50), rounds, millis(p99), millis(max), millis(answer.p50)]
        .concat(String(ratio(p50, costs.long.p50)), String(n))
    })
  ]))
}

const showCrowd = (crowd: Crowd.Crowd) => {
  const { all, each, guests, heap, idle, kilobytesEach, rss, snapshotted } = crowd
  say(bold(`\n${guests} guests that wait at one agent, each with a connection of its own`))
  say(table([
    ["", "p50", "p99", "max", "answers"],
    ...([
      ["a change of one, the others wait", each],
      ["a change of all at once, until each is told", all],
      ["'snapshotted' of all at once, written down too", snapshotted]
    ] as const).map(([label, { max, n, p50, p99 }]) => [label, millis(p50), millis(p99), millis(max), String(n)])
  ]))
  say(table([
    ["memory of the agent", "no connection", "all wait", "after the changes", "all have gone"],
    ["resident", ...[rss.before, rss.waiting, rss.changed, rss.gone].map((value) => `${value} MB`)],
    ["of it in the heap", ...[heap.before, heap.waiting, heap.changed, heap.gone].map((value) => `${value} MB`)]
  ]))
  say(
    `${kilobytesEach} KB for a guest that waits; idle for ${idle.seconds} s: ${(idle.cpu * 100).toFixed(1)}% of one ` +
      `CPU, ${idle.renewed} questions were asked again`
  )
}

const bench = Effect.gen(function*() {
  const begin = performance.now()
  const { guests, json, only, quick } = yield* options
  const directory = yield* Effect.acquireRelease(
    attempt("a directory", () => Fs.mkdtemp(Path.join(Os.tmpdir(), "quiesce-bench-agent-"))),
    (path) => Effect.promise(() => Fs.rm(path, { recursive: true, force: true }))
  )
  say(`${Os.cpus().length} CPUs, Node ${process.version}, load ${load()}`)
  const results: Record<string, unknown> = {}
  if (only.has("latency")) {
    const few = { floor: 50, long: 50, socket: 50, fresh: 8, quick: 30, slow: 20 }
    const many = { floor: 200, long: 200, socket: 200, fresh: 40, quick: 200, slow: 200 }
    const costs = yield* Effect.scoped(
      Latency.measure({ directory, rounds: quick ? 2 : 4, runs: quick ? few : many })
    )
    showLatency(costs)
    results["latency"] = costs
  }
  if (only.has("crowd")) {
    const crowd = yield* Effect.scoped(
      Crowd.measure({ directory, guests, rounds: quick ? 3 : 7, idleSeconds: 10 })
    )
    showCrowd(crowd)
    results["crowd"] = crowd
  }
  if (only.has("vzdump")) {
    const tail = yield* Tail.measure(directory, quick ? 20 : 50)
    say(bold("\nFrom the line in vzdump's log to 'snapshotted'"))
    say(table([
      ["", "p50", "p99", "max", "runs"],
      ...([["its file", tail.file], ["the API of Proxmox VE", tail.api]] as const).map((
        [label, { max, n, p50, p99 }]
      ) => [
        label,
        millis(p50),
        millis(p99),
        millis(max),
        String(n)
      ])
    ]))
    results["vzdump"] = tail
  }
  if (json !== undefined) {
    const machine = { node: process.version, cpus: Os.cpus().length, model: Os.cpus()[0]?.model, kernel: Os.release() }
    const document = { schemaVersion: 1, machine, load: Os.loadavg(), ...results }
    yield* attempt(json, () => Fs.writeFile(json, `${JSON.stringify(document, null, 2)}\n`))
  }
  say(dim(`\nThe bench took ${Math.round((performance.now() - begin) / 1000)} s; load ${load()}.`))
  return 0
})

runMain(Effect.scoped(bench))
