/**
 * What the two sides of a divided agent say to each other: lines of JSON, one connection for each call.
 *
 * The front names a guest, a run and what is to be done. What that means (which id, storage, directory, command) is in the
 * file that the engine's side reads itself: no line can say it.
 */
import { Schema } from "effect"
import { EffectiveMode, Progress } from "../../domain/Backup.ts"
import { GuestName } from "../../domain/Guest.ts"
import { RunId } from "../../domain/RunId.ts"
import { Upid } from "../../domain/Upid.ts"
import { Artifact } from "../../services/Transfer.ts"

/** The longest line of the front, in bytes. */
export const longestOrder = 1024

/** The longest line of the engine's side, in bytes: a reason may hold what a tool has printed. */
export const longestAnswer = 1024 * 1024

/** The directory of this very run and guest: where it is, is not the front's business. */
export const own = "own"

/** Where a backup is found again: by its own directory, or by the task of a vzdump that the host has begun. */
export const Handle = Schema.Union(Schema.Literal(own), Upid)
export type Handle = typeof Handle.Type

const version = 1
const common = { version: Schema.Literal(version), guest: GuestName }

/** The first line of a connection. */
export const Request = Schema.Union(
  Schema.TaggedStruct("Preflight", common),
  Schema.TaggedStruct("Prepare", common),
  Schema.TaggedStruct("Sweep", common),
  /** Which vzdump runs on the host. */
  Schema.TaggedStruct("Task", common),
  Schema.TaggedStruct("Run", { ...common, runId: RunId }),
  Schema.TaggedStruct("Resume", { ...common, runId: RunId, handle: Schema.optionalWith(Handle, { exact: true }) })
)
export type Request = typeof Request.Type

/** What is asked of the front in the middle of a backup. */
export const Question = Schema.Literal("ready", "remember")
export type Question = typeof Question.Type

/** What the front says in the middle of a backup. A connection that closes without `Cancel` is the end of the front. */
export const Order = Schema.Union(
  Schema.TaggedStruct("Yes", { to: Question }),
  Schema.TaggedStruct("No", { to: Question, reason: Schema.String.pipe(Schema.maxLength(500)) }),
  Schema.TaggedStruct("Cancel", {})
)
export type Order = typeof Order.Type

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** What the engine's side says. The last one of a connection is its answer; the others are of `Run` and `Resume`. */
export const Answer = Schema.Union(
  // in the course of a backup
  Schema.TaggedStruct("Report", {
    phase: optional(Schema.Literal("running", "snapshotted")),
    effectiveMode: optional(EffectiveMode),
    progress: optional(Progress)
  }),
  Schema.TaggedStruct("Ready", { effectiveMode: optional(EffectiveMode) }),
  Schema.TaggedStruct("Remember", {}),
  /** Nothing is new, and nothing hangs. */
  Schema.TaggedStruct("Alive", {}),
  // the last
  Schema.TaggedStruct("Done", { artifact: Artifact }),
  Schema.TaggedStruct("Failed", { reason: Schema.String }),
  Schema.TaggedStruct("Offer", {
    mode: optional(EffectiveMode),
    snapshotter: optional(Schema.String),
    notes: Schema.Array(Schema.String)
  }),
  Schema.TaggedStruct("Prepared", {}),
  Schema.TaggedStruct("Swept", { removed: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("Task", { upid: optional(Upid) }),
  Schema.TaggedStruct("Refused", { reason: Schema.String }),
  /** The line was none that may be said here. */
  Schema.TaggedStruct("Rejected", { reason: Schema.String })
)
export type Answer = typeof Answer.Type

const strict = { onExcessProperty: "error" } as const

export const decodeRequest = Schema.decodeUnknownOption(Schema.parseJson(Request), strict)
export const decodeOrder = Schema.decodeUnknownOption(Schema.parseJson(Order), strict)
export const decodeAnswer = Schema.decodeUnknownOption(Schema.parseJson(Answer))

type Body<A> = A extends unknown ? Omit<A, "version"> : never

/** A request, as a line. */
export const request = (body: Body<Request>): string => `${JSON.stringify({ version, ...body })}\n`

/** Anything else, as a line. What is undefined is left out. */
export const line = (what: Answer | Order): string => `${JSON.stringify(what)}\n`
