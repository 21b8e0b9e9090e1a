/**
 * The command line: from the words after the program's name to a command. Needs services and provides none.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import { Console, Effect, Either, Logger } from "effect"
import { stripVTControlCharacters } from "node:util"
import { ExitCode } from "../domain/Report.ts"
import * as Agent from "./agent.ts"
import * as Config from "./config.ts"
import { ExitWith, UsageError } from "./errors.ts"
import * as Grammar from "./grammar.ts"
import { help } from "./help.ts"
import { Output } from "./Output.ts"
import * as Plan from "./plan.ts"
import * as Recover from "./recover.ts"
import * as Run from "./run.ts"
import * as Status from "./status.ts"
import { version } from "./version.ts"
import * as VzdumpHook from "./vzdumpHook.ts"
import * as Watch from "./watch.ts"

const name = "quiesce"

const root = Command.make(name).pipe(
  Command.withSubcommands([
    Run.command,
    Watch.command,
    Plan.command,
    Recover.command,
    Status.command,
    Agent.command,
    Config.command,
    VzdumpHook.command
  ])
)

/** What the command line is checked against, and what the help shows. */
export const rule: Grammar.CommandRule = {
  description:
    "Stops an app only until the storage snapshot exists, starts it again at once, and follows the backup to "
    + "its real end.",
  options: [],
  subcommands: {
    run: Run.rule,
    watch: Watch.rule,
    plan: Plan.rule,
    recover: Recover.rule,
    status: Status.rule,
    agent: Agent.rule,
    config: Config.rule,
    "vzdump-hook": VzdumpHook.rule
  }
}

const application = Command.run(root, { name, version, executable: name })

const cliConfig = CliConfig.make({ isCaseSensitive: true, showBuiltIns: false })

const usageError = (error: ValidationError.ValidationError) =>
  new UsageError({
    command: name,
    problem: `${name}: ${stripVTControlCharacters(HelpDoc.toAnsiText(error.error)).trim()}`
  })

/** @effect/cli prints its errors through the console, with colors; they are printed here, once. */
const apply = Effect.fnUntraced(function*(argv: ReadonlyArray<string>) {
  const present = yield* Console.consoleWith((console) => Effect.succeed(console))
  // the first two words are the runtime and the script
  return yield* application(["node", name, ...argv]).pipe(
    Effect.provideService(CliConfig.CliConfig, cliConfig),
    Effect.withConsole({ ...present, error: () => Effect.void }),
    Effect.catchIf(ValidationError.isValidationError, usageError)
  )
})

const bold = (color: boolean) => (text: string) => color ? `\u001b[1m${text}\u001b[0m` : text

const dispatch = Effect.fnUntraced(function*(argv: ReadonlyArray<string>) {
  const output = yield* Output
  const invocation = Grammar.check(name, rule, argv)
  if (Either.isLeft(invocation)) return yield* invocation.left
  switch (invocation.right._tag) {
    case "Version":
      return yield* output.stdout(`${version}\n`)
    case "Help":
      return yield* output.stdout(help(name, rule, invocation.right.path, bold(output.stdoutScreen.color)))
    case "Incomplete":
      // a timer that forgot the command must not look like a backup
      yield* output.stderr(help(name, rule, invocation.right.path, bold(output.stderrScreen.color)))
      return yield* new ExitWith({ exitCode: ExitCode.usage })
    case "Command": {
      const { argv, logLevel } = invocation.right
      return yield* logLevel === undefined ? apply(argv) : Logger.withMinimumLogLevel(apply(argv), logLevel)
    }
  }
})

/** Runs the command line. Every failure has been said on stderr, once, and carries its `exitCode`. */
export const cli = Effect.fn("cli")(
  function*(argv: ReadonlyArray<string>) {
    return yield* dispatch(argv).pipe(
      Effect.tapError((error) =>
        error._tag === "ExitWith"
          ? Effect.void
          : Effect.flatMap(Output, (output) => output.stderr(`${error.message}\n`))
      )
    )
  }
)
