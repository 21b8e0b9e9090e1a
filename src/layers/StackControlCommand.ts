/**
 * Stacks that are a start, a stop and a status command, and maybe a prepare command.
 */
import { Duration, Effect, Layer, Schema } from "effect"
import * as Path from "node:path"
import { type StackName, type Unit, UnitId, type UnitObservation, type UnitState } from "../domain/Stack.ts"
import { isExecutable } from "../internal/executable.ts"
import * as PidRecord from "../internal/pidRecord.ts"
import { explain } from "../internal/process.ts"
import { StackControl, StackControlError, StackNotFound } from "../services/StackControl.ts"
import { type Argv, ask, perform, record, start as runStart, stop as runStop } from "./StackControlCommandRun.ts"

/** One stack and its commands: programs with arguments, not shell text. */
export interface CommandStack {
  readonly stack: StackName
  readonly start: Argv
  readonly stop: Argv
  /** Answers by its exit code as LSB init scripts do: 0 running, 3 stopped, anything else cannot tell. */
  readonly status: Argv
  /** Run while the stack is still up, to make the stop short. */
  readonly prepare?: Argv | undefined
  readonly cwd: string
  readonly stopTimeout: Duration.Duration
  readonly startTimeout: Duration.Duration
  /** Default: 60 seconds. */
  readonly prepareTimeout?: Duration.Duration | undefined
}

/** The stacks, and what their commands have in common. */
export interface StackControlCommandOptions {
  readonly stacks: ReadonlyArray<CommandStack>
  /** Where the output of start commands goes, and where it is written down which stop or start is under way. */
  readonly stateDir: string
  /** For one status command. Default: 10 seconds. */
  readonly statusTimeout?: Duration.Duration | undefined
}

const ArgvSchema = Schema.NonEmptyArray(Schema.String)

/** What a marker says of a unit of this control: enough to start a stack that is no longer configured. */
const Identity = Schema.Struct({
  start: ArgvSchema,
  stop: ArgvSchema,
  status: ArgvSchema,
  cwd: Schema.String
})
type Commands = typeof Identity.Type | CommandStack

/** Whether a unit of a marker is one of the control `command`. */
export const isIdentity = Schema.is(Identity)

const unitOf = ({ cwd, stack, start, startTimeout, status, stop, stopTimeout }: CommandStack): Unit => ({
  id: UnitId.make(stack),
  stopTimeoutMs: Duration.toMillis(stopTimeout),
  startTimeoutMs: Duration.toMillis(startTimeout),
  identity: { start, stop, status, cwd }
})

const stateOf = (code: number): UnitState => code === 0 ? "running" : code === 3 ? "stopped" : "unknown"

/** What runs must not be stopped with no program to start it again. */
const refuseMissing = Effect.fnUntraced(function*(commands: CommandStack) {
  const { cwd, stack } = commands
  for (const operation of ["start", "stop"] as const) {
    const [program] = commands[operation]
    if (yield* isExecutable(program, cwd)) continue
    return yield* new StackControlError({
      stack,
      operation: "inspect",
      reason: `its ${operation} command '${program}' was not found, or is not executable; ` +
        `give it as an absolute path or one below ${cwd}`
    })
  }
})

/** The control itself, for a layer that has several. */
export const make = (options: StackControlCommandOptions): StackControl["Type"] => {
  const stateDir = Path.resolve(options.stateDir)
  const configured = new Map(options.stacks.map((stack) => [stack.stack, stack]))
  const statusTimeout = options.statusTimeout ?? Duration.seconds(10)
  // what this process knows of its own commands: the record matters only where another process may have died
  const own = new Map<StackName, "under way" | "ended">()

  const find = (stack: StackName) => {
    const found = configured.get(stack)
    return found === undefined ? new StackNotFound({ stack, known: [...configured.keys()] }) : Effect.succeed(found)
  }

  // the configuration comes first: somebody may have mended a command since the marker was written
  const commandsOf = (
    operation: StackControlError["operation"],
    stack: StackName,
    unit: Unit
  ): Effect.Effect<Commands, StackControlError> => {
    const found = configured.get(stack)
    return found !== undefined ? Effect.succeed(found) : Schema.decodeUnknown(Identity)(unit.identity).pipe(
      Effect.mapError((error) =>
        new StackControlError({
          stack,
          operation,
          reason:
            `it is not configured, and its marker does not say its commands; configure it again (${error.message})`
        })
      )
    )
  }

  const isUnderWay = (stack: StackName) =>
    own.has(stack) ? Effect.succeed(own.get(stack) === "under way") : PidRecord.isAlive(record(stateDir, stack))

  const observe = Effect.fn("StackControl.observe")(function*(stack: StackName, unit: Unit) {
    const { cwd, status } = yield* commandsOf("inspect", stack, unit)
    // the record comes first: a command that ends between the two is seen in the status
    const changing = yield* isUnderWay(stack)
    if (changing) return { unit, state: "changing", detail: "a stop or start is under way" } satisfies UnitObservation
    const result = yield* ask({ stack, operation: "inspect", argv: status, cwd, timeout: statusTimeout })
    const state = result.timedOut ? "unknown" : stateOf(result.code)
    return { unit, state, detail: `status: ${explain(result)}` } satisfies UnitObservation
  })

  const inspect = Effect.fn("StackControl.inspect")(function*(stack: StackName) {
    const commands = yield* find(stack)
    const unit = unitOf(commands)
    const seen = yield* observe(stack, unit)
    if (seen.state === "running") yield* refuseMissing(commands)
    return { units: { stack, control: "command", units: [unit] }, observations: [seen] }
  })

  const prepare = Effect.fn("StackControl.prepare")(function*(stack: StackName) {
    const { cwd, prepare, prepareTimeout } = yield* find(stack)
    if (prepare === undefined) return
    yield* perform({
      stack,
      operation: "prepare",
      argv: prepare,
      cwd,
      timeout: prepareTimeout ?? Duration.seconds(60)
    })
  })

  const stop = Effect.fn("StackControl.stop")(function*(stack: StackName, unit: Unit) {
    const { cwd, stop } = yield* commandsOf("stop", stack, unit)
    own.set(stack, "under way")
    yield* runStop(stateDir, { stack, operation: "stop", argv: stop, cwd, timeout: unit.stopTimeoutMs }).pipe(
      Effect.ensuring(Effect.sync(() => own.set(stack, "ended")))
    )
    return { clean: true }
  })

  const start = Effect.fn("StackControl.start")(function*(stack: StackName, unit: Unit) {
    const { cwd, start } = yield* commandsOf("start", stack, unit)
    yield* runStart(stateDir, { stack, operation: "start", argv: start, cwd, timeout: unit.startTimeoutMs })
  })

  // commands say nothing of what else runs
  const interference = () => Effect.succeed([])

  return { stacks: Effect.sync(() => [...configured.keys()]), inspect, observe, prepare, stop, start, interference }
}

/** The control `command`: one unit per stack, with the name of the stack. */
export const layer = (options: StackControlCommandOptions): Layer.Layer<StackControl> =>
  Layer.sync(StackControl, () => make(options))
