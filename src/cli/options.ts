/**
 * The options of the commands: what @effect/cli decodes, and the rule that the command line is checked against.
 */
import * as Options from "@effect/cli/Options"
import type { Option } from "effect"
import type { CommandRule, OptionRule } from "./grammar.ts"

export interface Declared<A> {
  readonly option: Options.Options<A>
  readonly rule: OptionRule
}

interface Details {
  readonly short?: string | undefined
  readonly placeholder: string
  readonly description: string
}

const text = (name: string, { short }: Details) =>
  short === undefined ? Options.text(name) : Options.withAlias(Options.text(name), short)

const ruleOf = (
  name: string,
  takes: OptionRule["takes"],
  { description, placeholder, short }: Details
): OptionRule => ({
  names: short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`],
  takes,
  placeholder,
  description
})

const flag = (name: string, description: string): Declared<boolean> => ({
  option: Options.boolean(name),
  rule: { names: [`--${name}`], takes: "nothing", description }
})

const value = (name: string, details: Details): Declared<Option.Option<string>> => ({
  option: Options.optional(text(name, details)),
  rule: ruleOf(name, "value", details)
})

const values = (name: string, details: Details): Declared<ReadonlyArray<string>> => ({
  option: Options.repeated(text(name, details)),
  rule: ruleOf(name, "values", details)
})

export const config = value("config", {
  short: "c",
  placeholder: "FILE",
  description: "The configuration file. Default: $QUIESCE_CONFIG, ./quiesce.yaml, the user's, /etc/quiesce."
})

export const json = flag("json", "Print JSON on stdout, for programs.")

export const dryRun = flag("dry-run", "Check everything and say what would be stopped. Touch nothing.")

export const stack = values("stack", {
  short: "s",
  placeholder: "NAME",
  description: "Only this stack; may be given several times. Default: all."
})

export const stateDir = value("state-dir", {
  placeholder: "DIR",
  description: "Where the markers are, when the configuration file cannot be read."
})

/** The rule of a command without subcommands. */
export const leaf = (description: string, options: Readonly<Record<string, Declared<unknown>>>): CommandRule => ({
  description,
  options: Object.values(options).map(({ rule }) => rule),
  subcommands: {}
})
