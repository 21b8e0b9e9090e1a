/**
 * Child processes for the layers: an argv without a shell, in a process group of its own, ended as a group.
 *
 * The end of a child is the end of the child itself, never the close of its pipes: a daemon that it started may hold
 * them for ever.
 */
import { Deferred, Duration, Effect, Option, Schema, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Os from "node:os"
import type { Readable, Writable } from "node:stream"
import { unmarked } from "./kin.ts"
import { printable } from "./oneLine.ts"
import { untorn } from "./untorn.ts"

/** The program could not be started at all. */
export class SpawnFailed extends Schema.TaggedError<SpawnFailed>()("SpawnFailed", {
  program: Schema.String,
  /** The `errno` name: `ENOENT`, `EACCES`, ... */
  code: Schema.String
}) {
  override get message(): string {
    switch (this.code) {
      case "ENOENT":
        return `'${this.program}' was not found (PATH, or the working directory does not exist)`
      case "EACCES":
        return `'${this.program}' could not be started: it is not executable, or the working directory is closed to us`
      case "ENOTDIR":
        return `'${this.program}' could not be started: its path or the working directory goes through a file`
      default:
        return `'${this.program}' could not be started: ${this.code}`
    }
  }
}

export interface ProcessSpec {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly cwd?: string | undefined
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /**
   * Where stdout and stderr go. `pipe`: to this process. A number: to that file descriptor. `ignore`: nowhere. A program
   * that leaves a daemon behind must not get a pipe: the daemon would die of SIGPIPE once we are gone.
   */
  readonly stdout?: "pipe" | "ignore" | number | undefined
  readonly stderr?: "pipe" | "ignore" | number | undefined
  /** The nice value (setpriority(2)), which what it starts inherits. Default: ours. */
  readonly nice?: number | undefined
  /** File descriptors that the child inherits as 3, 4, ... */
  readonly inherit?: ReadonlyArray<number> | undefined
}

export interface ProcessExit {
  /** The exit code, or 128 + the number of the signal, as a shell says it. */
  readonly code: number
  readonly signal: string | undefined
}

export interface RunningProcess {
  readonly pid: number
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  readonly stdin: Writable | null
  /** Waits for the end of the child itself. */
  readonly exit: Effect.Effect<ProcessExit>
  /**
   * SIGTERM to the whole group, SIGKILL after the grace; returns when the child has ended. A child that even SIGKILL
   * does not end at once (it sleeps in the kernel, on a frozen file system) is not waited for.
   */
  readonly terminate: (grace: Duration.DurationInput) => Effect.Effect<void>
}

/** How long the kernel may take to end a child after SIGKILL. */
const killWait = Duration.seconds(2)

const signalGroup = (pid: number, signal: NodeJS.Signals) =>
  Effect.sync(() => {
    try {
      process.kill(-pid, signal)
    } catch {
      // ESRCH: the group is gone, which is what was wanted
    }
  })

const errorCode = (error: Error): string => "code" in error ? String(error.code) : error.message

// what is wrong with the argv or the environment itself (E2BIG, a NUL byte) is thrown
const attempt = <A>(act: () => A): A | Error => {
  try {
    return act()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

const renice = (pid: number, nice: number | undefined) => {
  // it has ended already (ESRCH), or it is below ours (EPERM): then it works as it is
  if (nice !== undefined) attempt(() => Os.setPriority(pid, nice))
}

/** Starts the child. The close of the scope ends its whole group if it still runs. */
export const spawn = (
  spec: ProcessSpec,
  options?: { readonly grace?: Duration.DurationInput }
): Effect.Effect<RunningProcess, SpawnFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const ended = yield* Deferred.make<ProcessExit>()
      const [program, ...args] = spec.argv
      return yield* Effect.async<RunningProcess, SpawnFailed>((resume) => {
        const child = attempt(() =>
          ChildProcess.spawn(program, args, {
            cwd: spec.cwd,
            env: { ...unmarked(process.env), ...spec.env },
            detached: true,
            stdio: ["ignore", spec.stdout ?? "pipe", spec.stderr ?? "pipe", ...(spec.inherit ?? [])]
          })
        )
        if (child instanceof Error) return resume(new SpawnFailed({ program, code: errorCode(child) }))
        child.on("error", (error) => {
          if (child.pid === undefined) resume(new SpawnFailed({ program, code: errorCode(error) }))
        })
        child.once("exit", (code, signal) => {
          const number = signal === null ? 0 : Os.constants.signals[signal]
          Deferred.unsafeDone(ended, Effect.succeed({ code: code ?? 128 + number, signal: signal ?? undefined }))
        })
        child.once("spawn", () => {
          const pid = child.pid ?? 0
          renice(pid, spec.nice)
          const exit = Deferred.await(ended)
          for (const stream of [child.stdout, child.stderr]) stream?.on("error", () => undefined)
          resume(Effect.succeed({
            pid,
            stdout: child.stdout,
            stderr: child.stderr,
            stdin: child.stdin,
            exit,
            terminate: (grace) =>
              untorn(Effect.gen(function*() {
                if (yield* Deferred.isDone(ended)) return
                yield* signalGroup(pid, "SIGTERM")
                yield* Effect.timeoutOption(exit, grace)
                // also when the child is gone: what it started in its group may not be
                yield* signalGroup(pid, "SIGKILL")
                yield* Effect.timeoutOption(exit, killWait)
              }))
          }))
        })
      })
    }),
    (child) => child.terminate(options?.grace ?? "2 seconds")
  )

