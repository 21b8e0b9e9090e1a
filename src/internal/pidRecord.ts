/**
 * A file that says which command is under way, so that another process can tell after our death whether it still is.
 *
 * The id of a process is used again, so its start time (proc(5), `/proc/PID/stat`, field 22) is kept with it. What a
 * command leaves behind when it ends does not count. A kill between the start and this record leaves a command that
 * nobody knows of: whoever reads must not take "no record" for "nothing is under way".
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { untorn } from "./untorn.ts"

/** State and start time of a process; nothing when there is none. */
const lookUp = (pid: number) =>
  Fs.readFile(`/proc/${pid}/stat`, "latin1").then((stat) => {
    // the name of the program, in brackets, may hold anything
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0], startTime: fields[19] }
  }, () => undefined)

// also in a finalizer, where nothing is interruptible, a disk that stands still must not be waited for
const bestEffort = (what: () => Promise<unknown>) =>
  untorn(Effect.tryPromise(what).pipe(Effect.disconnect, Effect.timeoutOption("2 seconds"), Effect.ignore))

/** Writes down that this process is the command that is under way. Best effort. */
export const write = (path: string, pid: number): Effect.Effect<void> =>
  bestEffort(() =>
    lookUp(pid).then((found) =>
      found === undefined ? undefined : Fs.mkdir(Path.dirname(path), { recursive: true, mode: 0o700 })
        .then(() => Fs.unlink(path).catch(() => undefined))
        .then(() => Fs.writeFile(path, `${pid} ${found.startTime}\n`, { flag: "wx", mode: 0o600 }))
    )
  )

/** Nothing is under way any more. Best effort. */
export const remove = (path: string): Effect.Effect<void> => bestEffort(() => Fs.unlink(path))

/** Whether the command of the record still runs. */
export const isAlive = (path: string): Effect.Effect<boolean> =>
  Effect.tryPromise(() =>
    Fs.readFile(path, "latin1").then((text) => {
      const [pid, startTime] = text.trim().split(" ")
      return lookUp(Number(pid)).then((found) =>
        found !== undefined && found.startTime === startTime && found.state !== "Z" && found.state !== "X"
      )
    })
  ).pipe(Effect.disconnect, Effect.timeout("2 seconds"), Effect.orElseSucceed(() => false))
