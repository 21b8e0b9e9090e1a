/**
 * The service that is told how this process is, by a daemon that somebody supervises.
 */
import { Context, Effect } from "effect"

/**
 * Who starts this daemon, and ends it when it is wedged. Where there is nobody, nothing is told.
 *
 * Nothing here fails or waits: whoever tells may hold an app down.
 */
export class Supervisor extends Context.Reference<Supervisor>()("quiesce/services/Supervisor", {
  defaultValue: (): {
    /** The daemon does its work from here on. From now on it also shows that it lives, until the process ends. */
    readonly ready: Effect.Effect<void>
    /** What it does now, in one line for people. */
    readonly status: (text: string) => Effect.Effect<void>
    /** It is about to end, which may take the time that an app needs to come up. */
    readonly stopping: Effect.Effect<void>
  } => ({ ready: Effect.void, status: () => Effect.void, stopping: Effect.void })
}) {}
