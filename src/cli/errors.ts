/**
 * How a command ends other than well. The exit code of the process is the error's `exitCode`.
 */
import { Schema } from "effect"
import { ExitCode } from "../domain/Report.ts"

/** The command line cannot be understood. `command` is what to ask for help on. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  command: Schema.String,
  problem: Schema.String
}) {
  readonly exitCode = ExitCode.usage
  override get message(): string {
    return `${this.problem}\nsee '${this.command} --help'`
  }
}

/** The command did its work, said what it found, and found something other than good. Nothing more is to be printed. */
export class ExitWith extends Schema.TaggedError<ExitWith>()("ExitWith", {
  exitCode: Schema.Number
}) {
  override get message(): string {
    return `exit code ${this.exitCode}`
  }
}

/** The command could not do its work. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  exitCode: Schema.Number,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}
