/**
 * How a program dies, and who is left: its dead-man, and the commands that it has started.
 */
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs"
import * as Traces from "../live/traces.ts"
import type { World } from "./world.ts"

const read = (path: string): string => {
  try {
    return Fs.readFileSync(path, "latin1")
  } catch {
    // it has ended
    return ""
  }
}

/** Whether the process is there and is not only waiting to be reaped. */
export const isAtWork = (pid: number): boolean => /^\d+ \(.*\) [^ZX]/s.test(read(`/proc/${pid}/stat`))

const childrenOf = (pid: number): ReadonlyArray<number> =>
  read(`/proc/${pid}/task/${pid}/children`).split(" ").filter((word) => word !== "").map(Number)

export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // ESRCH: it has ended
  }
}

/** Who dies with the program. */
export const ways = ["alone", "with its dead-man", "with its commands", "with all of them"] as const
export type Way = typeof ways[number]

export const spares = (way: Way): boolean => way === "alone" || way === "with its commands"

const isDeadMan = (pid: number) => read(`/proc/${pid}/cmdline`).split("\0").includes("quiesce-dead-man")

/** The dead-man of a program, if it is armed. */
export const deadManOf = (pid: number): number | undefined => childrenOf(pid).find(isDeadMan)

/** kill -9 of the process group of the program, and of who else is to die. Answers with the dead-man that lives. */
export const kill9 = (pid: number, way: Way): number | undefined => {
  // it must not start another child between the look and the kill
  signal(pid, "SIGSTOP")
  const children = childrenOf(pid)
  const deadMan = children.find(isDeadMan)
  if (deadMan !== undefined && !spares(way)) signal(deadMan, "SIGKILL")
  if (way === "with its commands" || way === "with all of them") {
    for (const child of children) if (!isDeadMan(child)) signal(-child, "SIGKILL")
  }
  signal(-pid, "SIGKILL")
  return spares(way) ? deadMan : undefined
}

/** Waits until it is so; answers with whether it came true within the limit. */
export const eventually = (condition: () => boolean, limit: `${number} seconds`): Effect.Effect<boolean> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("5 millis") }),
    Effect.timeoutTo({ duration: limit, onSuccess: () => true, onTimeout: () => false })
  )

/** Waits until nobody works in the world any more, and says who still does after the limit. */
export const quiet = (
  world: World,
  deadMan: number | undefined,
  limit: `${number} seconds` = "60 seconds"
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    if (deadMan !== undefined) yield* eventually(() => !isAtWork(deadMan), limit)
    const over = yield* eventually(
      () => world.gate.isIdle && world.docker.isIdle && Traces.processes(world.directory).length === 0,
      limit
    )
    if (over) return []
    return [
      ...Traces.processes(world.directory).map(({ argv, pid }) => `still at work: ${pid} ${argv.join(" ")}`),
      ...world.gate.isIdle ? [] : ["something is still being done"]
    ]
  })
