/**
 * A process that is an agent for one guest of a lab host, and dies of kill -9 at a place of its choice. Bundled.
 *
 * argv: one JSON object.
 */
import { Effect } from "effect"
import { isFinal } from "../../../src/domain/Backup.ts"
import type { RunId } from "../../../src/domain/RunId.ts"
import * as Jobs from "../../../src/internal/agent/jobs.ts"
import type { VzdumpHost } from "../../../src/internal/vzdump/host.ts"
import * as EngineVzdump from "../../../src/layers/EngineVzdump.ts"
import * as JobStoreFile from "../../../src/layers/JobStoreFile.ts"
import { JobStore } from "../../../src/services/JobStore.ts"
import { createRequire, syncBuiltinESMExports } from "node:module"

export interface AgentTask {
  readonly runId: RunId
  readonly stateDir: string
  readonly host: VzdumpHost
  /** Or a phase, at which it dies as soon as it is known. */
  readonly dieAt:
    | "before remember"
    | "after remember"
    | "before spawn"
    | "after spawn"
    | "before end"
    | "after end"
    | string
}

const die = () => process.kill(process.pid, "SIGKILL")

/** The shell of a vzdump is the only process that is started with a session of its own and no lock to look at. */
const deadlySpawn = (dieAt: string) => {
  const childProcess: typeof import("node:child_process") = createRequire(import.meta.url)("node:child_process")
  const spawn = childProcess.spawn
  Object.assign(childProcess, {
    spawn: (...args: Parameters<typeof spawn>) => {
      const isVzdump = args[0] === "/bin/sh"
      if (isVzdump && dieAt === "before spawn") die()
      const child = spawn(...args)
      if (isVzdump && dieAt === "after spawn") die()
      return child
    }
  })
  syncBuiltinESMExports()
}

const deadlyStore = (store: JobStore["Type"], dieAt: string): JobStore["Type"] => ({
  ...store,
  save: (record) =>
    Effect.gen(function*() {
      const isLast = isFinal(record.status.phase as "done")
      if (record.handle !== undefined && dieAt === "before remember") die()
      if (isLast && dieAt === "before end") die()
      yield* store.save(record)
      if (record.handle !== undefined && dieAt === "after remember") die()
      if (isLast && dieAt === "after end") die()
    })
})

const main = ({ dieAt, host, runId, stateDir }: AgentTask) =>
  Effect.scoped(Effect.gen(function*() {
    deadlySpawn(dieAt)
    const engine = yield* EngineVzdump.make({ vmid: 100, storage: "backup", stateDir, host })
    const store = deadlyStore(yield* Effect.provide(JobStore, JobStoreFile.layer({ stateDir })), dieAt)
    const jobs = yield* Jobs.make({ guest: "web", engine, store, readyTimeout: "20 seconds", cancelLate: false })
    let status = yield* jobs.request(runId)
    for (;;) {
      process.stdout.write(`${status.phase}\n`)
      if (status.phase === dieAt) die()
      if (isFinal(status.phase as "done")) return
      if (status.phase === "ready") yield* jobs.quiesced(runId)
      status = yield* jobs.status(runId, status.revision, "1 second")
    }
  }))

Effect.runFork(main(JSON.parse(process.argv[2] ?? "{}")))
