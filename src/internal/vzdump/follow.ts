/**
 * Follows a vzdump by its log, and reports what it says as it is written.
 */
import { Effect, type Scope } from "effect"
import * as VzdumpLog from "../../domain/VzdumpLog.ts"
import type { EngineFailed, EngineJob } from "../../services/Engine.ts"
import type { Artifact } from "../../services/Transfer.ts"
import * as Tail from "./tail.ts"
import { conclude, report } from "./told.ts"

export interface Followed {
  readonly vmid: number
  readonly log: string
  /** What changes when there is something new: the log, or its directory. */
  readonly watched: string
  /** How it ended, if it has. `told` is what a last line of its log has said of that. */
  readonly ended: (
    told: VzdumpLog.VzdumpExit | undefined
  ) => Effect.Effect<VzdumpLog.VzdumpExit | undefined, EngineFailed>
}

/** In milliseconds. A line is seen at once where files can be watched; the app may be down until the point. */
const pollBeforePoint = 100
const pollAfterPoint = 1_000

/** Reads the log from its first line on, and returns when the backup of the guest has ended. */
export const follow = (job: EngineJob, what: Followed): Effect.Effect<Artifact, EngineFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const change = yield* Tail.watch(what.watched)
    const tail = yield* Tail.make(what.log)
    let view = VzdumpLog.begin(what.vmid)
    let told: VzdumpLog.VzdumpExit | undefined
    const take = Effect.fnUntraced(function*(line: string) {
      const before = view
      view = VzdumpLog.step(before, line)
      told ??= VzdumpLog.exitOfTaskLine(line)
      yield* report(job, before, view)
    })
    for (;;) {
      // asked before the lines are read: what it wrote before its end is then read
      const known = told
      const exit = yield* what.ended(known)
      yield* Effect.forEach(yield* tail.lines, take, { discard: true })
      if (exit !== undefined) {
        yield* Effect.forEach(yield* tail.rest, take, { discard: true })
        // one that was gone already may have told it in these last lines
        view = VzdumpLog.end(view, (told === known ? undefined : yield* what.ended(told)) ?? exit)
      }
      if (view.phase === "done" || view.phase === "failed") return yield* conclude(view)
      if (told === known) yield* change(view.phase === "snapshotted" ? pollAfterPoint : pollBeforePoint)
    }
  })
