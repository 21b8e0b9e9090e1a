/**
 * What the hook of vzdump and the agent say to each other: one line of JSON each. The close of the connection by the hook
 * means that nobody waits for the answer any more.
 */
import { Schema } from "effect"
import { Vmid } from "../../domain/VzdumpConfig.ts"
import { tagged } from "../tagged.ts"

/** The longest question, in bytes. */
export const longest = 4096

/** Makes the guest quiet: its backup waits for that. */
export const HookQuestion = Schema.Struct({
  version: Schema.Literal(1),
  vmid: Vmid,
  /** How long the hook waits, in milliseconds. */
  waitMs: Schema.Number.pipe(Schema.between(0, 24 * 3600_000))
})
export interface HookQuestion extends Schema.Schema.Type<typeof HookQuestion> {}

export const HookAnswer = Schema.Union(
  Schema.TaggedStruct("Quiet", { guest: Schema.String, runId: Schema.String }),
  Schema.TaggedStruct("NotQuiet", { guest: Schema.optional(Schema.String), reason: Schema.String }),
  /** The agent has no such guest. */
  Schema.TaggedStruct("NotOurs", {})
)
export type HookAnswer = typeof HookAnswer.Type

export const Question = Schema.parseJson(HookQuestion)
export const Answer = tagged(HookAnswer)
