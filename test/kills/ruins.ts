/**
 * A world as a dead run has left it, which can be had again and again.
 */
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Death from "./death.ts"
import type * as Gate from "./gate.ts"
import * as Judge from "./judge.ts"
import * as Kills from "./kills.ts"
import type { World } from "./world.ts"

export interface Ruin {
  /** The state directory, kept. */
  readonly kept: string
  readonly boxes: ReadonlyArray<Readonly<Record<"running", boolean> & Record<"startedAt" | "finishedAt", number>>>
  readonly notes: boolean
}

/** Kills a run with its dead-man, and keeps what is left. */
export const make = Effect.fnUntraced(function*(world: World, where: Gate.Point) {
  const ended = yield* Kills.strike(world, ["run", "--json"], { where, way: "with all of them" })
  if (!ended.killed) return yield* Effect.dieMessage(`it was not killed: ${ended.code} ${ended.stderr}`)
  yield* Death.quiet(world, undefined)
  yield* world.agent.giveUp
  const kept = `${world.directory}/kept`
  Fs.cpSync(world.stateDir, kept, { recursive: true, preserveTimestamps: true })
  const ruin: Ruin = {
    kept,
    boxes: world.docker.boxes.map(({ finishedAt, running, startedAt }) => ({ finishedAt, running, startedAt })),
    notes: world.notes.running
  }
  return ruin
})

export const of = (ruins: ReadonlyMap<World, Ruin>, world: World): Ruin => {
  const ruin = ruins.get(world)
  if (ruin === undefined) throw new Error("this world has no ruin")
  return ruin
}

/** Makes the world so again; what is down went down after the mark. */
export const restore = (world: World, { boxes, kept, notes }: Ruin): Judge.Mark => {
  Fs.rmSync(world.stateDir, { recursive: true, force: true })
  Fs.cpSync(kept, world.stateDir, { recursive: true, preserveTimestamps: true })
  Fs.chmodSync(world.stateDir, 0o700)
  const since = Judge.mark(world)
  for (const [index, box] of world.docker.boxes.entries()) {
    Object.assign(box, boxes[index])
    if (box.wanted && !box.running) world.docker.journal.push(`down ${box.name}`)
  }
  world.notes.running = notes
  if (!notes) world.notes.journal.push("down notes")
  return since
}

/** What a recovery asks for. */
export const record = Effect.fnUntraced(function*(world: World, ruin: Ruin) {
  const since = restore(world, ruin)
  const failed = yield* Kills.recovered(world)
  const { seen } = world.gate
  return { seen, wrong: [...failed, ...Judge.violations(world, since, [])] }
})

/** A recovery that is killed, and one that is not. */
export const survive = Effect.fnUntraced(function*(world: World, ruin: Ruin, kill: Kills.Kill) {
  const since = restore(world, ruin)
  const { killed } = yield* Kills.strike(world, ["recover"], kill)
  const failed = yield* Kills.recovered(world)
  const busy = yield* Death.quiet(world, undefined)
  const seen: Kills.Seen = {
    name: `recover, ${Kills.nameOf(kill)}`,
    killed,
    violations: [...failed, ...busy, ...Judge.violations(world, since, [])],
    downMillis: undefined
  }
  return seen
})
