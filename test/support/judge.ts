/**
 * A case: a scenario, and how its run must end. Every case is judged by the promises that hold for all, and by its own.
 */
import type { Reason } from "../../src/domain/Consistency.ts"
import type { Outcome } from "../../src/domain/Report.ts"
import { type History, lines, type Scenario, violations } from "./world.ts"

export interface Case extends Scenario {
  readonly name: string
  readonly outcome: Outcome
  readonly level?: "application" | "crash" | "none"
  readonly reasons?: ReadonlyArray<Reason>
  /** Stacks that must be neither stopped nor started. */
  readonly untouched?: ReadonlyArray<string>
  /** By when (ms) the first start of a stack must have been asked. */
  readonly upBy?: Readonly<Record<string, number>>
  /** When (ms) a line must be in the trace or the journal for the first time, or a little later; `undefined`: never. */
  readonly at?: Readonly<Record<string, number | undefined>>
  /** How often a line must be in the journal. */
  readonly times?: Readonly<Record<string, number>>
  /** How often the state of a stack must be told, as `stack state`. */
  readonly events?: Readonly<Record<string, number>>
  /** Lines that must be in the journal in this order, whatever is between them. */
  readonly inOrder?: ReadonlyArray<string>
  /** How many warnings must be like this. */
  readonly warnings?: ReadonlyArray<readonly [like: RegExp, times: number]>
  /** In milliseconds, or a little more. */
  readonly downtime?: Readonly<Record<string, number>>
}

type Played = History & { readonly downAtExit?: ReadonlyArray<string> }

const differ = (what: string, is: unknown, should: unknown) =>
  JSON.stringify(is) === JSON.stringify(should)
    ? []
    : [`${what}: ${JSON.stringify(is) ?? "none"}, not ${JSON.stringify(should) ?? "none"}`]

/** A unit is looked at again and again, with pauses up to this. */
const pause = 500

const soon = (what: string, is: number | null | undefined, should: number | undefined) =>
  differ(what, is, typeof is === "number" && should !== undefined && is >= should && is < should + pause ? is : should)

/** What is wrong with how a case went. */
export const judge = (one: Case, history: Played): ReadonlyArray<string> => {
  const { report, trace } = history
  const all = lines(history)
  const wrong: Array<string> = [...violations(one, history), ...differ("outcome", report?.outcome, one.outcome)]
  if (one.level !== undefined) wrong.push(...differ("level", report?.consistency.level, one.level))
  if (one.reasons !== undefined) wrong.push(...differ("reasons", report?.consistency.reasons, one.reasons))
  for (const stack of one.untouched ?? []) {
    if (all.some((line) => /^(stop|start) /.test(line) && line.includes(` ${stack}/`))) {
      wrong.push(`${stack} was touched`)
    }
  }
  for (const [stack, limit] of Object.entries(one.upBy ?? {})) {
    const start = history.journal.find(({ what }) => what.startsWith(`start ${stack}/`))
    if ((start?.at ?? Infinity) > limit) wrong.push(`${stack} was started at ${start?.at}, not by ${limit}`)
  }
  for (const [line, at] of Object.entries(one.at ?? {})) {
    wrong.push(...soon(`'${line}'`, [...trace, ...history.journal].find(({ what }) => what === line)?.at, at))
  }
  for (const [line, times] of Object.entries(one.times ?? {})) {
    wrong.push(...differ(`'${line}'`, all.filter((what) => what === line).length, times))
  }
  for (const [event, times] of Object.entries(one.events ?? {})) {
    const told = history.events.filter((one) => one.type === "stack" && `${one.stack} ${one.state}` === event)
    wrong.push(...differ(`event '${event}'`, told.length, times))
  }
  let from = 0
  for (const line of one.inOrder ?? []) {
    const found = all.indexOf(line, from)
    if (found < 0) wrong.push(`there is no '${line}' where it should be`)
    else from = found + 1
  }
  for (const [like, times] of one.warnings ?? []) {
    wrong.push(
      ...differ(`warnings like ${like}`, report?.warnings.filter((warning) => like.test(warning)).length, times)
    )
  }
  for (const [name, downtime] of Object.entries(one.downtime ?? {})) {
    wrong.push(
      ...soon(`downtime of ${name}`, report?.stacks.find(({ stack }) => stack === name)?.downtimeMs, downtime)
    )
  }
  if ((one.outcome === "refused" || one.outcome === "busy") && all.some((line) => line.startsWith("stop "))) {
    wrong.push("it was refused after a stop")
  }
  return wrong
}

/** A history, for people. */
export const story = ({ journal, report, trace }: Played): string =>
  [...journal, { at: "ends of calls:", what: "" }, ...trace.filter(({ what }) => what.split(" ").length > 2)]
    .map(({ at, what }) => `${at} ${what}`).concat(JSON.stringify(report, null, 1)).join("\n")
