/**
 * The agent that is this process: takes the snapshot and carries it away by itself.
 */
import { type Duration, Effect, Layer } from "effect"
import * as Jobs from "../internal/agent/jobs.ts"
import * as SnapshotEngine from "../internal/agent/snapshotEngine.ts"
import { AgentClient } from "../services/AgentClient.ts"
import { Snapshotter } from "../services/Snapshotter.ts"
import { Transfer } from "../services/Transfer.ts"
import * as JobStoreMemory from "./JobStoreMemory.ts"

/** What is backed up, and how long this agent waits. */
export interface AgentClientLocalOptions {
  /** The directory to back up, absolute. */
  readonly source: string
  readonly stateDir: string
  /** How long the slot is held for a controller that does not say `quiesced`. Default: 10 minutes. */
  readonly readyTimeout?: Duration.DurationInput | undefined
  /**
   * How long the transfer of a snapshot is put off, so that it does not get in the way of the app's start. Default: half
   * a second.
   */
  readonly transferDelay?: Duration.DurationInput | undefined
  /** How long `status` waits for a change. Default: 1 second. */
  readonly statusWait?: Duration.DurationInput | undefined
}

const make = Effect.fnUntraced(function*(options: AgentClientLocalOptions) {
  const jobs = yield* Jobs.make({
    guest: "local",
    engine: yield* SnapshotEngine.make({
      source: options.source,
      stateDir: options.stateDir,
      transferDelay: options.transferDelay ?? "500 millis",
      snapshotter: yield* Snapshotter,
      transfer: yield* Transfer
    }),
    // it dies with its controller, whose marker says what is to be done then
    store: yield* JobStoreMemory.make(),
    readyTimeout: options.readyTimeout ?? "10 minutes",
    cancelLate: true
  })
  return AgentClient.of({
    preflight: Effect.withSpan(jobs.preflight, "AgentClientLocal.preflight"),
    request: Effect.fn("AgentClientLocal.request")(jobs.request),
    prepare: jobs.prepare,
    quiesced: jobs.quiesced,
    status: (runId, after) => jobs.status(runId, after, options.statusWait ?? "1 second"),
    cancel: Effect.fn("AgentClientLocal.cancel")((runId) =>
      Effect.catchTag(jobs.cancel(runId), "BackupUnknown", () => Effect.void)
    ),
    asked: Effect.never,
    sweep: Effect.withSpan(jobs.sweep, "AgentClientLocal.sweep")
  })
})

/**
 * An agent in this process. A backup runs in the layer's scope, never in the caller's fiber: the close of the layer ends
 * it and removes its snapshot. One backup at a time. Which processes are its own, and may be ended by a sweep, is told
 * by `stateDir`, so one run at a time may use that.
 */
export const layer = (
  options: AgentClientLocalOptions
): Layer.Layer<AgentClient, never, Snapshotter | Transfer> => Layer.scoped(AgentClient, make(options))
