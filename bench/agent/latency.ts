/**
 * From the snapshot to the start of the app: polls, and questions that wait.
 */
import { Effect } from "effect"
import * as Certificate from "../../src/internal/agent/certificate.ts"
import { LabError } from "../../test/lab/postgresInstall.ts"
import { rotated } from "../statistics.ts"
import type { AgentTask, Point, Serving } from "./agentProcess.ts"
import * as Child from "./child.ts"
import type { ControllerTask, Run } from "./controllerProcess.ts"
import type { FloorTask } from "./floorProcess.ts"
import { medians, type Quantiles, quantiles } from "./quantiles.ts"

export const labels = {
  floor: "a  floor: long poll by Node alone, TLS",
  long: "b  long poll, TLS",
  socket: "c  long poll, UNIX socket",
  fresh: "d  long poll, TLS, each run in a new process",
  quick: "e  poll every 100 ms, TLS",
  slow: "f  poll every second, TLS"
}

export type Name = keyof typeof labels

export const names: ReadonlyArray<Name> = ["floor", "long", "socket", "fresh", "quick", "slow"]

/** How a controller asks, of guests whose snapshots take up to `spread` ms; `lanes` runs go on side by side. */
const ways = {
  long: { statusWait: 30_000, pollInterval: 500, spread: 100, lanes: 1 },
  socket: { statusWait: 30_000, pollInterval: 500, spread: 100, lanes: 1 },
  fresh: { statusWait: 30_000, pollInterval: 500, spread: 100, lanes: 1 },
  quick: { statusWait: 0, pollInterval: 100, spread: 100, lanes: 2 },
  slow: { statusWait: 0, pollInterval: 1_000, spread: 1_000, lanes: 10 }
}

/** The first runs of a process, which are not counted: `fresh` has those. */
const warmUp = 2

/** One run: to the answer that says so, and from there to the start. */
interface Sample {
  readonly total: number
  readonly answer: number
}

export interface Latency extends Quantiles {
  /** The lowest and the highest median of a round. */
  readonly medians: { readonly min: number; readonly max: number }
  /** From the snapshot to the answer at the client alone. */
  readonly answer: Quantiles
}

export interface LatencyOptions {
  readonly directory: string
  readonly rounds: number
  /** How many runs there are of each kind, in all rounds together. */
  readonly runs: Readonly<Record<Name, number>>
}

const take = <A>(child: Child.Child, count: number) =>
  Effect.map(Effect.replicateEffect(child.next, count), (lines) => lines as ReadonlyArray<A>)

const lanesOf = (name: Exclude<Name, "floor">) =>
  Array.from({ length: ways[name].lanes }, (_, index) => `${name}${index + 1}`)

const taskOf = (name: Exclude<Name, "floor">, { fingerprint, guests, url }: Serving, runs: number): ControllerTask => {
  const { pollInterval, statusWait } = ways[name]
  const agents = lanesOf(name).flatMap((lane) => guests.filter((guest) => guest.name === lane)).map((guest) =>
    name === "socket" ? { socketPath: guest.socketPath } : { url, fingerprint, token: guest.token }
  )
  return { agents, pollInterval, statusWait, runs }
}

/** One process of a controller: its runs, without the first ones of each lane. */
const controlled = (file: string, task: ControllerTask, skipped: number) =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* Child.start(file, task)
    const all = yield* take<Run>(child, task.runs * task.agents.length)
    yield* child.end
    return all.slice(skipped * task.agents.length)
  }))

/** Measures everything, in turns. */
export const measure = Effect.fn("AgentBench.latency")(function*({ directory, rounds, runs }: LatencyOptions) {
  const [agentFile, controllerFile, floorFile] = yield* Effect.all([
    Child.bundle(directory, "agentProcess"),
    Child.bundle(directory, "controllerProcess"),
    Child.bundle(directory, "floorProcess")
  ])
  const guests = (["long", "socket", "fresh", "quick", "slow"] as const).flatMap((name) =>
    lanesOf(name).map((lane) => ({ name: lane, spread: ways[name].spread, socket: name === "socket" }))
  )
  const agent = yield* Child.start(agentFile, { directory, guests } satisfies AgentTask)
  const serving = (yield* agent.next) as Serving
  const points = new Map<string, number>()
  yield* agent.next.pipe(
    Effect.map((line) => line as Point),
    Effect.tap(({ at, runId }) => Effect.sync(() => points.set(runId, at))),
    Effect.forever,
    Effect.forkScoped
  )
  const { cert, key } = yield* Certificate.own({ stateDir: `${directory}/floor` }).pipe(
    Effect.mapError(({ message }) => new LabError({ message }))
  )
  const floor = yield* Child.start(floorFile, { be: "server", cert, key, spread: 100 } satisfies FloorTask)
  const { port } = (yield* floor.next) as { readonly port: number }

  const bare = (count: number) =>
    Effect.scoped(Effect.gen(function*() {
      const client = yield* Child.start(floorFile, { be: "client", port, runs: count + warmUp } satisfies FloorTask)
      const all = yield* take<{ readonly took: number }>(client, count + warmUp)
      return all.slice(warmUp).map(({ took }): Sample => ({ total: took, answer: took }))
    }))
  const sampled = (all: ReadonlyArray<Run>) =>
    Effect.forEach(all, ({ runId, seen, start }) => {
      const point = points.get(runId)
      return point === undefined
        ? new LabError({ message: `the agent did not say when the snapshot of run ${runId} was taken` })
        : Effect.succeed<Sample>({ total: start - point, answer: seen - point })
    })
  const whole = (name: Exclude<Name, "floor">, count: number) =>
    name === "fresh"
      ? Effect.map(
        Effect.replicateEffect(controlled(controllerFile, taskOf(name, serving, 1), 0), count),
        (all) => all.flat()
      )
      : controlled(controllerFile, taskOf(name, serving, Math.ceil(count / ways[name].lanes) + warmUp), warmUp)

  const samples = new Map<Name, Array<ReadonlyArray<Sample>>>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of rotated(names, round)) {
      const count = Math.ceil(runs[name] / rounds)
      samples.get(name)?.push(yield* name === "floor" ? bare(count) : Effect.flatMap(whole(name, count), sampled))
    }
  }
  const result = (name: Name): Latency => {
    const all = samples.get(name) ?? []
    const totals = all.map((round) => round.map(({ total }) => total))
    return {
      ...quantiles(totals.flat()),
      medians: medians(totals),
      answer: quantiles(all.flat().map(({ answer }) => answer))
    }
  }
  return {
    floor: result("floor"),
    long: result("long"),
    socket: result("socket"),
    fresh: result("fresh"),
    quick: result("quick"),
    slow: result("slow")
  } satisfies Record<Name, Latency>
})
