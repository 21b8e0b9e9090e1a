/**
 * A transfer by any command: restic, borg, rsync, a script.
 */
import { Effect, Layer } from "effect"
import * as Fs from "node:fs/promises"
import { io } from "../internal/disk.ts"
import { isExecutable } from "../internal/executable.ts"
import * as Kin from "../internal/kin.ts"
import { tail } from "../internal/outputTail.ts"
import { spawn } from "../internal/process.ts"
import { endLeftovers, kin, niceOf, notStarted } from "../internal/tool.ts"
import { untorn } from "../internal/untorn.ts"
import { Transfer, TransferFailed, TransferRefused } from "../services/Transfer.ts"

/** The command, and where it runs. */
export interface TransferCommandOptions {
  /**
   * Program and arguments, run without a shell. `{snapshot}` in an argument stands for the path of the snapshot, which
   * is also in the environment as QUIESCE_SNAPSHOT, beside QUIESCE_RUN_ID.
   */
  readonly command: readonly [string, ...ReadonlyArray<string>]
  /** The working directory, absolute. */
  readonly cwd: string
  readonly stateDir: string
  /** Gets the output as it comes. Must neither throw nor wait. */
  readonly onOutput?: ((text: string) => void) | undefined
}

/** Between SIGTERM and SIGKILL: restic and borg remove their locks in this time. */
const grace = "10 seconds"

const preflight = Effect.fn("TransferCommand.preflight")(
  function*(options: TransferCommandOptions) {
    const stat = yield* Effect.mapError(
      io(options.cwd, () => Fs.stat(options.cwd)),
      (error) => new TransferRefused({ reason: `the working directory cannot be used: ${error.message}` })
    )
    if (!stat.isDirectory()) {
      return yield* new TransferRefused({ reason: `the working directory ${options.cwd} is not a directory` })
    }
    const [program] = options.command
    if (!(yield* isExecutable(program, options.cwd))) {
      return yield* new TransferRefused({
        reason: program.includes("/")
          ? `'${program}' is not an executable file (from ${options.cwd})`
          : `'${program}' was not found in PATH: install it, or give its whole path`
      })
    }
  }
)

type Run = Pick<Parameters<Transfer["Type"]["run"]>[0], "runId" | "path" | "background">

const runCommand = Effect.fn("TransferCommand.run")(
  function*(options: TransferCommandOptions, run: Run) {
    const [program, ...args] = options.command
    const child = yield* spawn({
      argv: [program, ...args.map((argument) => argument.replaceAll("{snapshot}", () => run.path))],
      cwd: options.cwd,
      nice: niceOf(run.background),
      env: {
        ...Kin.environment(kin(options.stateDir)),
        QUIESCE_SNAPSHOT: run.path,
        QUIESCE_RUN_ID: run.runId
      }
    }, { grace }).pipe(Effect.mapError((error) => new TransferFailed({ reason: notStarted(error) })))
    const output = tail([child.stdout, child.stderr], (text) => {
      options.onOutput?.(text)
      return text
    })
    const { code, signal } = yield* child.exit
    yield* output.drained
    if (code !== 0) {
      const how = signal === undefined ? `ended with exit code ${code}` : `was killed by ${signal}`
      const last = output.last(20)
      return yield* new TransferFailed({ reason: `'${program}' ${how}${last === "" ? "" : `:\n${last}`}` })
    }
    return { location: `${program} ${run.path}` }
  },
  Effect.scoped,
  // what it left in another process group would read a snapshot that is being removed
  (effect, options) => Effect.ensuring(effect, untorn(endLeftovers(options.stateDir, "2 seconds")))
)

/**
 * Runs the command on the snapshot. It has failed when its exit code is not 0. When it is interrupted its whole group is
 * ended: SIGTERM, and SIGKILL after 10 seconds.
 */
export const layer = (options: TransferCommandOptions): Layer.Layer<Transfer> =>
  Layer.succeed(Transfer, {
    preflight: preflight(options),
    run: (run) => runCommand(options, run),
    sweep: endLeftovers(options.stateDir).pipe(Effect.withSpan("TransferCommand.sweep"))
  })
