/**
 * The built binary as a child process: what it says as it says it, and how it ends.
 */
import { Deferred, Effect, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { type Report, RunEvent } from "../../src/domain/Report.ts"
import { Schema } from "effect"
import * as Canary from "../support/canary.ts"

export const bin = Path.resolve("dist/bin.js")

export interface Options {
  /** Another build of the program. */
  readonly bin?: string | undefined
  readonly cwd?: string | undefined
  readonly path?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly uid?: number | undefined
  /** What starts it, as words before its own: another machine (`test/lab/machine.ts`). */
  readonly through?: ReadonlyArray<string> | undefined
  /** Where its stderr goes, in place of a pipe. */
  readonly stderrTo?: string | undefined
  /** Told of each event as it comes. */
  readonly onEvent?: ((event: RunEvent, pid: number) => void) | undefined
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly events: ReadonlyArray<RunEvent>
  readonly report: Report | undefined
  /** `performance.now()` at its death. */
  readonly at: number
  readonly millis: number
}

export interface Live {
  readonly pid: number
  readonly events: ReadonlyArray<RunEvent>
  readonly stderr: () => string
  readonly signal: (name: NodeJS.Signals) => void
  /** To its whole process group, as a terminal does at ^C. */
  readonly signalGroup: (name: NodeJS.Signals) => void
  readonly ended: Effect.Effect<Ended>
}

const decode = Schema.decodeUnknownEither(Schema.parseJson(RunEvent))

const environment = ({ env, path }: Options) => ({
  PATH: path ?? process.env["PATH"],
  HOME: "/nonexistent",
  LANG: "C.UTF-8",
  RESTIC_PASSWORD: Canary.password,
  ...env
})

const send = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch {
    // ESRCH: it has ended
  }
}

/** Starts it in a process group of its own. The close of the scope kills what is left of the group. */
export const start = (
  argv: ReadonlyArray<string>,
  options: Options = {}
): Effect.Effect<Live, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const begin = performance.now()
      const ended = yield* Deferred.make<Ended>()
      const [program = process.execPath, ...words] = [
        ...options.through ?? [],
        process.execPath,
        options.bin ?? bin,
        ...argv
      ]
      const stderrTo = options.stderrTo === undefined ? "pipe" : Fs.openSync(options.stderrTo, "a")
      const child = ChildProcess.spawn(program, words, {
        cwd: options.cwd ?? "/",
        env: environment(options),
        detached: true,
        stdio: ["ignore", "pipe", stderrTo],
        ...options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }
      })
      const pid = child.pid ?? 0
      const events: Array<RunEvent> = []
      const stdout: Array<string> = []
      let stderr = ""
      let at = 0
      if (typeof stderrTo === "number") Fs.closeSync(stderrTo)
      child.stderr?.on("data", (chunk: Buffer) => {
        stderr += chunk.toString("utf8")
      })
      if (child.stdout === null) return yield* Effect.dieMessage("it has no stdout")
      ReadLine.createInterface({ input: child.stdout }).on("line", (line) => {
        stdout.push(line)
        const event = decode(line)
        if (event._tag === "Left") return
        events.push(event.right)
        options.onEvent?.(event.right, pid)
      })
      child.once("exit", () => {
        at = performance.now()
      })
      child.once("close", (code, signal) => {
        // a new token is what this one prints
        if (argv[1] !== "token") Canary.listen(`stdout of quiesce ${argv.join(" ")}`, stdout.join("\n"))
        Canary.listen(`stderr of quiesce ${argv.join(" ")}`, stderr)
        const report = events.find((event) => event.type === "report")
        Deferred.unsafeDone(
          ended,
          Effect.succeed({ code, signal, stdout: stdout.join("\n"), stderr, events, report, at, millis: at - begin })
        )
      })
      const live: Live = {
        pid,
        events,
        stderr: () => stderr,
        signal: (name) => send(pid, name),
        signalGroup: (name) => send(-pid, name),
        ended: Deferred.await(ended)
      }
      return live
    }),
    (live) => Effect.zipRight(Effect.sync(() => live.signalGroup("SIGKILL")), Effect.timeoutOption(live.ended, 5_000))
  )

/** Runs it to its end. */
export const run = (argv: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(argv, options), ({ ended }) => ended))
