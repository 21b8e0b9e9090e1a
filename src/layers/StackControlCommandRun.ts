/**
 * The commands of a stack as child processes: how each is run, and where its output goes.
 */
import { Duration, Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { StackName } from "../domain/Stack.ts"
import { printable } from "../internal/oneLine.ts"
import * as PidRecord from "../internal/pidRecord.ts"
import { explain, type ProcessResult, run, type SpawnFailed } from "../internal/process.ts"
import * as StateDir from "../internal/stateDir.ts"
import { StackControlError } from "../services/StackControl.ts"

/** A program and its arguments; no shell reads them. */
export type Argv = readonly [string, ...ReadonlyArray<string>]

type Operation = StackControlError["operation"]

interface Order {
  readonly stack: StackName
  readonly operation: Operation
  readonly argv: Argv
  readonly cwd: string
  readonly timeout: Duration.DurationInput
}

const spec = ({ argv, cwd, stack, timeout }: Order) => ({ argv, cwd, timeout, env: { QUIESCE_STACK: stack } })

/** Where it is written down that a stop or start of this stack is under way. */
export const record = (stateDir: string, stack: StackName): string => Path.join(stateDir, "commands", `${stack}.pid`)

/** Lets other processes see that the command is under way, until it has ended. */
const recorded = (stateDir: string, order: Order) => {
  const file = record(stateDir, order.stack)
  return {
    onSpawn: (pid: number) => PidRecord.write(file, pid),
    ended: Effect.ensuring(PidRecord.remove(file))
  }
}

const cannotStart = ({ cwd, operation, stack }: Order) => (error: SpawnFailed) =>
  new StackControlError({
    stack,
    operation,
    reason: `${error.message}; give the ${
      operation === "inspect" ? "status" : operation
    } command as an absolute path or one below ${cwd}, and check its cwd`
  })

const failed = ({ argv, operation, stack, timeout }: Order, result: ProcessResult) =>
  new StackControlError({
    stack,
    operation,
    reason: `'${argv.join(" ")}' (limit ${Duration.format(timeout)}): ${explain(result)}`
  })

/** Runs a command to its end and answers with how it ended, whatever that is. */
export const ask = (order: Order): Effect.Effect<ProcessResult, StackControlError> =>
  run(spec(order)).pipe(Effect.mapError(cannotStart(order)))

const good = (order: Order) => (ended: Effect.Effect<ProcessResult, StackControlError>) =>
  Effect.asVoid(
    Effect.filterOrFail(ended, ({ code, timedOut }) => code === 0 && !timedOut, (result) => failed(order, result))
  )

/** Runs a command that must end with exit code 0. */
export const perform = (order: Order): Effect.Effect<void, StackControlError> => good(order)(ask(order))

/** Runs a stop command. While it runs, other processes can see it. */
export const stop = (stateDir: string, order: Order): Effect.Effect<void, StackControlError> => {
  const { ended, onSpawn } = recorded(stateDir, order)
  return run({ ...spec(order), onSpawn }).pipe(ended, Effect.mapError(cannotStart(order)), good(order))
}

const openLog = (stateDir: string, stack: StackName) =>
  Effect.gen(function*() {
    const directory = Path.join(stateDir, "output")
    yield* StateDir.ensure(stateDir)
    yield* StateDir.ensure(directory)
    const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR, O_TRUNC } = Fs.constants
    return yield* Effect.acquireRelease(
      Effect.tryPromise(() =>
        Fs.open(
          Path.join(directory, `${stack}.start.log`),
          O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW,
          0o600
        )
      ),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    )
  }).pipe(
    // an app must come back also when the state directory is gone, full, read-only or hangs: its output is lost then
    Effect.disconnect,
    Effect.timeout("2 seconds"),
    Effect.orElseSucceed((): Fs.FileHandle | undefined => undefined)
  )

const tail = (file: Fs.FileHandle | undefined) =>
  Effect.promise(() => {
    if (file === undefined) return Promise.resolve("")
    const size = 4096
    return file.stat().then(({ size: end }) =>
      file.read({ buffer: Buffer.alloc(size), position: Math.max(0, end - size) })
    ).then(({ buffer, bytesRead }) => printable(buffer.toString("utf8", 0, bytesRead)).trim()).catch(() => "")
  })

/**
 * Runs a start command. Its output goes to `<stateDir>/output/<stack>.start.log`, because what it starts keeps its
 * stdout: on a pipe of ours the app would die of SIGPIPE after our end, and the start would seem never to end.
 */
export const start = (stateDir: string, order: Order): Effect.Effect<void, StackControlError> =>
  Effect.scoped(Effect.gen(function*() {
    const log: Fs.FileHandle | undefined = yield* openLog(stateDir, order.stack)
    const output = log?.fd ?? "ignore"
    const { ended, onSpawn } = recorded(stateDir, order)
    const result = yield* run({ ...spec(order), stdout: output, stderr: output, onSpawn }).pipe(
      ended,
      Effect.mapError(cannotStart(order))
    )
    if (result.code === 0 && !result.timedOut) return
    return yield* failed(order, { ...result, output: yield* tail(log) })
  }))
