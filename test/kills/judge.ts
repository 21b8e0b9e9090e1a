/**
 * What must be so when nobody is at work in a world any more.
 */
import { Effect } from "effect"
import type { RunEvent } from "../../src/domain/Report.ts"
import * as Traces from "../live/traces.ts"
import type { World } from "./world.ts"

/** What really happened since the mark. */
export interface Mark {
  readonly docker: number
  readonly notes: number
  readonly orders: number
}

export const mark = ({ docker, notes }: World): Mark => ({
  docker: docker.journal.length,
  notes: notes.journal.length,
  orders: docker.orders.length
})

/** Whether everything runs that should, and nothing is on its way down. */
export const isUp = ({ docker, notes }: World): boolean =>
  notes.running && docker.boxes.every(({ running, stopping, wanted }) => running === wanted && !stopping)

/** One start for each stop, one stop at most, and the stop first. */
const flaps = (journal: ReadonlyArray<string>) => {
  const of = (name: string) => journal.filter((line) => line.endsWith(` ${name}`)).map((line) => line.split(" ")[0])
  return [...new Set(journal.map((line) => line.split(" ")[1] ?? ""))].flatMap((name) => {
    const seen = of(name)
    return seen.join() === "down,up" ? [] : [`${name} went ${seen.join(", ")}`]
  })
}

const touched = (orders: ReadonlyArray<string>) =>
  orders.filter((order) => !/ shop-(db|web)-1$/.test(order)).map((order) => `not ours: ${order}`)

const claims = ({ agent }: World, events: ReadonlyArray<RunEvent>) =>
  events.flatMap((event) => {
    if (event.type !== "report" || event.consistency.level !== "application") return []
    const { artifacts, snapshots } = agent.storage
    return [
      ...snapshots.get(event.runId) === true ? [] : ["it claims 'application', and something was up at the snapshot"],
      ...artifacts.has(event.runId) ? [] : ["it claims 'application', and there is no artifact"]
    ]
  })

/** Every promise that is broken, in words. */
export const violations = (world: World, since: Mark, events: ReadonlyArray<RunEvent>): ReadonlyArray<string> => {
  const { docker, notes } = world
  return [
    ...docker.boxes.filter(({ running, wanted }) => wanted && !running).map(({ name }) => `${name} is down`),
    ...docker.boxes.filter(({ running, wanted }) => !wanted && running).map(({ name }) => `${name} was started`),
    ...notes.running ? [] : ["notes is down"],
    ...flaps([...docker.journal.slice(since.docker), ...notes.journal.slice(since.notes)]),
    ...touched(docker.orders.slice(since.orders)),
    ...claims(world, events),
    ...Traces.markers({ ...world, backups: "", place: "" }).map((name) => `the marker ${name} is there`)
  ]
}

/** A run of which nothing is wrong, when what the dead one has asked of the agent is over. */
export const next = Effect.fnUntraced(function*(world: World) {
  world.gate.arm()
  const since = mark(world)
  const { code, events, report, stderr } = yield* world.run(["run", "--json"])
  const level = report?.consistency.level
  return [
    ...code === 0 && level === "application" && stderr === ""
      ? []
      : [`the next run: exit code ${code}, '${level}', ${report?.error} ${stderr}`],
    ...violations(world, since, events).map((what) => `the next run: ${what}`)
  ]
})