export interface ProcessResult extends ProcessExit {
  readonly timedOut: boolean
  readonly stdout: string
  /** The last output on stdout and stderr together, for error messages. */
  readonly output: string
}

const keep = 64 * 1024

const collector = (stream: Readable | null, also?: (text: string) => void) => {
  let text = ""
  stream?.setEncoding("utf8")
  stream?.on("data", (more: string) => {
    also?.(more)
    text = (text + more).slice(-keep)
  })
  return () => text
}

const drained = (streams: ReadonlyArray<Readable | null>) =>
  Effect.forEach(streams, (stream) =>
    stream === null || stream.readableEnded || stream.destroyed
      ? Effect.void
      : Effect.async<void>((resume) => {
        stream.once("close", () => resume(Effect.void))
      }), { discard: true }).pipe(
      // whoever still holds the pipe after this is not the child
      Effect.timeoutOption("100 millis"),
      Effect.zipRight(Effect.sync(() => streams.forEach((stream) => stream?.destroy())))
    )

const killed = (child: RunningProcess, grace: Duration.DurationInput): Effect.Effect<ProcessExit> =>
  Effect.zipRight(
    child.terminate(grace),
    Effect.map(
      Effect.timeoutOption(child.exit, "10 millis"),
      Option.getOrElse((): ProcessExit => ({ code: 128 + Os.constants.signals.SIGKILL, signal: "SIGKILL" }))
    )
  )

/**
 * Runs the child to its end, or to the timeout, at which its whole group is ended. Keeps the last 64 KiB of output.
 */
export const run = (
  spec: ProcessSpec & {
    readonly timeout?: Duration.DurationInput | undefined
    readonly grace?: Duration.DurationInput | undefined
    /** What to do as soon as the child lives. Its time is not the child's. */
    readonly onSpawn?: ((pid: number) => Effect.Effect<void>) | undefined
  }
): Effect.Effect<ProcessResult, SpawnFailed> =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* spawn(spec, spec.grace === undefined ? {} : { grace: spec.grace })
    let merged = ""
    const merge = (text: string) => {
      merged = (merged + text).slice(-keep)
    }
    const stdout = collector(child.stdout, merge)
    collector(child.stderr, merge)
    if (spec.onSpawn !== undefined) yield* spec.onSpawn(child.pid)
    const limit = spec.timeout === undefined ? Duration.infinity : Duration.decode(spec.timeout)
    const inTime = Duration.isFinite(limit)
      ? yield* Effect.timeoutOption(child.exit, limit)
      : Option.some(yield* child.exit)
    const exit = Option.isSome(inTime) ? inTime.value : yield* killed(child, spec.grace ?? "2 seconds")
    yield* drained([child.stdout, child.stderr])
    return { ...exit, timedOut: Option.isNone(inTime), stdout: stdout(), output: printable(merged).trim() }
  }))

/** How a child ended, in words, with the last lines that it printed. */
export const explain = (result: ProcessResult): string => {
  const how = result.timedOut
    ? "it did not end in time and was killed"
    : result.signal === undefined
    ? `exit code ${result.code}`
    : `killed by ${result.signal}`
  const last = result.output.split("\n").slice(-5).join("\n").trim()
  return last === "" ? how : `${how}: ${last}`
}
