/**
 * A daemon as a child of this process: it outlives nothing but this process, and what it prints goes to a file.
 */
import { Deferred, Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import { unmarked } from "../../../src/internal/kin.ts"
import { type Argv, attempt, LabError } from "../postgresInstall.ts"

export interface Daemon {
  readonly pid: number
  /** Returns when it has ended, and been reaped. */
  readonly ended: Effect.Effect<void>
  readonly isRunning: Effect.Effect<boolean>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

const packages: Readonly<Record<string, string>> = { dockerd: "docker.io" }

const failed = (program: string, error: Error): LabError =>
  new LabError({
    message: "code" in error && error.code === "ENOENT"
      ? `'${program}' was not found; install the Debian package ${packages[program] ?? program}`
      : `'${program}' could not be started: ${error.message}`
  })

/** Starts it in a session of its own. Nothing ends it but its owner. */
export const launch = Effect.fn("Lab.launch")(function*(
  argv: Argv,
  options: { readonly log: string; readonly env?: Readonly<Record<string, string>> }
) {
  const [program, ...args] = argv
  const ended = yield* Deferred.make<void>()
  const log = yield* attempt(options.log, async () => Fs.openSync(options.log, "a"))
  const pid = yield* Effect.async<number, LabError>((resume) => {
    const child = ChildProcess.spawn(program, args, {
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
      env: { ...unmarked(process.env), ...options.env }
    })
    child.once("error", (error) => resume(failed(program, error)))
    child.once("exit", () => Deferred.unsafeDone(ended, Effect.void))
    child.once("spawn", () => resume(Effect.succeed(child.pid ?? 0)))
  }).pipe(Effect.ensuring(Effect.sync(() => Fs.closeSync(log))))
  const isRunning = Effect.map(Deferred.isDone(ended), (done) => !done)
  const daemon: Daemon = {
    pid,
    ended: Deferred.await(ended),
    isRunning,
    signal: (signal) => Effect.map(isRunning, (running) => void (running && process.kill(pid, signal)))
  }
  return daemon
})

/** The end of a log, for an error message. */
export const lastLines = (path: string, count = 8): Effect.Effect<string> =>
  Effect.tryPromise(() => Fs.promises.readFile(path, "utf8")).pipe(
    Effect.map((text) => text.trimEnd().split("\n").slice(-count).join("\n")),
    Effect.orElseSucceed(() => "(there is no log)")
  )
