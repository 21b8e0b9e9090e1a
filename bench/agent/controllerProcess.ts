/**
 * Controllers in a process of their own: whole runs of `quiesce` against an agent, with a stack in memory that notes
 * when it is started.
 */
import { Duration, Effect, Layer, Redacted } from "effect"
import { defaults, type RunPolicy, stackDefaults } from "../../src/domain/Policy.ts"
import * as RunId from "../../src/domain/RunId.ts"
import { StackName } from "../../src/domain/Stack.ts"
import * as AgentClientHttp from "../../src/layers/AgentClientHttp.ts"
import * as DeadManMemory from "../../src/layers/DeadManMemory.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MarkerStoreMemory from "../../src/layers/MarkerStoreMemory.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import { quiesce } from "../../src/programs/quiesce.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { StackControl } from "../../src/services/StackControl.ts"
import { now } from "./clock.ts"
import { main, say } from "./process.ts"

export interface ControllerTask {
  /** Runs against these go on side by side. */
  readonly agents: ReadonlyArray<
    AgentClientHttp.AgentAddress & { readonly token?: string; readonly fingerprint?: string }
  >
  /** Milliseconds. 0: the agent is not asked to wait. */
  readonly statusWait: number
  /** Milliseconds. */
  readonly pollInterval: number
  /** How many runs there are against each. */
  readonly runs: number
}

/** A line for each run. */
export interface Run {
  readonly runId: string
  /** When the client had an answer that says that the snapshot exists. */
  readonly seen: number
  /** When the first unit was told to start. */
  readonly start: number
}

/** Long enough for the transfer of an agent of the bench. */
const apart = "50 millis"

interface Moments {
  seen: number
  start: number
}

const noted = (moments: Moments) => {
  const control = Layer.effect(
    StackControl,
    Effect.map(StackControl, (control) => ({
      ...control,
      start: (stack, unit) =>
        Effect.suspend(() => {
          moments.start ||= now()
          return control.start(stack, unit)
        })
    }))
  ).pipe(Layer.provide(StackControlMemory.layer([{ stack: "app" }])))
  return Layer.mergeAll(control, MarkerStoreMemory.layer(), RunLockMemory.layer, DeadManMemory.layer()).pipe(
    Layer.provide(Journal.layer)
  )
}

const watched = (moments: Moments) => (client: AgentClient["Type"]): AgentClient["Type"] => ({
  ...client,
  status: (runId, after) =>
    Effect.tap(client.status(runId, after), ({ phase }) =>
      Effect.sync(() => {
        if (phase === "snapshotted" || phase === "done") moments.seen ||= now()
      }))
})

main(({ agents, pollInterval, runs, statusWait }: ControllerTask) => {
  const policy: RunPolicy = {
    ...defaults,
    pollInterval: Duration.millis(pollInterval),
    steadyTime: Duration.zero,
    stacks: [{ stack: StackName.make("app"), ...stackDefaults }]
  }
  const run = ({ token, ...agent }: ControllerTask["agents"][number]) =>
    Effect.gen(function*() {
      const runId = yield* RunId.make
      const moments: Moments = { seen: 0, start: 0 }
      const client = AgentClientHttp.layer({
        ...agent,
        ...token === undefined ? {} : { token: Redacted.make(token) },
        statusWait
      })
      yield* quiesce(policy, { runId }).pipe(
        Effect.provide(Layer.merge(
          noted(moments),
          Layer.effect(AgentClient, Effect.map(AgentClient, watched(moments))).pipe(Layer.provide(client))
        ))
      )
      yield* Effect.sync(() => say({ runId, ...moments } satisfies Run))
      yield* Effect.sleep(apart)
    })
  return Effect.forEach(agents, (agent) => Effect.repeatN(run(agent), runs - 1), {
    concurrency: "unbounded",
    discard: true
  })
})
