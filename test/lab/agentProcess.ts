/**
 * A process that is an agent, for tests that kill it or run it as another user. Bundled with esbuild.
 *
 * argv: one JSON object. Each phase is printed as a line; `probe` prints one line.
 */
import { Effect, Layer } from "effect"
import { isFinal } from "../../src/domain/Backup.ts"
import * as RunId from "../../src/domain/RunId.ts"
import * as AgentClientLocal from "../../src/layers/AgentClientLocal.ts"
import * as SnapshotterAuto from "../../src/layers/SnapshotterAuto.ts"
import * as SnapshotterBtrfs from "../../src/layers/SnapshotterBtrfs.ts"
import * as SnapshotterCopy from "../../src/layers/SnapshotterCopy.ts"
import * as SnapshotterNone from "../../src/layers/SnapshotterNone.ts"
import * as SnapshotterReflink from "../../src/layers/SnapshotterReflink.ts"
import * as TransferArchive from "../../src/layers/TransferArchive.ts"
import * as TransferCommand from "../../src/layers/TransferCommand.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { Snapshotter } from "../../src/services/Snapshotter.ts"

export const snapshotters = {
  auto: SnapshotterAuto.layer,
  btrfs: SnapshotterBtrfs.layer,
  reflink: SnapshotterReflink.layer,
  copy: SnapshotterCopy.layer,
  none: SnapshotterNone.layer
}

export interface AgentJob {
  readonly do: "run" | "probe" | "sweep"
  readonly source: string
  readonly stateDir: string
  readonly snapshot: keyof typeof snapshotters
  readonly to?: string
  readonly command?: readonly [string, ...ReadonlyArray<string>]
}

export const agentLayer = (job: AgentJob) => {
  const snapshotter = snapshotters[job.snapshot]({ source: job.source, stateDir: job.stateDir })
  const transfer = job.command === undefined
    ? TransferArchive.layer({ to: job.to ?? "/nowhere", name: "sample", stateDir: job.stateDir, source: job.source })
    : TransferCommand.layer({ command: job.command, cwd: "/", stateDir: job.stateDir })
  return AgentClientLocal.layer({ source: job.source, stateDir: job.stateDir }).pipe(
    Layer.provideMerge(Layer.merge(snapshotter, transfer))
  )
}

const say = (line: unknown) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

/** A whole backup: asks, says `quiesced`, follows to the end. Answers with every status. */
export const follow = Effect.fnUntraced(function*(onStatus: (status: unknown) => Effect.Effect<unknown>) {
  const agent = yield* AgentClient
  yield* agent.preflight
  const runId = yield* RunId.make
  let status = yield* agent.request(runId)
  while (!isFinal(status.phase as "done")) {
    if (status.phase === "ready") yield* agent.quiesced(runId)
    status = yield* agent.status(runId, status.revision)
    yield* onStatus(status)
  }
  return status
})

const main = (job: AgentJob) =>
  Effect.gen(function*() {
    if (job.do === "probe") return yield* say(yield* (yield* Snapshotter).probe)
    if (job.do === "sweep") return yield* say(yield* (yield* AgentClient).sweep)
    return yield* follow(say)
  }).pipe(
    Effect.provide(agentLayer(job)),
    Effect.catchAll((error) => say({ error: error.message }))
  )

if (process.argv[1]?.endsWith("agentProcess.mjs")) Effect.runFork(main(JSON.parse(process.argv[2] ?? "{}")))
