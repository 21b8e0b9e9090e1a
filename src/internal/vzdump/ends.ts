/**
 * How a vzdump is known to have ended.
 */
import { Effect, Option } from "effect"
import type { Upid } from "../../domain/Upid.ts"
import { stopwatch } from "../monotonic.ts"
import type { Followed } from "./follow.ts"
import type { VzdumpHost } from "./host.ts"
import * as Processes from "./processes.ts"
import * as RunDirectory from "./runDirectory.ts"
import * as Tasks from "./tasks.ts"

type Ended = Followed["ended"]

/** How long the exit code may take to be written after the end of the process, in milliseconds. */
const writeLimit = 2_000

const vanished = { _tag: "Vanished" } as const

/**
 * The end of a vzdump that an agent has started: the exit code that was written down. Where that was lost, what the log
 * of its task says, and without that nobody knows. `writer` is the process that will write the exit code, when it is
 * known.
 */
export const ofRun = (host: VzdumpHost, directory: RunDirectory.RunDirectory, writer?: number): Ended => {
  let gone: Effect.Effect<number> | undefined

  const learned = Effect.fnUntraced(function*(command: Processes.Identity) {
    const kept = yield* RunDirectory.upid(directory)
    if (Option.isSome(kept)) return kept
    const found = yield* Tasks.ofCommand(host, command)
    if (Option.isSome(found)) yield* RunDirectory.keepUpid(directory, found.value)
    return found
  })

  return Effect.fnUntraced(function*() {
    const code = yield* RunDirectory.exitCode(directory)
    if (code !== undefined) return { _tag: "Code", code } as const
    const owner = yield* RunDirectory.owner(directory)
    if (owner === "given up") return vanished
    if (owner === undefined) {
      // not yet, or never: the shell that was to become it has ended
      const isWriting = writer === undefined || (yield* Processes.look(writer)) !== undefined
      return isWriting || !(yield* RunDirectory.giveUp(directory)) ? undefined : vanished
    }
    const upid = yield* learned(owner)
    const working = [owner, ...Option.map(upid, Tasks.processOf).pipe(Option.toArray)]
    if (yield* Effect.exists(working, Processes.isAlive)) return undefined
    gone ??= yield* stopwatch
    if ((yield* gone) < writeLimit) return undefined
    const told = Option.isSome(upid) ? yield* Tasks.exitOf(host, upid.value) : undefined
    return told ?? vanished
  })
}

/** The end of a task that somebody else has started: its last line, or that its process is gone without one. */
export const ofTask = (upid: Upid): Ended => (told) =>
  told === undefined
    ? Effect.map(Processes.isAlive(Tasks.processOf(upid)), (isAlive) => isAlive ? undefined : vanished)
    : Effect.succeed(told)
