/**
 * What the labels of a container ask of quiesce.
 */
import { Duration, Effect, Option, Schema } from "effect"
import * as DurationText from "../../domain/DurationText.ts"

/** The names of the labels. */
export const label = {
  enable: "quiesce.enable",
  stack: "quiesce.stack",
  stop: "quiesce.stop",
  stopTimeout: "quiesce.stop-timeout",
  order: "quiesce.order",
  health: "quiesce.health",
  prepare: "quiesce.exec.prepare",
  freeze: "quiesce.exec.freeze",
  thaw: "quiesce.exec.thaw",
  execTimeout: "quiesce.exec.timeout"
} as const

/** How a container is held. `none`: it is left alone. */
export const How = Schema.Literal("stop", "pause", "exec", "none")
export type How = typeof How.Type

/**
 * What counts as up. `exec`: the container's own health test, run by quiesce at once. `docker`: the engine's verdict,
 * which comes an interval after the start. `none`: that it runs.
 */
export const Health = Schema.Literal("exec", "docker", "none")
export type Health = typeof Health.Type

/** What one container asks for, with every default filled in. */
export interface Settings {
  readonly how: How
  /** Before SIGKILL; without it the stack's or the container's own. */
  readonly stopTimeout: Duration.Duration | undefined
  /** Those of a lower order are started first and stopped last. */
  readonly order: number
  readonly health: Health
  readonly prepare: ReadonlyArray<string> | undefined
  readonly freeze: ReadonlyArray<string> | undefined
  readonly thaw: ReadonlyArray<string> | undefined
  /** For one command in the container. */
  readonly execTimeout: Duration.Duration
}

/** A label says what it cannot mean. */
export class LabelInvalid extends Schema.TaggedError<LabelInvalid>()("LabelInvalid", {
  container: Schema.String,
  label: Schema.String,
  value: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `container ${this.container}: label ${this.label}: expected ${this.expected}, found "${this.value}"`
  }
}

type Labels = Readonly<Record<string, string>>

const truth: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["yes", true],
  ["false", false],
  ["0", false],
  ["no", false]
])

const Words = Schema.parseJson(Schema.NonEmptyArray(Schema.String))

/** A list of words in JSON, or a line for the container's shell. */
const command = (text: string): Option.Option<ReadonlyArray<string>> =>
  text.trim() === ""
    ? Option.none()
    : text.trimStart().startsWith("[")
    ? Schema.decodeUnknownOption(Words)(text)
    : Option.some(["/bin/sh", "-c", text])

/** No longer than a timer can be: it would never fire. */
const duration = (text: string) =>
  (/^\d+$/.test(text) ? Option.some(Duration.seconds(Number(text))) : DurationText.parse(text)).pipe(
    Option.filter(Duration.lessThanOrEqualTo(DurationText.longest))
  )

const integer = (text: string) => /^-?\d{1,6}$/.test(text) ? Option.some(Number(text)) : Option.none()

/** Reads the labels of one container. */
export const read = (container: string, labels: Labels): Effect.Effect<Settings, LabelInvalid> => {
  const value = <A>(name: string, expected: string, parse: (text: string) => Option.Option<A>) => {
    const text = labels[name]
    if (text === undefined) return Effect.succeed(undefined)
    return Option.match(parse(text), {
      onNone: () => new LabelInvalid({ container, label: name, value: text, expected }),
      onSome: Effect.succeed
    })
  }
  const words = "a command line, or a list of words in JSON"
  return Effect.gen(function*() {
    const enable = yield* value(
      label.enable,
      "true or false",
      (text) => Option.fromNullable(truth.get(text.toLowerCase()))
    )
    const how = yield* value(label.stop, How.literals.join(", "), Schema.decodeUnknownOption(How))
    const settings: Settings = {
      how: enable === false ? "none" : how ?? "stop",
      stopTimeout: yield* value(label.stopTimeout, "a duration such as 30s or 2m", duration),
      order: (yield* value(label.order, "a whole number", integer)) ?? 0,
      health: (yield* value(label.health, Health.literals.join(", "), Schema.decodeUnknownOption(Health))) ?? "exec",
      prepare: yield* value(label.prepare, words, command),
      freeze: yield* value(label.freeze, words, command),
      thaw: yield* value(label.thaw, words, command),
      execTimeout: (yield* value(label.execTimeout, "a duration such as 30s or 2m", duration)) ?? Duration.seconds(30)
    }
    if (settings.how === "exec" && (settings.freeze === undefined || settings.thaw === undefined)) {
      return yield* new LabelInvalid({
        container,
        label: label.stop,
        value: settings.how,
        expected: `the labels ${label.freeze} and ${label.thaw} beside it`
      })
    }
    return settings
  })
}

/** Whether a container asks to be held, for a stack that is made of all that do. */
export const isEnabled = (labels: Labels): boolean => truth.get((labels[label.enable] ?? "").toLowerCase()) === true
