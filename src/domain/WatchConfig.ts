/**
 * What the configuration file may say of the daemon.
 */
import { DateTime, type Effect, Either, Option, ParseResult, Schema } from "effect"
import { duration, expected, map, optional } from "./ConfigWords.ts"
import { timetable } from "./Timetable.ts"

const utc = DateTime.zoneUnsafeMakeNamed("UTC")

const CronText = Schema.String.annotations(expected("a cron expression such as \"30 3 * * *\"")).pipe(
  Schema.filter((text) =>
    Either.match(timetable(text, utc), {
      onLeft: (problem) => `expected a cron expression such as "30 3 * * *"; ${problem}`,
      onRight: () => undefined
    })
  )
)

const CronTexts = Schema.Array(CronText).annotations(
  expected("a cron expression such as \"30 3 * * *\", or a list of them")
).pipe(Schema.filter((texts) => texts.length === 0 ? "expected at least one cron expression" : undefined))

type Texts = string | ReadonlyArray<string>
type Parsed = Effect.Effect<Texts, ParseResult.ParseIssue>

/** One expression or a list; what is wrong with one of a list is said at its place. */
const ScheduleText = Schema.declare([CronText, CronTexts], {
  decode: (one, list) => (input, options): Parsed =>
    typeof input === "string"
      ? ParseResult.decodeUnknown(one)(input, options)
      : ParseResult.decodeUnknown(list)(input, options),
  encode: (one, list) => (input, options): Parsed =>
    typeof input === "string"
      ? ParseResult.encodeUnknown(one)(input, options)
      : ParseResult.encodeUnknown(list)(input, options)
}, { description: "When a backup is due, as cron expressions with five fields. Default: only when the agent asks." })

const Zone = Schema.String.annotations(expected("a time zone such as Europe/Berlin")).pipe(
  Schema.filter((name) =>
    Option.isSome(DateTime.zoneFromString(name))
      ? undefined
      : "expected a time zone such as Europe/Berlin, UTC or +02:00"
  )
)

/** The daemon: when it takes a backup. */
export const WatchConfig = Schema.Struct({
  schedule: optional(ScheduleText),
  timeZone: optional(Zone.annotations({ description: "The time zone of the schedule. Default: that of the machine." })),
  jitter: optional(duration("A run begins up to this much later than it is due.", "0 millis")),
  missed: optional(
    Schema.Literal("run", "skip").annotations({
      description: "What becomes of a run that was due while the daemon was not running. Default: run, once.",
      message: () => ({ message: "expected run or skip", override: true })
    })
  ),
  requests: optional(
    Schema.Boolean.annotations({
      ...expected("true or false"),
      description: "Whether the agent may ask for a backup that its host has begun. Default: true."
    })
  ),
  retry: optional(
    Schema.Struct({
      window: optional(duration("How long a run is tried again while the agent is away.", "0 millis")),
      minDelay: optional(duration("Before it is tried again for the first time.", "100 millis")),
      maxDelay: optional(duration("The longest pause between two tries.", "100 millis"))
    }).annotations(map("window, minDelay, maxDelay"))
  )
}).annotations(map("schedule, timeZone, jitter, missed, requests, retry")).pipe(
  Schema.filter(({ requests, schedule }) =>
    requests === false && schedule === undefined
      ? "expected a schedule, or requests: true; without both there is nothing to do"
      : undefined
  )
)
export type WatchConfig = typeof WatchConfig.Type
