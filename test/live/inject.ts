/**
 * Kills a process at one of its own system calls, by strace(1): the signal arrives before the call is made.
 *
 * Only the threads that the process has at the time are traced, and no child: a recovery that it leaves behind must live.
 */
import { Effect, Schedule, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import { LabError } from "../lab/postgresInstall.ts"

const calls = ["openat", "write", "pwrite64", "fsync", "rename", "unlink"] as const
export type Call = (typeof calls)[number]

export interface Target {
  readonly call: Call
  /** Counted from 1. */
  readonly nth: number
}

const threads = (pid: number) => Fs.readdirSync(`/proc/${pid}/task`)

const isTraced = (pid: number) =>
  threads(pid).every((thread) =>
    !/^TracerPid:\t0$/m.test(Fs.readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"))
  )

/**
 * Watches the calls that touch the paths (absolute), into a file, and kills the process at the target. Returns when the
 * process is traced. `UV_THREADPOOL_SIZE=1` makes the count one count.
 */
export const trace = (
  pid: number,
  options: { readonly paths: ReadonlyArray<string>; readonly output: string; readonly kill?: Target | undefined }
): Effect.Effect<void, LabError, Scope.Scope> =>
  Effect.gen(function*() {
    const { kill, output, paths } = options
    const args = [
      "-qq",
      "-o",
      output,
      ...threads(pid).flatMap((thread) => ["-p", thread]),
      ...paths.flatMap((path) => ["-P", path]),
      "-e",
      `trace=${calls.join(",")}`,
      ...kill === undefined ? [] : ["-e", `inject=${kill.call}:signal=SIGKILL:when=${kill.nth}`]
    ]
    yield* Effect.acquireRelease(
      Effect.sync(() => ChildProcess.spawn("strace", args, { stdio: "ignore" })),
      (strace) =>
        Effect.async<void>((resume) => {
          if (strace.exitCode !== null || strace.signalCode !== null) return resume(Effect.void)
          strace.once("exit", () => resume(Effect.void))
          strace.kill("SIGTERM")
        })
    )
    yield* Effect.sync(() => isTraced(pid)).pipe(
      Effect.repeat({ until: (traced) => traced, schedule: Schedule.spaced("5 millis") }),
      Effect.timeoutFail({
        duration: "10 seconds",
        onTimeout: () => new LabError({ message: "strace did not attach" })
      })
    )
  })

/** The calls of a trace, in order, each with its number among those of its name, and the line that shows it. */
export const read = (output: string): ReadonlyArray<Target & { readonly line: string }> => {
  const seen = new Map<Call, number>()
  return Fs.readFileSync(output, "utf8").split("\n").flatMap((line) => {
    const call = calls.find((call) => new RegExp(`^(\\d+ +)?${call}\\(`).test(line))
    if (call === undefined) return []
    const nth = (seen.get(call) ?? 0) + 1
    seen.set(call, nth)
    return [{ call, nth, line: line.replace(/^\d+ +/, "") }]
  })
}
