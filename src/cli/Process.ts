/**
 * What a command must know of the process that it runs in, and what the process must know of the command.
 */
import { Context, Effect } from "effect"

/**
 * Beside a pending interruption the typed errors of a fiber are dropped on their way out, so a command that knows better
 * than the signal how the process must end says it here.
 */
export class Process extends Context.Reference<Process>()("quiesce/cli/Process", {
  defaultValue: (): {
    /** The exit code that the signal so far asks for, if there was one. */
    readonly interrupted: Effect.Effect<number | void>
    /** The command has ended with this exit code, whatever still comes. */
    readonly concluded: (exitCode: number) => Effect.Effect<void>
  } => ({ interrupted: Effect.void, concluded: () => Effect.void })
}) {}
