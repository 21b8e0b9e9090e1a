/**
 * Why there is no configuration.
 */
import { Schema } from "effect"

/** There is no configuration file. */
export class ConfigNotFound extends Schema.TaggedError<ConfigNotFound>()("ConfigNotFound", {
  /** Where it was looked for, in order. */
  places: Schema.Array(Schema.String),
  /** What named the one place, if something did: `--config` or `$QUIESCE_CONFIG`. */
  namedBy: Schema.optionalWith(Schema.String, { exact: true }),
  /** The variable that can name it. */
  variable: Schema.String
}) {
  readonly exitCode = 2
  override get message(): string {
    return this.namedBy === undefined
      ? [
        "no configuration file was found; looked at:",
        ...this.places.map((place) => `  ${place}`),
        `write one, or name it with --config FILE or $${this.variable}`
      ].join("\n")
      : `there is no file ${this.places.join(", ")} (named by ${this.namedBy})`
  }
}

/** The configuration file is there but cannot be read. */
export class ConfigUnreadable extends Schema.TaggedError<ConfigUnreadable>()("ConfigUnreadable", {
  file: Schema.String,
  reason: Schema.String
}) {
  readonly exitCode = 2
  override get message(): string {
    return `${this.file}: ${this.reason}`
  }
}

/** The configuration file says something that it cannot mean. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  file: Schema.String,
  issues: Schema.Array(Schema.Struct({
    line: Schema.Number,
    column: Schema.Number,
    path: Schema.String,
    message: Schema.String
  }))
}) {
  readonly exitCode = 2
  override get message(): string {
    return this.issues.map(({ column, line, message, path }) =>
      `${this.file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`
    ).join("\n")
  }
}

/** Every reason for which there is no configuration. Exit code 2. */
export type ConfigFileError = ConfigNotFound | ConfigUnreadable | ConfigInvalid
