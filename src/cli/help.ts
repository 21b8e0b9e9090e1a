/**
 * The help of a command, as plain text: what it does, how it is called, its commands, arguments and options.
 */
import { type CommandRule, globals, type OptionRule } from "./grammar.ts"

const width = 100

const wrap = (text: string, indent: number): string => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`)
}

const table = (rows: ReadonlyArray<readonly [string, string]>) => {
  const indent = Math.max(...rows.map(([left]) => left.length)) + 4
  return rows.map(([left, right]) => `  ${left.padEnd(indent - 2)}${wrap(right, indent)}`).join("\n")
}

const optionRow = ({ description, names, placeholder }: OptionRule): readonly [string, string] => {
  const [long, short] = names
  const left = short === undefined ? `    ${long}` : `${short}, ${long}`
  return [placeholder === undefined ? left : `${left} ${placeholder}`, description]
}

/** All commands below, with their whole names: a tree would hide what there is. */
const commandRows = (rule: CommandRule, path: string): ReadonlyArray<readonly [string, string]> =>
  Object.entries(rule.subcommands).flatMap(([name, child]) => {
    const whole = path === "" ? name : `${path} ${name}`
    const below = commandRows(child, whole)
    const own: ReadonlyArray<readonly [string, string]> = [[whole, child.description]]
    return below.length === 0 || child.standalone === true ? own.concat(below) : below
  })

/** The rule that a path of command names leads to. */
export const ruleAt = (root: CommandRule, path: ReadonlyArray<string>): CommandRule =>
  path.reduce((rule, name) => rule.subcommands[name] ?? rule, root)

/** `bold` decorates a title. */
export const help = (
  program: string,
  root: CommandRule,
  path: ReadonlyArray<string>,
  bold: (text: string) => string
): string => {
  const rule = ruleAt(root, path)
  const commands = commandRows(rule, "")
  const call = [
    program,
    ...path,
    commands.length === 0 ? "" : rule.standalone === true ? "[COMMAND]" : "COMMAND",
    "[OPTIONS]",
    ...(rule.arguments ?? []).map(({ name, required }) => required ? name : `[${name}]`)
  ].filter((word) => word !== "")
  const section = (title: string, rows: ReadonlyArray<readonly [string, string]>) =>
    rows.length === 0 ? [] : [`${bold(title)}\n${table(rows)}`]
  return `${
    [
      wrap(rule.description, 0),
      `${bold("Usage:")} ${call.join(" ")}`,
      ...section("Commands:", commands),
      ...section("Arguments:", (rule.arguments ?? []).map(({ description, name }) => [name, description] as const)),
      ...section("Options:", rule.options.map(optionRow)),
      ...section("Global options:", globals.map(optionRow))
    ].join("\n\n")
  }\n`
}
