/**
 * What a marker says of a container: enough to find it, or what has taken its place, and to start it.
 */
import { Schema } from "effect"

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

const Hook = Schema.Struct({
  argv: Schema.Array(Schema.String),
  timeoutMs: Schema.NonNegative
})
export interface Hook extends Schema.Schema.Type<typeof Hook> {}

/** The identity of a unit of the control `docker`. The id is a hint: a container that is made again has another. */
export const Identity = Schema.Struct({
  engine: Schema.NonEmptyString,
  id: Schema.NonEmptyString,
  name: Schema.NonEmptyString,
  how: Schema.Literal("stop", "pause", "exec"),
  gate: Schema.Literal("exec", "docker", "running"),
  /** Another unit is started only when this one is up. */
  awaited: optional(Schema.Boolean),
  /** Seconds before SIGKILL, where it is not the container's own. */
  grace: optional(Schema.NonNegative),
  freeze: optional(Hook),
  thaw: optional(Hook),
  compose: optional(Schema.Struct({
    project: Schema.String,
    service: Schema.String,
    number: Schema.Number,
    workingDir: optional(Schema.String),
    configFiles: Schema.Array(Schema.String)
  }))
})
export interface Identity extends Schema.Schema.Type<typeof Identity> {}

/** Whether a unit of a marker is one of the control `docker`. */
export const isIdentity = Schema.is(Identity)
