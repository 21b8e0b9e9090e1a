/**
 * Finds the processes that this program started, also those of a dead run, by a word in their environment.
 *
 * A record of process ids would be wrong after a crash between the start and the write, and after a reuse of the id; the
 * environment is set by the start itself, and children inherit it. It is read from `/proc/PID/environ` (proc(5)).
 */
import { Duration, Effect, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import { unsupervised } from "./supervision.ts"

const variable = "QUIESCE_KIN"

/** What a process was started for, and in whose name. */
export interface Kin {
  readonly role: string
  readonly owner: string
}

const word = (kin: Kin) => `${kin.role}:${kin.owner}`

/** The environment that marks a child. Never given to a command that leaves a daemon behind. */
export const environment = (kin: Kin): Readonly<Record<string, string>> => ({ [variable]: word(kin) })

/**
 * An environment without a mark: what this program starts must not pass for what it was itself started for, and a
 * daemon would carry the mark for ever. Nor is it this service.
 */
export const unmarked = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...unsupervised(environment),
  [variable]: undefined
})

const readEnviron = (pid: string) =>
  // gone, a kernel thread, or another user's: not ours
  Fs.readFile(`/proc/${pid}/environ`, "latin1").catch(() => "")

/** The live processes of this kin. Those of other users cannot be seen without root. */
export const find = (kin: Kin): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const names = yield* Effect.promise(() => Fs.readdir("/proc").catch(() => []))
    const pids = names.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    const wanted = Buffer.from(`${variable}=${word(kin)}`, "utf8").toString("latin1")
    const environs = yield* Effect.promise(() => Promise.all(pids.map(readEnviron)))
    return pids.filter((_, index) => environs[index]?.split("\0").includes(wanted)).map(Number)
  })

const signal = (pids: ReadonlyArray<number>, name: NodeJS.Signals) =>
  Effect.sync(() => {
    for (const pid of pids) {
      try {
        process.kill(pid, name)
      } catch {
        // ESRCH: it has ended by itself
      }
    }
  })

const allGone = (kin: Kin) =>
  find(kin).pipe(
    Effect.repeat({ until: (pids) => pids.length === 0, schedule: Schedule.spaced("50 millis") }),
    Effect.asVoid
  )

/** Ends the processes of this kin: SIGTERM, and SIGKILL after the grace. Answers with how many there were. */
export const end = (kin: Kin, grace: Duration.DurationInput): Effect.Effect<number> =>
  Effect.gen(function*() {
    const pids = yield* find(kin)
    if (pids.length === 0) return 0
    yield* signal(pids, "SIGTERM")
    yield* allGone(kin).pipe(
      Effect.timeoutOption(grace),
      Effect.zipRight(Effect.flatMap(find(kin), (left) => signal(left, "SIGKILL"))),
      Effect.zipRight(Effect.timeoutOption(allGone(kin), Duration.seconds(2)))
    )
    return pids.length
  })
