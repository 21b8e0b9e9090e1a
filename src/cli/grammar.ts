/**
 * Checks a command line before @effect/cli reads it, strictly: that parser takes unknown options for arguments beside a
 * repeated option, drops empty values, takes a word after a flag for its value, and blames the wrong word.
 */
import { Either, LogLevel } from "effect"
import { hint } from "../internal/suggest.ts"
import { UsageError } from "./errors.ts"

export interface OptionRule {
  /** With the dashes; the long name first. */
  readonly names: readonly [string, ...ReadonlyArray<string>]
  readonly takes: "nothing" | "value" | "values"
  /** What stands for the value in the help. */
  readonly placeholder?: string | undefined
  readonly description: string
}

/** A word that is no option; its place says which one it is. */
export interface ArgumentRule {
  /** What stands for it in the help. */
  readonly name: string
  /** Of those after one that may be missing, none may be required. */
  readonly required: boolean
  readonly description: string
}

export interface CommandRule {
  readonly description: string
  /** In their order. Default: none. A command with subcommands has none. */
  readonly arguments?: ReadonlyArray<ArgumentRule> | undefined
  readonly options: ReadonlyArray<OptionRule>
  readonly subcommands: Readonly<Record<string, CommandRule>>
  /** Works also without one of its subcommands. */
  readonly standalone?: boolean | undefined
}

/** What the command line asks for. */
export type Invocation =
  | { readonly _tag: "Help"; readonly path: ReadonlyArray<string> }
  /** A command that needs a subcommand was called without one. */
  | { readonly _tag: "Incomplete"; readonly path: ReadonlyArray<string> }
  | { readonly _tag: "Version" }
  | { readonly _tag: "Command"; readonly argv: ReadonlyArray<string>; readonly logLevel: LogLevel.LogLevel | undefined }

// an object would know a level 'constructor'
const levels: ReadonlyMap<string, LogLevel.LogLevel> = new Map(
  LogLevel.allLevels.map((level) => [level._tag.toLowerCase(), level])
)
const levelNames = [...levels.keys()]

/** The options that every command has. */
export const globals: ReadonlyArray<OptionRule> = [
  { names: ["--help", "-h"], takes: "nothing", description: "Show this help." },
  { names: ["--version"], takes: "nothing", description: "Show the version." },
  {
    names: ["--log-level"],
    takes: "value",
    placeholder: "LEVEL",
    description: `Which messages to show: ${levelNames.join(", ")}.`
  }
]

interface Token {
  readonly name: string
  readonly attached: string | undefined
}

const tokenOf = (word: string): Token => {
  const equals = word.startsWith("--") ? word.indexOf("=") : -1
  return equals === -1
    ? { name: word, attached: undefined }
    : { name: word.slice(0, equals), attached: word.slice(equals + 1) }
}

/** Reads the words after the program's name. */
export const check = (
  program: string,
  root: CommandRule,
  argv: ReadonlyArray<string>
): Either.Either<Invocation, UsageError> => {
  const path: Array<string> = []
  const words: Array<string> = []
  const given: Array<string> = []
  const seen = new Set<string>()
  let rule = root
  let logLevel: LogLevel.LogLevel | undefined
  let wants: "Help" | "Version" | undefined
  let onlyArguments = false
  const wrong = (problem: string) =>
    Either.left(
      new UsageError({ command: [program, ...path].join(" "), problem: `${[program, ...path].join(" ")}: ${problem}` })
    )

  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? ""
    if (word === "--" && !onlyArguments) {
      onlyArguments = true
      continue
    }
    if (onlyArguments || !word.startsWith("-") || word === "-") {
      const next = Object.hasOwn(rule.subcommands, word) ? rule.subcommands[word] : undefined
      if (next !== undefined && !onlyArguments) {
        path.push(word)
        rule = next
        continue
      }
      // help is owed also to who asks for it beside a mistake, but an unknown command is no command
      const commands = Object.keys(rule.subcommands)
      if (commands.length > 0) {
        return wrong(`there is no command '${word}'${hint(word, commands) || `; there are: ${commands.join(", ")}`}`)
      }
      const argument = rule.arguments?.[given.length]
      if (argument !== undefined) {
        if (word.trim() === "") return wrong(`the argument ${argument.name} is empty`)
        given.push(word)
        continue
      }
      const stack = rule.options.some(({ names }) => names[0] === "--stack")
        ? `; a stack is named by --stack ${word}`
        : ""
      return wrong(`unexpected argument '${word}'${stack}`)
    }

    const { attached, name } = tokenOf(word)
    const option = [...rule.options, ...globals].find(({ names }) => names.includes(name))
    if (option === undefined) {
      const known = [...rule.options, ...globals].map(({ names }) => names[0])
      return wrong(`unknown option '${name}'${hint(name, known)}`)
    }
    const long = option.names[0]
    if (option.takes === "nothing") {
      if (attached !== undefined) return wrong(`the option '${long}' takes no value`)
      if (long === "--help") wants = "Help"
      else if (long === "--version") wants ??= "Version"
      else if (!seen.has(long)) words.push(long)
      seen.add(long)
      continue
    }
    const following = argv[index + 1]
    if (attached === undefined && (following === undefined || (following.startsWith("-") && following !== "-"))) {
      const way = following === undefined ? "" : `; found '${following}' (a value with a dash is written ${long}=VALUE)`
      return wrong(`the option '${long}' needs a value${way}`)
    }
    const value = attached ?? following ?? ""
    if (attached === undefined) index++
    if (value.trim() === "") return wrong(`the value of '${long}' is empty`)
    if (option.takes === "value" && seen.has(long)) return wrong(`the option '${long}' is given twice`)
    seen.add(long)
    if (long === "--log-level") {
      logLevel = levels.get(value.toLowerCase())
      if (logLevel === undefined) {
        return wrong(`there is no log level '${value}'; there are: ${levelNames.join(", ")}${hint(value, levelNames)}`)
      }
    } else if (value.startsWith("-")) words.push(`${long}=${value}`)
    else words.push(long, value)
  }

  if (wants === "Help") return Either.right({ _tag: "Help", path })
  if (wants === "Version") return Either.right({ _tag: "Version" })
  if (Object.keys(rule.subcommands).length > 0 && rule.standalone !== true) {
    return Either.right({ _tag: "Incomplete", path })
  }
  const missing = rule.arguments?.slice(given.length).find(({ required }) => required)
  if (missing !== undefined) return wrong(`the argument ${missing.name} is missing`)
  // a word with a dash is no option behind this
  const end = given.some((word) => word.startsWith("-")) ? ["--"] : []
  return Either.right({ _tag: "Command", argv: [...path, ...words, ...end, ...given], logLevel })
}
