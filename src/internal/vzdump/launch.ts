/**
 * Starts a vzdump that goes on without us: in a session of its own, and never with a pipe of ours, whose end would end
 * the backup at its next line.
 */
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import { EngineFailed } from "../../services/Engine.ts"
import type { RunDirectory } from "./runDirectory.ts"

// A link is made once only: where an agent has given this vzdump up, the inner shell does not become it.
const becomeVzdump = `directory=$1
shift
IFS= read -r stat </proc/$$/stat && ln -s -- "$stat" "$directory/process" || exit 1
exec "$@"`

// Signals to the session must not take the one that writes the exit code down; what has a handler here is the default
// in the child. Until the end of a child in the foreground they wait.
const script = `trap : HUP INT QUIT TERM
directory=$1
/bin/sh -c '${becomeVzdump}' quiesce-vzdump "$@"
code=$?
printf '%s\\n' "$code" >"$directory/exit.new" && mv -f -- "$directory/exit.new" "$directory/exit"`

/** The programs that vzdump starts have their messages in English. */
const environment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" }

const failed = (error: unknown) =>
  new EngineFailed({ reason: `vzdump could not be started: ${error instanceof Error ? error.message : String(error)}` })

/** Starts it, and answers with the process that will write its exit code down. `log` is an open descriptor. */
export const launch = (
  directory: RunDirectory,
  log: number,
  argv: ReadonlyArray<string>
): Effect.Effect<number, EngineFailed> =>
  Effect.uninterruptible(Effect.async<number, EngineFailed>((resume) => {
    const child = ChildProcess.spawn("/bin/sh", ["-c", script, "quiesce-vzdump", directory.path, ...argv], {
      cwd: "/",
      env: environment,
      detached: true,
      stdio: ["ignore", log, log]
    })
    child.on("error", (error) => resume(failed(error)))
    child.once("spawn", () => {
      child.unref()
      resume(Effect.succeed(child.pid ?? 0))
    })
  })).pipe(Effect.catchAllDefect(failed))
