/**
 * What is told of a vzdump, whichever way its log is read.
 */
import { Effect } from "effect"
import type { VzdumpView } from "../../domain/VzdumpLog.ts"
import { EngineFailed, type EngineJob, type JobChange } from "../../services/Engine.ts"
import type { Artifact } from "../../services/Transfer.ts"

/** What is to be told of a step: the end is told by the end. */
const changeOf = (before: VzdumpView, { effectiveMode, phase, progress }: VzdumpView): JobChange => ({
  ...phase !== before.phase && (phase === "running" || phase === "snapshotted") ? { phase } : {},
  ...effectiveMode === before.effectiveMode ? {} : { effectiveMode },
  ...progress === before.progress ? {} : { progress }
})

/** Reports what a line has changed. */
export const report = (job: EngineJob, before: VzdumpView, after: VzdumpView) => {
  const change = changeOf(before, after)
  return Object.keys(change).length === 0 ? Effect.void : job.report(change)
}

/** What became of the backup. */
export const conclude = (view: VzdumpView): Effect.Effect<Artifact, EngineFailed> =>
  view.phase === "done"
    ? Effect.succeed({ location: view.artifact ?? `guest ${view.vmid}` })
    : new EngineFailed({
      reason: view.lockHeld
        ? "another vzdump took the lock of the host in the very moment in which the app was down: nothing was backed up"
        : view.error ?? "vzdump failed"
    })
