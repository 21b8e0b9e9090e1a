/**
 * Ends a vzdump that an agent has started.
 */
import { Duration, Effect, Schedule } from "effect"
import { untorn } from "../untorn.ts"
import * as Processes from "./processes.ts"
import * as RunDirectory from "./runDirectory.ts"

const gone = (it: Processes.Identity) =>
  Processes.isAlive(it).pipe(
    Effect.repeat({ until: (isAlive) => !isAlive, schedule: Schedule.spaced("50 millis") }),
    Effect.asVoid
  )

/**
 * SIGTERM, which the command hands on to what works for it: vzdump removes its snapshot and unlocks the guest before it
 * ends. SIGKILL to its whole session after the grace.
 */
export const terminate = (
  directory: RunDirectory.RunDirectory,
  grace: Duration.DurationInput = "30 seconds"
): Effect.Effect<void> =>
  untorn(Effect.gen(function*() {
    if (yield* RunDirectory.giveUp(directory)) return
    const it = yield* RunDirectory.owner(directory)
    if (it === undefined || it === "given up" || !(yield* Processes.isAlive(it))) return
    yield* Processes.signal(it.pid, "SIGTERM")
    if ((yield* Effect.timeoutOption(gone(it), grace))._tag === "Some") return
    yield* Effect.logWarning(
      `vzdump (process ${it.pid}) did not end within ${
        Duration.format(grace)
      } and is killed: the guest may stay locked, and a ` +
        `snapshot 'vzdump' may be left; its log is ${directory.log}`
    )
    // its leader writes the exit code down, and ends by that
    yield* Effect.forEach(yield* Processes.followersOf(it.session), (pid) => Processes.signal(pid, "SIGKILL"))
    yield* Effect.timeoutOption(gone(it), "2 seconds")
  })).pipe(Effect.catchAll(({ message }) => Effect.logWarning(`vzdump could not be ended: ${message}`)))
