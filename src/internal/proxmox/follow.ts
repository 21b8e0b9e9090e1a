/**
 * Follows a vzdump by the log and the status of its task, asked again and again.
 */
import { Effect } from "effect"
import type { Upid } from "../../domain/Upid.ts"
import * as VzdumpLog from "../../domain/VzdumpLog.ts"
import type { EngineFailed, EngineJob } from "../../services/Engine.ts"
import type { Artifact } from "../../services/Transfer.ts"
import { conclude, report } from "../vzdump/told.ts"
import type { Proxmox } from "./client.ts"
import type { ProxmoxError } from "./errors.ts"
import type { Patience } from "./patience.ts"

/** Milliseconds between two looks. The app is down until the point. */
const pollBeforePoint = 250
const pollAfterPoint = 2_000

/** In the place of the lines of a log that is empty or not there yet. */
const isPseudo = (text: string) => text === "no content" || text.startsWith("unable to open file - ")

/** How the task ended, if it has. One that the node does not know any more has ended in a way that nobody knows. */
const exitOf = (proxmox: Proxmox, upid: Upid): Effect.Effect<VzdumpLog.VzdumpExit | undefined, ProxmoxError> =>
  proxmox.status(upid).pipe(
    Effect.map(({ exitstatus, status }): VzdumpLog.VzdumpExit | undefined =>
      status === "stopped" ? { _tag: "Status", exitstatus } : undefined
    ),
    Effect.catchIf(
      (error) => error._tag === "ProxmoxRefused" && (error.status === 404 || error.status === 400),
      (): Effect.Effect<VzdumpLog.VzdumpExit> => Effect.succeed({ _tag: "Vanished" })
    )
  )

/** Reads the log from its first line on, and returns when the backup of the guest has ended. */
export const follow = Effect.fnUntraced(function*(
  proxmox: Proxmox,
  patience: Patience,
  job: EngineJob,
  { upid, vmid }: { readonly upid: Upid; readonly vmid: number }
): Effect.fn.Return<Artifact, EngineFailed> {
  let view = VzdumpLog.begin(vmid)
  let cursor = 0
  // the cursor moves only with lines that were taken in: a page that fails is asked for again, the ones before are not lost
  const read = Effect.gen(function*() {
    for (;;) {
      const page = yield* patience.ask(proxmox.log(upid, cursor))
      const fresh = page.data.filter(({ n, t }) => n > cursor && !(n === 1 && isPseudo(t)))
      for (const { n, t } of fresh) {
        const before = view
        view = VzdumpLog.step(before, t)
        cursor = n
        yield* report(job, before, view)
      }
      if (fresh.length === 0 || cursor >= page.total) return
    }
  })
  for (;;) {
    yield* read
    if (view.phase === "done" || view.phase === "failed") return yield* conclude(view)
    const exit = yield* patience.ask(exitOf(proxmox, upid))
    if (exit !== undefined) {
      // what it wrote before its end
      yield* read
      view = VzdumpLog.end(view, exit)
      return yield* conclude(view)
    }
    yield* Effect.sleep(view.phase === "snapshotted" ? pollAfterPoint : pollBeforePoint)
  }
})
