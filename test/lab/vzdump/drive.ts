/**
 * The backups of one guest of a lab host, and a controller that watches them.
 */
import { Effect, Exit, Scope } from "effect"
import { type BackupStatus, isFinal } from "../../../src/domain/Backup.ts"
import * as RunId from "../../../src/domain/RunId.ts"
import * as Jobs from "../../../src/internal/agent/jobs.ts"
import * as EngineVzdump from "../../../src/layers/EngineVzdump.ts"
import { JobStore } from "../../../src/services/JobStore.ts"
import * as JobStoreFile from "../../../src/layers/JobStoreFile.ts"
import type { LabHost } from "./host.ts"

export interface GuestOptions extends Partial<EngineVzdump.EngineVzdumpOptions> {
  readonly guest?: string
  readonly slots?: Effect.Semaphore
}

/** What an agent has for one guest. It ends with the scope, and its backups go on. */
export const jobsOf = (host: LabHost, { guest = "web", slots, ...options }: GuestOptions = {}) =>
  Effect.gen(function*() {
    const engine = yield* EngineVzdump.make({
      vmid: 100,
      storage: "backup",
      stateDir: host.stateDir,
      host: host.paths,
      ...options
    })
    const store = yield* Effect.provide(JobStore, JobStoreFile.layer({ stateDir: host.stateDir }))
    return yield* Jobs.make({ guest, engine, store, slots, readyTimeout: "20 seconds", cancelLate: false })
  })

/** An agent that can be closed before the test ends. */
export const agentOf = (host: LabHost, options: GuestOptions = {}) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const jobs = yield* Scope.extend(jobsOf(host, options), scope)
    return { jobs, close: Scope.close(scope, Exit.void) }
  })

/** Follows a backup until its phase is one of these, or it is over. Answers with the phases and the last status. */
export const until = (jobs: Jobs.Jobs, runId: RunId.RunId, ...wanted: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    let status: BackupStatus = yield* jobs.status(runId, -1, 0)
    while (!wanted.includes(status.phase) && !isFinal(status.phase as "done")) {
      status = yield* jobs.status(runId, status.revision, "1 second")
    }
    return status
  }).pipe(Effect.timeout("25 seconds"))

export const ended = (jobs: Jobs.Jobs, runId: RunId.RunId) => until(jobs, runId)

/** Asks for a backup and waits for `ready`. */
export const begin = (jobs: Jobs.Jobs) =>
  Effect.gen(function*() {
    const runId = yield* RunId.make
    yield* jobs.request(runId)
    yield* until(jobs, runId, "ready")
    return runId
  })

/** Asks for a backup, says that the app is down, and follows it to its end. */
export const whole = (jobs: Jobs.Jobs) =>
  Effect.gen(function*() {
    const runId = yield* begin(jobs)
    yield* jobs.quiesced(runId)
    return yield* ended(jobs, runId)
  })
