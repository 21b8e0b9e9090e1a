/**
 * What an agent writes down of its guests: who was not let in, which backups began, and how they ended. Nothing that a
 * request has said is in it but what was checked; never a token.
 */
import { Effect, FiberMap, Option, Ref, type Scope } from "effect"
import { type BackupStatus, isFinal } from "../../domain/Backup.ts"
import type { RunId } from "../../domain/RunId.ts"
import { oneLine as line } from "../oneLine.ts"
import * as Buckets from "./buckets.ts"
import * as Job from "./job.ts"
import type { Jobs } from "./jobs.ts"

export interface Audit {
  /** Somebody was not let in. */
  readonly denied: (who: { readonly guest: string | undefined; readonly address: string }) => Effect.Effect<void>
  /** A request of a guest was not done. */
  readonly declined: (guest: string, what: string) => Effect.Effect<void>
  /** A backup was asked for: its end is written down too. The same one again says nothing. */
  readonly asked: (jobs: Jobs, status: BackupStatus) => Effect.Effect<void>
}

/** Lines a minute for what anybody can cause. */
const perMinute = 12

const outcome = ({ artifact, error, phase }: BackupStatus) =>
  phase === "done" ? `done${artifact === undefined ? "" : `, ${artifact}`}` : `failed: ${error ?? "no reason is given"}`

/** Backups are followed in the scope. */
export const make: Effect.Effect<Audit, never, Scope.Scope> = Effect.gen(function*() {
  const lines = yield* Buckets.make({ perMinute, keys: 1024 })
  const silent = yield* Ref.make(0)
  const followed = yield* FiberMap.make<string>()

  const limited = (key: string, text: string) =>
    Effect.gen(function*() {
      if ((yield* lines.take(key)) > 0) return yield* Ref.update(silent, (n) => n + 1)
      const untold = yield* Ref.getAndSet(silent, 0)
      yield* Effect.logWarning(`${text}${untold === 0 ? "" : ` (${untold} more before this were not told)`}`)
    })

  const follow = (jobs: Jobs, runId: RunId) =>
    Effect.gen(function*() {
      let status = yield* jobs.status(runId, -1, 0)
      while (!isFinal(Job.phaseOf(status.phase))) status = yield* jobs.status(runId, status.revision, "1 hour")
      yield* Effect.logInfo(line(`guest ${jobs.guest}: the backup of run ${runId} has ended: ${outcome(status)}`))
      // so old that it is forgotten
    }).pipe(Effect.catchTag("BackupUnknown", () => Effect.void))

  return {
    denied: ({ address, guest }) =>
      limited(
        "denied",
        line(`authentication failed: from ${address}, ${guest === undefined ? "no known guest" : `as guest ${guest}`}`)
      ),
    declined: (guest, what) => limited(guest, line(`guest ${guest}: ${what}`)),
    asked: (jobs, { phase, runId }) =>
      Effect.gen(function*() {
        const key = `${jobs.guest}/${runId}`
        if (isFinal(Job.phaseOf(phase)) || Option.isSome(yield* Effect.option(FiberMap.get(followed, key)))) return
        yield* Effect.logInfo(`guest ${jobs.guest}: the backup of run ${runId} was asked for`)
        yield* FiberMap.run(followed, key, follow(jobs, runId))
      })
  }
})
