/**
 * `npm run bench:comeback`: how long an app is down that a run holds when it gets SIGTERM, or is killed.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { bold, dim, say, table } from "../demo/lib/print.ts"
import { runMain } from "../demo/lib/runMain.ts"
import * as World from "../test/kills/world.ts"
import { attempt, LabError } from "../test/lab/postgresInstall.ts"
import { quiesce } from "../demo/lib/quiesce.ts"
import * as App from "./comeback/app.ts"
import * as Measure from "./comeback/measure.ts"
import { rotated } from "./statistics.ts"

const options = attempt("usage: npm run bench:comeback -- [--reps N] [--json FILE]", async () => {
  const { values } = parseArgs({ options: { reps: { type: "string", default: "100" }, json: { type: "string" } } })
  const reps = Number(values.reps)
  if (!(Number.isInteger(reps) && reps >= 1)) throw new Error("--reps must be a whole number from 1")
  return { reps, json: values.json }
})

const labels: Readonly<Record<Measure.Name, string>> = {
  sigterm: "SIGTERM in the hold",
  "dead-man": "kill -9, the dead-man alone",
  recover: "kill -9 of both, and `quiesce recover` at once"
}

const quantile = (times: ReadonlyArray<number>, share: number) => {
  const sorted = [...times].sort((a, b) => a - b)
  return Math.round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0)
}

const bench = Effect.gen(function*() {
  const { json, reps } = yield* options
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "quiesce-comeback-"))),
    (path) => Effect.promise(() => Fs.rm(path, { recursive: true, force: true }))
  )
  const app = App.make(Path.join(directory, "app"))
  yield* Effect.acquireRelease(app.start, () => app.stop)
  const world = yield* World.make("command", Path.join(directory, "world"), quiesce()[1], app.stacks)
  const times: Record<Measure.Name, Array<number>> = { sigterm: [], "dead-man": [], recover: [] }
  const load = [Os.loadavg()[0] ?? 0]
  // the first round warms the page cache
  for (let round = 0; round <= reps; round++) {
    for (const name of rotated(Measure.deaths, round)) {
      const millis = yield* Measure.measure(world, app, name)
      if (round > 0) times[name].push(millis)
    }
    load.push(Os.loadavg()[0] ?? 0)
  }
  const results = Measure.deaths.map((name) => ({
    name,
    p50: quantile(times[name], 0.5),
    p99: quantile(times[name], 0.99),
    max: quantile(times[name], 1),
    all: times[name].map(Math.round)
  }))
  const [lowest, highest] = [Math.min(...load), Math.max(...load)].map((value) => value.toFixed(1))
  say(bold(`From the signal to the first answer of the app, ${reps} of each`))
  say(table([
    ["", "p50", "p99", "longest"],
    ...results.map(({ max, name, p50, p99 }) => [labels[name], `${p50} ms`, `${p99} ms`, `${max} ms`])
  ]))
  say(dim(`A light app, ${Os.cpus().length} CPUs, load ${lowest} to ${highest}, Node ${process.version}`))
  if (json !== undefined) {
    const machine = { node: process.version, cpus: Os.cpus().length, kernel: Os.release(), load: [lowest, highest] }
    yield* attempt(
      json,
      () => Fs.writeFile(json, `${JSON.stringify({ schemaVersion: 1, machine, results }, null, 2)}\n`)
    )
  }
  return 0
})

runMain(Effect.scoped(bench).pipe(Effect.mapError((error) => new LabError({ message: String(error) }))))
