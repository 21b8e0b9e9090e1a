/**
 * The options of the commands: what @effect/cli decodes, and the rule that the command line is checked against.
 */
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import type { Option } from "effect"
import type { ArgumentRule, CommandRule, OptionRule } from "./grammar.ts"

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

export const agentConfig = value("config", {
  short: "c",
  placeholder: "FILE",
  description: "The agent's configuration file. Default: $QUIESCE_AGENT_CONFIG, ./agent.yaml, the user's, /etc/quiesce."
})

export const guest = value("guest", {
  short: "g",
  placeholder: "NAME",
  description: "The guest. Default: the only one."
})

export const expires = value("expires", {
  placeholder: "TIME",
  description: "How long the token is good, such as 90d. Default: for ever."
})

export const list = flag("list", "Show which tokens there are. They themselves are not known any more.")

export const revoke = flag("revoke", "Make all tokens of the guest worthless, at once.")

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

export interface DeclaredArgument<A> {
  readonly argument: Args.Args<A>
  readonly rule: ArgumentRule
}

/** An argument that may be missing. */
export const optionalArgument = (name: string, description: string): DeclaredArgument<Option.Option<string>> => ({
  argument: Args.optional(Args.text({ name })),
  rule: { name, required: false, description }
})

export const timeout = value("timeout", {
  placeholder: "DURATION",
  description: "How long the backup waits for the guest. Default: 60s."
})

export const withoutAnswer = value("without-answer", {
  placeholder: "continue|fail",
  description:
    "What becomes of the backup when the guest is not quiet in time: it goes on all the same (continue, the " +
    "default), or vzdump leaves this guest out (fail)."
})

export const socket = value("socket", {
  placeholder: "PATH",
  description: "Where the agent of this host listens. Default: /var/lib/quiesce-agent/hook.sock."
})

export const write = value("write", {
  placeholder: "FILE",
  description:
    "Write a program for 'script:' in /etc/vzdump.conf that calls this command with these options, and ask nobody."
})

/** The rule of a command without subcommands. */
export const leaf = (
  description: string,
  options: Readonly<Record<string, Declared<unknown>>>,
  args: ReadonlyArray<DeclaredArgument<unknown>> = []
): CommandRule => ({
  description,
  ...args.length === 0 ? {} : { arguments: args.map(({ rule }) => rule) },
  options: Object.values(options).map(({ rule }) => rule),
  subcommands: {}
})
