/**
 * The parts of the answers of Proxmox VE's API (7 and later) that are used. Unknown fields are left out.
 */
import { Schema } from "effect"

const withDefault = <A, I>(schema: Schema.Schema<A, I>, value: () => NoInfer<A>) =>
  Schema.optionalWith(schema, { nullable: true, exact: true, default: value })

/** Every good answer is in an envelope. */
export const answer = <A, I>(data: Schema.Schema<A, I>) => Schema.Struct({ data })

/** Perl says yes and no as 1 and 0, or as "1" and "0". */
const Flag = Schema.transform(Schema.Union(Schema.Number, Schema.String, Schema.Boolean), Schema.Boolean, {
  strict: true,
  decode: (said) => said === true || Number(said) === 1,
  encode: (flag) => flag ? 1 : 0
})

/** A node of the cluster. */
export const Node = Schema.Struct({ node: Schema.String })

/** The privileges on a path: those that are named are held. */
export const Permissions = Schema.Record({
  key: Schema.String,
  value: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})

/** `content`: what may be stored there, as a list with commas. */
export const StorageStatus = Schema.Struct({
  type: withDefault(Schema.String, () => ""),
  content: withDefault(Schema.String, () => ""),
  enabled: withDefault(Flag, () => true),
  active: withDefault(Flag, () => true)
})
export interface StorageStatus extends Schema.Schema.Type<typeof StorageStatus> {}

/** A task of a list. One that runs has no end. */
export const ListedTask = Schema.Struct({
  upid: Schema.String,
  endtime: Schema.optionalWith(Schema.Unknown, { nullable: true, exact: true })
})
export interface ListedTask extends Schema.Schema.Type<typeof ListedTask> {}

export const TaskStatus = Schema.Struct({
  status: Schema.Literal("running", "stopped"),
  exitstatus: withDefault(Schema.String, () => "unexpected status")
})
export interface TaskStatus extends Schema.Schema.Type<typeof TaskStatus> {}

/** Some lines of a log, numbered from 1, and how many it has. An empty one has a line that says so. */
export const LogPage = Schema.Struct({
  data: Schema.Array(Schema.Struct({ n: Schema.NonNegativeInt, t: Schema.String })),
  total: Schema.NonNegativeInt
})
export interface LogPage extends Schema.Schema.Type<typeof LogPage> {}

/** What an error says: `errors` has a text for each parameter that is wrong. */
export const Problem = Schema.Struct({
  message: withDefault(Schema.String, () => ""),
  errors: withDefault(Schema.Record({ key: Schema.String, value: Schema.String }), () => ({}))
})
