/**
 * Follows a vzdump by the log and the status of its task, asked again and again.
 */
import { Effect, Ref } from "effect"
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

/** The lines of the log that were not read yet, all that there are. */
const unread = (proxmox: Proxmox, upid: Upid, cursor: Ref.Ref<number>) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    for (;;) {
      const start = yield* Ref.get(cursor)
      const page = yield* proxmox.log(upid, start)
      const fresh = page.data.filter(({ n, t }) => n > start && !(n === 1 && isPseudo(t)))
      const last = fresh.at(-1)
      if (last === undefined) return lines
      lines.push(...fresh.map(({ t }) => t))
      yield* Ref.set(cursor, last.n)
      if (last.n >= page.total) return lines
    }
  })

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
  const cursor = yield* Ref.make(0)
  let view = VzdumpLog.begin(vmid)
  const read = Effect.flatMap(patience.ask(unread(proxmox, upid, cursor)), (lines) =>
    Effect.forEach(lines, (line) => {
      const before = view
      view = VzdumpLog.step(before, line)
      return report(job, before, view)
    }, { discard: true }))
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
