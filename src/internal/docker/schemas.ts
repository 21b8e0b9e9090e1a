/**
 * The parts of the Docker Engine's answers that are used (API 1.24 and later; Podman's are alike). Unknown fields are
 * left out.
 */
import { Schema } from "effect"

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { nullable: true, exact: true })

const withDefault = <A, I>(schema: Schema.Schema<A, I>, value: () => NoInfer<A>) =>
  Schema.optionalWith(schema, { nullable: true, exact: true, default: value })

/** Of a container or a command: it is a part of paths, so an engine that is none must not choose what it means there. */
const Id = Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9][\w.-]*$/, { message: () => "expected an id" }))

const Words = Schema.Array(Schema.String)
const Labels = Schema.Record({ key: Schema.String, value: Schema.String })

/** What `GET /version` says of the engine. */
export const Version = Schema.Struct({
  Version: Schema.String,
  ApiVersion: Schema.String,
  Components: withDefault(Schema.Array(Schema.Struct({ Name: Schema.String })), () => [])
})

/** A mount of a container. `Source` is a path on the engine's machine; a tmpfs has none. */
export const Mount = Schema.Struct({
  Type: withDefault(Schema.String, () => ""),
  Name: optional(Schema.String),
  Source: withDefault(Schema.String, () => ""),
  Destination: withDefault(Schema.String, () => ""),
  RW: withDefault(Schema.Boolean, () => true)
})
export interface Mount extends Schema.Schema.Type<typeof Mount> {}

/** One container of `GET /containers/json`. */
export const Summary = Schema.Struct({
  Id,
  Names: withDefault(Words, () => []),
  Image: withDefault(Schema.String, () => ""),
  Labels: withDefault(Labels, () => ({})),
  State: withDefault(Schema.String, () => ""),
  HostConfig: withDefault(
    Schema.Struct({ NetworkMode: withDefault(Schema.String, () => "") }),
    () => ({ NetworkMode: "" })
  ),
  /** Not known where the engine does not say it. */
  Mounts: optional(Schema.Array(Mount))
})
export interface Summary extends Schema.Schema.Type<typeof Summary> {}

export const Summaries = Schema.Array(Summary)

/** `Interval`, `Timeout` and `StartPeriod` are nanoseconds; 0 means the engine's default. */
export const Healthcheck = Schema.Struct({
  Test: withDefault(Words, () => []),
  Interval: withDefault(Schema.Number, () => 0),
  Timeout: withDefault(Schema.Number, () => 0),
  Retries: withDefault(Schema.Number, () => 0),
  StartPeriod: withDefault(Schema.Number, () => 0)
})
export interface Healthcheck extends Schema.Schema.Type<typeof Healthcheck> {}

/** `Running` is also true of what is paused or restarting. Times are RFC 3339 with nanoseconds. */
export const State = Schema.Struct({
  Status: Schema.String,
  OOMKilled: withDefault(Schema.Boolean, () => false),
  ExitCode: withDefault(Schema.Number, () => 0),
  Error: withDefault(Schema.String, () => ""),
  StartedAt: withDefault(Schema.String, () => ""),
  FinishedAt: withDefault(Schema.String, () => ""),
  Health: optional(Schema.Struct({ Status: withDefault(Schema.String, () => "") }))
})

/** Where others reach a container: its names and addresses in its networks, and the ports that it has on the machine. */
export const NetworkSettings = Schema.Struct({
  Ports: withDefault(
    Schema.Record({
      key: Schema.String,
      value: Schema.NullOr(Schema.Array(Schema.Struct({ HostPort: withDefault(Schema.String, () => "") })))
    }),
    () => ({})
  ),
  Networks: withDefault(
    Schema.Record({
      key: Schema.String,
      value: Schema.Struct({
        Aliases: withDefault(Words, () => []),
        DNSNames: withDefault(Words, () => []),
        IPAddress: withDefault(Schema.String, () => ""),
        GlobalIPv6Address: withDefault(Schema.String, () => "")
      })
    }),
    () => ({})
  )
})

/** The answer of `GET /containers/{id}/json`. */
export const Container = Schema.Struct({
  Id,
  Name: Schema.String,
  RestartCount: withDefault(Schema.Number, () => 0),
  /** The commands that run in it; with Podman also those that have ended. */
  ExecIDs: withDefault(Schema.Array(Id), () => []),
  State,
  Config: Schema.Struct({
    Image: withDefault(Schema.String, () => ""),
    Labels: withDefault(Labels, () => ({})),
    Env: withDefault(Words, () => []),
    Cmd: withDefault(Words, () => []),
    Shell: optional(Words),
    StopSignal: optional(Schema.String),
    StopTimeout: optional(Schema.Number),
    Healthcheck: optional(Healthcheck)
  }),
  HostConfig: Schema.Struct({
    NetworkMode: withDefault(Schema.String, () => ""),
    IpcMode: withDefault(Schema.String, () => ""),
    PidMode: withDefault(Schema.String, () => ""),
    VolumesFrom: withDefault(Words, () => []),
    AutoRemove: withDefault(Schema.Boolean, () => false),
    RestartPolicy: withDefault(
      Schema.Struct({ Name: withDefault(Schema.String, () => "") }),
      () => ({ Name: "" })
    )
  }),
  Mounts: withDefault(Schema.Array(Mount), () => []),
  NetworkSettings: withDefault(NetworkSettings, () => ({ Ports: {}, Networks: {} }))
})
export interface Container extends Schema.Schema.Type<typeof Container> {}

export const ExecCreated = Schema.Struct({ Id })

/** The answer of `GET /exec/{id}/json`. `ExitCode` may still be null just after the end. */
export const ExecState = Schema.Struct({
  Running: Schema.Boolean,
  ExitCode: Schema.optionalWith(Schema.NullOr(Schema.Number), { exact: true }),
  ProcessConfig: withDefault(
    Schema.Struct({ entrypoint: withDefault(Schema.String, () => ""), arguments: withDefault(Words, () => []) }),
    () => ({ entrypoint: "", arguments: [] })
  )
})

export const Problem = Schema.Struct({ message: Schema.String })
