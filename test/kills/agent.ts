/**
 * A real agent server over storage that is pretended: a snapshot is only the answer to whether everything was down.
 */
import { Effect, type Scope } from "effect"
import { type Engine, EngineFailed } from "../../src/services/Engine.ts"
import * as AgentServers from "../support/agentServer.ts"

/** What became of the backups, by run. */
export interface Storage {
  /** Whether everything was down when the snapshot was taken. */
  readonly snapshots: Map<string, boolean>
  readonly artifacts: Set<string>
}

export interface Agent {
  readonly storage: Storage
  readonly socket: string
  /** Backups that have not ended, as `phase run`. */
  readonly open: Effect.Effect<ReadonlyArray<string>>
  /** Lets the time go by after which the agent gives up backups whose controller is dead. */
  readonly giveUp: Effect.Effect<void>
}

const engine = (storage: Storage, isHeld: () => boolean): Engine => ({
  survives: false,
  preflight: Effect.succeed({ mode: "snapshot", snapshotter: "pretended", notes: [] }),
  prepare: Effect.void,
  run: (job) =>
    Effect.gen(function*() {
      yield* job.ready("snapshot")
      yield* job.report({ phase: "running" })
      yield* Effect.sleep("30 millis")
      storage.snapshots.set(job.runId, isHeld())
      yield* job.report({ phase: "snapshotted", effectiveMode: "snapshot" })
      yield* Effect.sleep("60 millis")
      storage.artifacts.add(job.runId)
      return { location: `/artifacts/${job.runId}` }
    }),
  resume: () => new EngineFailed({ reason: "this agent never ends" }),
  sweep: Effect.succeed([])
})

const isOpen = ({ phase }: { readonly phase: string }) => phase !== "done" && phase !== "failed"

export const make = Effect.fnUntraced(
  function*(directory: string, isHeld: () => boolean): Effect.fn.Return<Agent, unknown, Scope.Scope> {
    const storage: Storage = { snapshots: new Map(), artifacts: new Set() }
    const jobs = yield* AgentServers.jobsOf("web", engine(storage, isHeld))
    const server = yield* AgentServers.serve({
      guests: new Map([["web", jobs]]),
      ways: ["socket"],
      stateDir: directory,
      limits: { requestsPerMinute: 1_000_000 }
    })
    const open = Effect.map(jobs.list, (all) => all.filter(isOpen))
    return {
      storage,
      socket: server.socketOf("web"),
      open: Effect.map(open, (all) => all.map(({ phase, runId }) => `${phase} ${runId}`)),
      giveUp: Effect.flatMap(
        open,
        (all) => Effect.forEach(all, ({ runId }) => Effect.ignore(jobs.cancel(runId)), { discard: true })
      )
    }
  }
)
