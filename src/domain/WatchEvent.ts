/**
 * What the daemon tells beside what its runs tell.
 */
import { Schema } from "effect"
import { Outcome } from "./Report.ts"
import { RunId } from "./RunId.ts"
import { StackName, UnitId } from "./Stack.ts"

const told = <E extends string, F extends Schema.Struct.Fields>(event: E, fields: F) =>
  Schema.Struct({ type: Schema.Literal("watch"), at: Schema.String, event: Schema.Literal(event), ...fields })

/** Why a run is taken. */
export const Cause = Schema.Literal("schedule", "missed", "request")
export type Cause = typeof Cause.Type

/** One line of `quiesce watch --json` that is not of a run. */
export const WatchEvent = Schema.Union(
  told("started", {}),
  /** What `recover` has done. */
  told("recovered", {
    recovered: Schema.Array(Schema.Struct({ stack: StackName, unit: UnitId })),
    warnings: Schema.Array(Schema.String)
  }),
  /** **An app is down.** No run is begun before it is up; recover is tried again and again. */
  told("down", { reason: Schema.String }),
  /** The next run by the schedule, `null` if there is none. */
  told("next", { due: Schema.NullOr(Schema.String), begins: Schema.NullOr(Schema.String) }),
  told("run", { cause: Cause, runId: RunId }),
  /** A run has to wait. Told once for each reason. */
  told("waiting", { because: Schema.Literal("busy", "away"), reason: Schema.String }),
  /** A run has ended, and is not tried again. */
  told("ended", { runId: RunId, outcome: Schema.NullOr(Outcome), reason: Schema.NullOr(Schema.String) }),
  /** A run that was due is not done. */
  told("skipped", { due: Schema.String, reason: Schema.String }),
  /** The agent cannot be asked whether it wants a run. Told once for each outage. */
  told("agent-away", { reason: Schema.String }),
  told("agent-back", {}),
  told("warning", { message: Schema.String }),
  told("stopped", { down: Schema.Boolean })
)
export type WatchEvent = typeof WatchEvent.Type
