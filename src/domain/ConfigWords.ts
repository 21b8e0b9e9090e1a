/**
 * The words that configuration files are made of, each with what a user is told when it is wrong.
 */
import { Duration, Option, ParseResult, Schema } from "effect"
import * as DurationText from "./DurationText.ts"

/** The message of a value that is not what was expected. */
export const expected = (what: string) => ({ message: () => `expected ${what}` })

/** The message of a map that is none, or lacks what it must have. */
export const map = (what: string) => expected(`a map with ${what}`)

const durationWords = "a duration such as 500ms, 30s, 5m or 1h30m"

const DurationString = Schema.transformOrFail(
  Schema.String.annotations(expected(durationWords)),
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (text, _, ast) =>
      Option.match(DurationText.parse(text), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, text, `expected ${durationWords}`)),
        onSome: ParseResult.succeed
      }),
    encode: (duration) => ParseResult.succeed(DurationText.format(duration))
  }
)

/** A duration from `least` to 24 days. */
export const duration = (description: string, least: Duration.DurationInput = "1 millis") => {
  const range = `from ${DurationText.format(Duration.decode(least))} to ${DurationText.format(DurationText.longest)}`
  return DurationString.pipe(
    Schema.filter((value) =>
      Duration.greaterThanOrEqualTo(value, least) && Duration.lessThanOrEqualTo(value, DurationText.longest)
        ? undefined
        : `expected a duration ${range}`
    )
  ).annotations({ description, jsonSchema: { type: "string" } })
}

/** A key that need not be there. */
export const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** Exactly one of the kinds; an unsupported one has failed before. */
export const exactlyOne = (kind: string, words: ReadonlyArray<string>) => (value: object): string | undefined => {
  const present = words.filter((word) => word in value)
  if (present.length === 1) return undefined
  const choice = words.join(", ")
  return present.length === 0
    ? `expected one ${kind}${words.length === 1 ? "" : " of"}: ${choice}; none is there`
    : `expected only one ${kind}; there are ${present.length}: ${present.join(", ")}`
}

/** A path of a file or directory; what a relative one means is decided where the file is read. */
export const PathText = Schema.String.annotations(expected("a path")).pipe(
  Schema.filter((path) =>
    path === "" || path.includes("\0")
      ? "expected a path"
      : path === "~" || path.startsWith("~/")
      ? "expected a path; '~' is not expanded here, write the full path"
      : undefined
  )
)

/** A word of a command. */
export const Word = Schema.String.annotations(expected("a text; put a number or a true/false in quotes")).pipe(
  Schema.filter((word) => word.includes("\0") ? "expected a text without NUL" : undefined)
)

const argvWords = "a list of words such as [systemctl, stop, notes] (no shell is used)"

/** A command: the program and its arguments. No shell. */
export const Argv = Schema.Array(Word).annotations(expected(argvWords)).pipe(
  Schema.filter((words): words is Argv => words.length > 0, expected(argvWords)),
  Schema.filter((words) => words[0] === "" ? "expected a program as the first word; it is empty" : undefined)
)
export type Argv = readonly [string, ...ReadonlyArray<string>]

/** A command, with what it is for. */
export const argv = (description: string) => Argv.annotations({ description })
