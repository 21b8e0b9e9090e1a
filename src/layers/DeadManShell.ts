/**
 * The dead-man as a detached `sh` that reads a pipe from us: the kernel closes the pipe on any death of this process,
 * also kill -9, and the shell then becomes the command that recovers.
 */
import { Deferred, Effect, Layer } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import type { Writable } from "node:stream"
import { errnoOf, reasonOf } from "../internal/durable.ts"
import { unmarked } from "../internal/kin.ts"
import { untorn } from "../internal/untorn.ts"
import { DeadMan, DeadManUnavailable } from "../services/DeadMan.ts"

/** What recovers, and where its output goes. */
export interface DeadManShellOptions {
  /** What recovers, as an argv without a shell. */
  readonly command: readonly [string, ...ReadonlyArray<string>]
  /** Where its output goes (made with mode 0600, appended to; its directory must exist). */
  readonly logFile: string
  readonly cwd?: string | undefined
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

// Signals are ignored only until the exec: what recovers must be stoppable. A word that was cut off is no word.
const script = `trap '' HUP INT PIPE QUIT TERM
echo armed >&3
exec 3>&-
IFS= read -r word && [ "$word" = disarm ] && exit 0
trap - HUP INT PIPE QUIT TERM
exec "$@" </dev/null`

const readyTimeout = "10 seconds"
const disarmTimeout = "2 seconds"

interface Sentinel {
  readonly child: ChildProcess.ChildProcess
  readonly pipe: Writable | null
}

const describe = (error: unknown) =>
  errnoOf(error) === "ENOENT" ? "'sh' was not found (PATH, or the working directory does not exist)" : reasonOf(error)

/** Starts the shell and returns when it listens. It must not keep a process alive that has nothing else to do. */
const start = (options: DeadManShellOptions, log: number) =>
  Effect.async<Sentinel, string>((resume) => {
    const child = ChildProcess.spawn("sh", ["-c", script, "quiesce-dead-man", ...options.command], {
      cwd: options.cwd,
      env: { ...unmarked(process.env), ...options.env },
      // a session of its own: neither ^C nor a signal to our process group reaches it
      detached: true,
      stdio: ["pipe", log, log, "pipe"]
    })
    child.on("error", (error) => resume(Effect.fail(describe(error))))
    child.once("exit", () => resume(Effect.fail("'sh' ended at once")))
    child.unref()
    const pipe = child.stdin
    // a shell that somebody killed must not take us with it (EPIPE)
    pipe?.on("error", () => undefined)
    if (pipe instanceof Net.Socket) pipe.unref()
    // there are no pipes when there were no descriptors left for them
    const answer = child.stdin === undefined ? undefined : child.stdio[3]
    answer?.on("error", () => undefined)
    answer?.once("data", () => {
      answer.destroy()
      resume(Effect.succeed({ child, pipe }))
    })
    return Effect.sync(() => {
      answer?.destroy()
      child.kill("SIGKILL")
    })
  }).pipe(
    Effect.timeoutFail({ duration: readyTimeout, onTimeout: () => "'sh' did not answer" }),
    Effect.catchAllDefect((defect) => Effect.fail(describe(defect)))
  )

const arm = (options: DeadManShellOptions) =>
  Effect.gen(function*() {
    const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = Fs.constants
    const log = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => Fs.open(options.logFile, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600),
        catch: (error) => `${options.logFile}: ${reasonOf(error)}`
      }),
      (log) => Effect.promise(() => log.close().catch(() => undefined))
    )
    return yield* start(options, log.fd)
  }).pipe(
    Effect.scoped,
    untorn,
    Effect.mapError((reason) => new DeadManUnavailable({ reason }))
  )

/** The end of the shell is the proof. One that somebody has stopped reads the word when it goes on. */
const disarm = ({ child, pipe }: Sentinel) =>
  Effect.gen(function*() {
    const ended = yield* Deferred.make<void>()
    child.once("exit", () => Deferred.unsafeDone(ended, Effect.void))
    if (child.exitCode !== null || child.signalCode !== null) return
    pipe?.end("disarm\n")
    yield* Effect.timeoutOption(Deferred.await(ended), disarmTimeout)
  }).pipe(untorn)

/** A dead-man that runs the command on this machine, as this user. Needs a POSIX `sh`. */
export const layer = (options: DeadManShellOptions): Layer.Layer<DeadMan> =>
  Layer.succeed(DeadMan, {
    arm: Effect.acquireRelease(arm(options), disarm).pipe(Effect.asVoid, Effect.withSpan("DeadMan.arm"))
  })
