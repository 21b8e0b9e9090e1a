// @effect-diagnostics globalTimers:off
/**
 * The main of the binary.
 *
 * NodeRuntime.runMain skips finalizers on a second signal, on SIGHUP, on EPIPE and on an uncaught exception, and exits 0
 * after SIGTERM. A finalizer here is an app that is brought up again, so nothing but SIGKILL skips one.
 */
import * as Runtime from "@effect/platform/Runtime"
import { Cause, Effect, Exit, Option, Predicate } from "effect"
import * as Fs from "node:fs"
import { ExitCode } from "../domain/Report.ts"
import type { Process } from "./Process.ts"

/** 128 + the number of the signal, as a shell says it. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
type Signal = keyof typeof signals

/** What came from outside while the program ran. */
interface Outside {
  signal: Signal | undefined
  crashed: boolean
  /** The exit code that the command itself has given, before a signal could take its error away. */
  concluded: number | undefined
}

const codeOfError = (error: unknown): number | undefined =>
  Predicate.hasProperty(error, "exitCode") && typeof error.exitCode === "number" ? error.exitCode : undefined

/**
 * The exit code. What the command has concluded, or a typed error says, wins over a signal, because it knows more: an app that is down is 4 whatever
 * ended the run. A typed error that only says "interrupted" leaves it to the signal.
 */
export const exitCode = (exit: Exit.Exit<unknown, unknown>, outside: Readonly<Outside>): number => {
  const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
  const code = outside.concluded ?? (failure === undefined ? undefined : codeOfError(failure) ?? ExitCode.internal)
  if (code === ExitCode.appDown) return code
  if (outside.crashed) return ExitCode.internal
  if (code !== undefined && code !== ExitCode.interrupted) return code
  if (outside.signal !== undefined) return signals[outside.signal]
  if (code !== undefined || Exit.isSuccess(exit)) return code ?? ExitCode.ok
  return Cause.isInterruptedOnly(exit.cause) ? ExitCode.interrupted : ExitCode.internal
}

/** For the last words: never throws, never waits. */
const say = (text: string) => {
  if (process.stderr.writable) process.stderr.write(`quiesce: ${text}\n`)
}

/**
 * A terminal that stands still (^S, a dead ssh connection) blocks a synchronous write, and with it the event loop, while
 * an app may be held down. Pipes do not block in Node, terminals do unless told otherwise.
 */
const unblock = (stream: NodeJS.WriteStream) => {
  const handle = Predicate.hasProperty(stream, "_handle") ? stream._handle : undefined
  if (stream.isTTY && Predicate.hasProperty(handle, "setBlocking") && typeof handle.setBlocking === "function") {
    handle.setBlocking(false)
  }
}

/**
 * Node writes to a file synchronously. One that stands still (a guest that is frozen for its snapshot, a dead NFS server)
 * would block the event loop, and with it every limit, while an app is held down.
 */
const unblockFile = (name: "stdout" | "stderr", fd: 1 | 2) => {
  try {
    if (!Fs.fstatSync(fd).isFile()) return
  } catch {
    // EBADF: it is closed
    return
  }
  const value = Fs.createWriteStream("", { fd, autoClose: false })
  Object.defineProperty(process, name, { value, configurable: true, enumerable: true })
}

/** Calls back once the stream has taken everything, or will not any more, or the limit (ms) is over. */
const flush = (stream: NodeJS.WriteStream, limit: number | undefined, done: () => void) => {
  let called = false
  const once = () => {
    if (called) return
    called = true
    done()
  }
  if (stream.destroyed || stream.writableLength === 0) return once()
  stream.once("close", once)
  stream.once("error", once)
  stream.write("", once)
  if (limit !== undefined) setTimeout(once, limit)
}

/** How long a reader that does not read may hold up the exit after a signal, and stderr always. */
const flushLimit = 1_000

/**
 * The listeners come before the program's fiber: it runs at once, and a signal without a listener kills the process.
 */
const listen = (outside: Outside) => {
  let interrupt = () => {}
  let code: number | undefined
  // a fiber that waits only for another process must not let the event loop run dry
  const keepAlive = setInterval(() => undefined, 2 ** 31 - 1)
  const leave = () => {
    clearInterval(keepAlive)
    process.exit(code)
  }

  const onSignal = (signal: Signal) => {
    if (code !== undefined) return leave()
    if (outside.signal !== undefined) return say(`${signal}: still stopping; bringing an app up is never skipped`)
    outside.signal = signal
    say(`${signal}: stopping; what is held down is brought up first`)
    interrupt()
  }
  const onCrash = (error: unknown) => {
    say(`internal error: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
    outside.crashed = true
    interrupt()
  }
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.on(signal, onSignal)
  // a process that is stopped has not died: no dead-man acts, and no limit ends, while an app is held down
  for (const signal of ["SIGTSTP", "SIGTTIN", "SIGTTOU"] as const) {
    process.on(signal, () => say(`${signal}: not while an app may be held down; to end the run use ^C`))
  }
  process.on("uncaughtException", onCrash)
  process.on("unhandledRejection", onCrash)
  unblockFile("stdout", 1)
  unblockFile("stderr", 2)
  for (const stream of [process.stdout, process.stderr]) {
    // EPIPE: the reader is gone, which is no reason to leave an app down
    stream.on("error", () => undefined)
    unblock(stream)
  }

  return Runtime.makeRunMain(({ fiber }) => {
    interrupt = () => fiber.unsafeInterruptAsFork(fiber.id())
    fiber.addObserver((exit) => {
      interrupt = () => {}
      code = exitCode(exit, outside)
      if (Exit.isFailure(exit) && Cause.isDie(exit.cause)) say(`internal error: ${Cause.pretty(exit.cause)}`)
      flush(
        process.stdout,
        outside.signal === undefined ? undefined : flushLimit,
        () => flush(process.stderr, flushLimit, leave)
      )
    })
  })
}

/**
 * Runs the program as the main of this process: the first SIGINT, SIGTERM or SIGHUP, or an uncaught exception,
 * interrupts it, later ones are only answered, and the process ends when every finalizer has ended. A typed error's
 * `exitCode` is the exit code.
 */
export const main = <E>(program: (process: Process["Type"]) => Effect.Effect<void, E>): void => {
  const outside: Outside = { signal: undefined, crashed: false, concluded: undefined }
  const interrupted = Effect.sync(() =>
    outside.crashed ? ExitCode.internal : outside.signal === undefined ? undefined : signals[outside.signal]
  )
  const concluded = (exitCode: number) =>
    Effect.sync(() => {
      outside.concluded = exitCode
    })
  listen(outside)(program({ interrupted, concluded }), { disableErrorReporting: true, disablePrettyLogger: true })
}
