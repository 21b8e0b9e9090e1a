/**
 * What is told of a run while it goes on.
 */
import { Schema } from "effect"
import { Phase, Progress } from "./Backup.ts"
import type { RunEvent } from "./Report.ts"
import { RunId } from "./RunId.ts"
import { StackName } from "./Stack.ts"

const LiveStack = Schema.Struct({
  stack: StackName,
  state: Schema.String,
  /** When its stop was asked; `null` while it is not held. */
  downSince: Schema.NullOr(Schema.String)
})

/** The present state of a live run. Times are ISO 8601. */
export const LiveRun = Schema.Struct({
  runId: RunId,
  at: Schema.String,
  phase: Schema.NullOr(Phase),
  stacks: Schema.Array(LiveStack),
  progress: Schema.NullOr(Progress)
})
export interface LiveRun extends Schema.Schema.Type<typeof LiveRun> {}

/** The state after one more event; nothing once the run has reported. */
export const follow = (live: LiveRun | undefined, event: RunEvent): LiveRun | undefined => {
  if (event.type === "report") return undefined
  const { at, runId } = event
  const before: LiveRun = { phase: null, stacks: [], progress: null, ...live, runId, at }
  switch (event.type) {
    case "phase":
      return { ...before, phase: event.phase }
    case "progress":
      return { ...before, progress: { bytes: event.bytes, ...event.totalBytes && { totalBytes: event.totalBytes } } }
    case "stack": {
      const known = before.stacks.find(({ stack }) => stack === event.stack)
      const since = event.state === "stopping" ? known?.downSince ?? at : known?.downSince ?? null
      const after = { stack: event.stack, state: event.state, downSince: event.state === "running" ? null : since }
      return { ...before, stacks: [...before.stacks.filter((one) => one !== known), after] }
    }
    case "warning":
      return before
  }
}
