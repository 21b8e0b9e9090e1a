/**
 * A real agent in a process of its own: journal and tokens in files, TLS, and sockets for the guests that have one.
 */
import { Effect, Layer, Redacted, Ref } from "effect"
import * as Path from "node:path"
import * as Certificate from "../../src/internal/agent/certificate.ts"
import * as Jobs from "../../src/internal/agent/jobs.ts"
import * as AgentServer from "../../src/layers/AgentServer.ts"
import * as JobStoreFile from "../../src/layers/JobStoreFile.ts"
import * as TokenStoreFile from "../../src/layers/TokenStoreFile.ts"
import type { EngineJob } from "../../src/services/Engine.ts"
import { JobStore } from "../../src/services/JobStore.ts"
import { TokenStore } from "../../src/services/TokenStore.ts"
import { now } from "./clock.ts"
import * as Engine from "./engine.ts"
import { main, say } from "./process.ts"

export interface AgentTask {
  readonly directory: string
  readonly guests: ReadonlyArray<{
    readonly name: string
    /** Its snapshots take up to so many milliseconds. Without it they wait for orders. */
    readonly spread?: number
    readonly socket?: boolean
  }>
}

/** The first line. */
export interface Serving {
  readonly url: string
  readonly fingerprint: string
  readonly guests: ReadonlyArray<{ readonly name: string; readonly token: string; readonly socketPath: string }>
}

/** A line for each snapshot. */
export interface Point {
  readonly runId: string
  readonly at: number
}

export type Order =
  /** Another status of all running jobs at once. Answers with the moment before the first. */
  | { readonly do: "all"; readonly phase?: "snapshotted" }
  /** Of one after the other, with so many milliseconds between. Answers with the moment of each run. */
  | { readonly do: "each"; readonly gap: number }
  | { readonly do: "usage" }
  /** Answers with the milliseconds of CPU since its start. */
  | { readonly do: "cpu" }

export interface Usage {
  readonly rss: number
  readonly heap: number
}

/** As many as the guests need: the defaults are for a host with a few. */
const limits = (guests: number) => ({
  connections: 100 + guests,
  connectionsPerAddress: 100 + guests,
  requestsPerMinute: 100_000
})

/** What is not garbage. */
const usage = (): Usage => {
  globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  return { rss, heap: heapUsed }
}

const cpu = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

let bytes = 0

const obeyed = (running: Ref.Ref<ReadonlyArray<EngineJob>>) => (order: Order) =>
  Effect.gen(function*() {
    const jobs = yield* Ref.get(running)
    if (order.do === "usage") return usage()
    if (order.do === "cpu") return cpu()
    const change = () => ({ progress: { bytes: ++bytes } })
    if (order.do === "all") {
      const at = now()
      const { phase } = order
      const report = (job: EngineJob) => job.report(phase === undefined ? change() : { phase })
      yield* Effect.forEach(jobs, report, { concurrency: "unbounded", discard: true })
      return { at }
    }
    return yield* Effect.forEach(jobs, (job) =>
      Effect.gen(function*() {
        yield* Effect.sleep(order.gap)
        const at = now()
        yield* job.report(change())
        return { runId: job.runId, at } satisfies Point
      }))
  })

main(({ directory, guests }: AgentTask, obey) =>
  Effect.gen(function*() {
    const stateDir = Path.join(directory, "state")
    const running = yield* Ref.make<ReadonlyArray<EngineJob>>([])
    const store = yield* Effect.provide(JobStore, JobStoreFile.layer({ stateDir }))
    const point = (job: EngineJob, at: number) => Effect.sync(() => say({ runId: job.runId, at } satisfies Point))
    const jobs = yield* Effect.forEach(guests, ({ name, spread }) => {
      const engine = spread === undefined ? Engine.told(running) : Engine.timed(spread, point)
      return Jobs.make({ guest: name, engine, store, readyTimeout: "10 minutes", cancelLate: false })
    })
    const tls = yield* Certificate.own({ stateDir })
    const socketOf = (name: string) => Path.join(directory, `${name}.sock`)
    const tokens = TokenStoreFile.layer({ stateDir })
    const { server, store: tokenStore } = yield* Layer.build(
      AgentServer.layer({
        guests: new Map(jobs.map((one) => [one.guest, one])),
        listeners: [
          { host: "127.0.0.1", port: 0, tls },
          ...guests.filter(({ socket }) => socket).map(({ name }) => ({ socket: socketOf(name), guest: name }))
        ],
        version: "bench",
        limits: limits(guests.length)
      }).pipe(Layer.provideMerge(tokens))
    ).pipe(Effect.flatMap((context) =>
      Effect.provide(Effect.all({ server: AgentServer.AgentServer, store: TokenStore }), context)
    ))
    const serving: Serving = {
      url: server.urls[0] ?? "none",
      fingerprint: tls.fingerprint,
      guests: yield* Effect.forEach(guests, ({ name }) =>
        Effect.map(tokenStore.make(name), (token) => ({
          name,
          token: Redacted.value(token),
          socketPath: socketOf(name)
        })))
    }
    yield* Effect.sync(() =>
      say(serving)
    )
    return yield* obey(obeyed(running))
  })
)
