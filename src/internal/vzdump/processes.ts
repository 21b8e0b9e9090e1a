/**
 * Processes as `/proc/PID/stat` (proc(5)) tells of them. An id is used again; with the start time, in clock ticks since
 * boot, it names a process for as long as the host is up.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"

export interface ProcessStat {
  readonly pid: number
  readonly state: string
  readonly parent: number
  readonly session: number
  readonly startTime: number
}

/** What names a process. */
export type Identity = Pick<ProcessStat, "pid" | "startTime">

/** Reads the text of a `/proc/PID/stat`. The name of the program, in brackets, may hold anything. */
export const parse = (text: string): ProcessStat | undefined => {
  const [, state = "", parent, , session] = text.slice(text.lastIndexOf(")")).split(" ")
  const startTime = Number(text.slice(text.lastIndexOf(")")).split(" ")[20])
  const pid = Number.parseInt(text, 10)
  return pid > 0 && startTime >= 0
    ? { pid, state, parent: Number(parent), session: Number(session), startTime }
    : undefined
}

/** What there is to say of a process; nothing when there is none. */
export const look = (pid: number): Effect.Effect<ProcessStat | undefined> =>
  Effect.promise(() => Fs.readFile(`/proc/${pid}/stat`, "latin1").then(parse, () => undefined))

/** Whether it still runs. A zombie does not. */
export const isAlive = ({ pid, startTime }: Identity): Effect.Effect<boolean> =>
  Effect.map(
    look(pid),
    (found) => found !== undefined && found.startTime === startTime && found.state !== "Z" && found.state !== "X"
  )

/** The processes of a session, without its leader. */
export const followersOf = (session: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const names = yield* Effect.promise(() => Fs.readdir("/proc").catch(() => []))
    const found = yield* Effect.forEach(names.filter((name) => /^\d+$/.test(name)), (name) => look(Number(name)), {
      concurrency: 16
    })
    return found.flatMap((one) => one?.session === session && one.pid !== session ? [one.pid] : [])
  })

/** Sends a signal. A process that has ended meanwhile does not matter. */
export const signal = (pid: number, name: NodeJS.Signals): Effect.Effect<void> =>
  Effect.sync(() => {
    try {
      process.kill(pid, name)
    } catch {
      // ESRCH
    }
  })
