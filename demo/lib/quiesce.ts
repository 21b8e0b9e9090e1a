/**
 * Drives the real binary, as a user's cron job would: a `quiesce.yaml`, a child process, its NDJSON and its exit code.
 */
import { Deferred, Effect, Either, Schema, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { Readable } from "node:stream"
import * as Yaml from "yaml"
import { type Report, RunEvent } from "../../src/domain/Report.ts"
import { spawn } from "../../src/internal/process.ts"
import type { Postgres } from "../../test/lab/postgres.ts"
import { type Argv, attempt, execute, LabError } from "../../test/lab/postgresInstall.ts"

const binary = Path.resolve("dist/bin.js")

export const quiesce = (...args: ReadonlyArray<string>): Argv => [process.execPath, binary, ...args]

/** A directory with a `quiesce.yaml`, its state and its archives. */
export interface Setup {
  readonly directory: string
  readonly config: string
  readonly backups: string
}

/** A stack as `quiesce.yaml` has it, and what the file says beside it. */
export interface Controlled {
  readonly stack: object
  readonly beside?: object
}

/** The stack of a server that is started and stopped by commands. */
export const byCommands = ({ argv }: Pick<Postgres, "argv">): Controlled => ({
  stack: { command: argv, stopTimeout: "60s", startTimeout: "60s" }
})

/** Writes `quiesce.yaml` for one server into a new directory. */
export const setUp = Effect.fn("Quiesce.setUp")(function*(
  directory: string,
  options: { readonly source: string; readonly control: Controlled; readonly snapshot: string }
) {
  const { control, source } = options
  const config = {
    version: 1,
    stateDir: "./state",
    ...control.beside,
    stacks: { notes: control.stack },
    agent: {
      local: { source, snapshot: options.snapshot, transfer: { archive: { to: "./backups" } } }
    }
  }
  const setup: Setup = {
    directory,
    config: Path.join(directory, "quiesce.yaml"),
    backups: Path.join(directory, "backups")
  }
  yield* attempt(directory, async () => {
    await Fs.mkdir(setup.backups, { recursive: true })
    await Fs.writeFile(setup.config, Yaml.stringify(config, { lineWidth: 0 }))
  })
  return setup
})

const decodeEvent = Schema.decodeUnknownEither(Schema.parseJson(RunEvent))

export interface Finished {
  readonly exitCode: number
  readonly report: Report | undefined
  /** From the start of the process to its end, in milliseconds. */
  readonly millis: number
  /** What it said to people. */
  readonly stderr: string
}

/** A run that takes longer will not end. */
const longestRun = "5 minutes"

/**
 * `quiesce run --json` to its end. `onEvent` is told of each event as it happens, with the process id. If the scope
 * closes before the end, the run gets a SIGTERM and a minute to bring the app back.
 */
export const run = (
  setup: Setup,
  onEvent: (event: RunEvent, pid: number) => void = () => {}
): Effect.Effect<Finished, LabError> =>
  Effect.scoped(Effect.gen(function*() {
    const begin = performance.now()
    const child = yield* start(setup)
    let report: Report | undefined
    let stderr = ""
    const unknown: Array<string> = []
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString("utf8")
    })
    const lines = ReadLine.createInterface({ input: child.stdout ?? Readable.from([]) })
    lines.on("line", (line) => {
      Either.match(decodeEvent(line), {
        onLeft: () => unknown.push(line),
        onRight: (event) => {
          if (event.type === "report") report = event
          onEvent(event, child.pid)
        }
      })
    })
    const drained = yield* Deferred.make<void>()
    lines.once("close", () => Deferred.unsafeDone(drained, Effect.void))
    const { code } = yield* Effect.timeoutFail(child.exit, {
      duration: longestRun,
      onTimeout: () => new LabError({ message: `quiesce run did not end within ${longestRun}` })
    })
    const millis = performance.now() - begin
    yield* Effect.timeoutOption(Deferred.await(drained), "2 seconds")
    if (unknown.length > 0) return yield* new LabError({ message: `quiesce wrote an unknown event: ${unknown[0]}` })
    return { exitCode: code, report, millis, stderr: stderr.trim() }
  }))

const start = (setup: Setup): Effect.Effect<Effect.Effect.Success<ReturnType<typeof spawn>>, LabError, Scope.Scope> =>
  spawn({ argv: quiesce("run", "--config", setup.config, "--json"), cwd: setup.directory }, { grace: "60 seconds" })
    .pipe(
      Effect.mapError((error) => new LabError({ message: error.message }))
    )

const Status = Schema.Struct({ liveRun: Schema.NullOr(Schema.String), markers: Schema.Array(Schema.Unknown) })

/** `quiesce status --json`. */
export const status = (setup: Setup): Effect.Effect<typeof Status.Type, LabError> =>
  // 4: something is down
  execute(quiesce("status", "--config", setup.config, "--json"), { cwd: setup.directory, accept: [4] }).pipe(
    Effect.flatMap(Schema.decodeUnknown(Schema.parseJson(Status))),
    Effect.mapError((error) => new LabError({ message: `quiesce status: ${error.message}` }))
  )

/** `quiesce recover`. */
export const recover = (setup: Setup): Effect.Effect<void, LabError> =>
  Effect.asVoid(execute(quiesce("recover", "--config", setup.config), { cwd: setup.directory, timeout: "60 seconds" }))
