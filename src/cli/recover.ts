/**
 * `quiesce recover`.
 */
import * as Command from "@effect/cli/Command"
import { type Context, Effect, Option } from "effect"
import { defaults } from "../domain/Policy.ts"
import { ExitCode, type RecoverReport } from "../domain/Report.ts"
import { untorn } from "../internal/untorn.ts"
import type { ConfigFileError } from "../layers/ConfigFileError.ts"
import { type Services, Workspace } from "../layers/Workspace.ts"
import { recover, type RecoverPolicy } from "../programs/recover.ts"
import * as Common from "./common.ts"
import { CommandFailed } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import { Process } from "./Process.ts"

const toText = ({ failed, liveRun, markers, recovered }: RecoverReport): string =>
  liveRun
    ? "a run is under way and brings its stacks up itself; nothing was done\n"
    : markers === 0
    ? "no run left anything down\n"
    : [
      ...recovered.map(({ stack, unit }) => `${stack}/${unit}: started\n`),
      ...failed.map(({ error, stack, unit }) => `${stack}/${unit}: NOT UP: ${error}\n`),
      failed.length > 0
        ? "mend the cause, then: quiesce recover\n"
        : recovered.length === 0
        ? "nothing had to be started\n"
        : "everything is up\n"
    ].join("")

/** The services of the configuration; where it cannot be read, those that the markers alone need. */
const open = Effect.fnUntraced(function*(explicit: Option.Option<string>, stateDir: Option.Option<string>) {
  const output = yield* Output
  const workspace = yield* Workspace
  interface Opened {
    readonly policy: RecoverPolicy
    readonly services: Context.Context<Services>
    readonly broken: ConfigFileError | undefined
  }
  const found = yield* Effect.either(Common.load(explicit))
  if (found._tag === "Right") {
    const config = Option.isSome(stateDir) ? { ...found.right, stateDir: stateDir.value } : found.right
    return { policy: config.policy, services: yield* workspace.services(config), broken: undefined } satisfies Opened
  }
  const { services, stateDir: used } = yield* workspace.rescue({
    explicit: Option.getOrUndefined(explicit),
    stateDir: Option.getOrUndefined(stateDir)
  })
  yield* output.stderr(
    `${found.left.message}\nquiesce: warning: without a configuration, only the markers in ${used} are followed\n`
  )
  return { policy: defaults, services, broken: found.left } satisfies Opened
})

const options = { config: Options.config, json: Options.json, stateDir: Options.stateDir }
const description = "Starts what a dead run left down, and nothing else. Safe to run at any time."

export const command = Command.make(
  "recover",
  { config: options.config.option, json: options.json.option, stateDir: options.stateDir.option },
  Effect.fn("recover command")(function*({ config, json, stateDir }) {
    const output = yield* Output
    const process = yield* Process
    const { broken, policy, services } = yield* open(config, stateDir)
    // to its end also beside a signal, which then still learns how it ended
    const exitCode = yield* untorn(Effect.gen(function*() {
      const report = yield* Effect.provide(recover(policy), services).pipe(
        Effect.mapError((error) => new CommandFailed({ exitCode: ExitCode.refused, reason: error.message }))
      )
      yield* Effect.forEach(report.warnings, (warning) => output.stderr(`quiesce: warning: ${warning}\n`))
      yield* output.stdout(json ? `${JSON.stringify(report)}\n` : toText(report))
      const exitCode = report.failed.length > 0 ? ExitCode.appDown : broken === undefined ? ExitCode.ok : ExitCode.usage
      yield* process.concluded(exitCode)
      return exitCode
    }))
    return yield* Common.conclude(exitCode)
  }, Effect.scoped)
)

export const rule = Options.leaf(description, options)
