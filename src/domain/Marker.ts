/**
 * The marker: the durable undo record of a run. It names every unit that the run stops, in stop order, and is written
 * before the first stop and cleared after the last verified start.
 */
import { Schema } from "effect"
import { RunId } from "./RunId.ts"
import { StackName, StackUnits, type Unit, UnitId, type UnitState } from "./Stack.ts"

/** What a run asks a store to remember. */
export const MarkerDraft = Schema.Struct({
  runId: RunId,
  createdAt: Schema.String,
  stacks: Schema.Array(StackUnits)
})
export interface MarkerDraft extends Schema.Schema.Type<typeof MarkerDraft> {}

/** The version that this program writes. */
export const currentVersion = 1

/** The marker as it is kept: the draft, and which boot of which machine wrote it. */
export const Marker = Schema.Struct({
  version: Schema.Literal(currentVersion),
  bootId: Schema.String,
  machineId: Schema.String,
  ...MarkerDraft.fields
})
export interface Marker extends Schema.Schema.Type<typeof Marker> {}

/**
 * How far the run got with one unit. `stopping` is noted before the stop is sent, `stopped` once the unit is seen down,
 * `running` once it is verified up again.
 */
export const MarkerNote = Schema.Struct({
  stack: StackName,
  unit: UnitId,
  state: Schema.Literal("stopping", "stopped", "running")
})
export interface MarkerNote extends Schema.Schema.Type<typeof MarkerNote> {}

/** A marker found in a store. */
export type StoredMarker =
  | {
    readonly _tag: "Readable"
    /** What `clear` takes. */
    readonly name: string
    readonly marker: MarkerDraft
    readonly notes: ReadonlyArray<MarkerNote>
    /** Set when it could be read only in part: a future version, or one of its two copies. */
    readonly warning?: string | undefined
  }
  | { readonly _tag: "Damaged"; readonly name: string; readonly reason: string }

/** What recover does with one unit of a dead run's marker. */
export type Verdict =
  /** It is ours to start. */
  | "start"
  /** It is up, or down by somebody else's wish since. */
  | "leave"
  /** A stop may still be under way: ask again. */
  | "wait"
  /** It looks up, but a stop that was sent may still take it down: keep looking for as long as that may last. */
  | "watch"

/** The last note on a unit. */
export const lastNote = (
  notes: ReadonlyArray<MarkerNote>,
  stack: StackName,
  unit: Unit
): MarkerNote["state"] | undefined => notes.findLast((note) => note.stack === stack && note.unit === unit.id)?.state

/**
 * Decides from the notes and the present state. A unit that the run had verified up is never touched again: if it is
 * down now, somebody wanted that. A state that cannot be told counts as down, because an app left down is worse than a
 * start of what runs.
 */
export const verdict = (note: MarkerNote["state"] | undefined, state: UnitState): Verdict => {
  if (note === "running") return "leave"
  switch (state) {
    case "changing":
      return "wait"
    case "running":
      return note === "stopping" ? "watch" : "leave"
    case "stopped":
    case "unknown":
      return "start"
  }
}
