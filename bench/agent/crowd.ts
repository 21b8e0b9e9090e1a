/**
 * Many guests that wait at one agent: how soon they are told, and what they cost it.
 */
import { Effect } from "effect"
import { LabError } from "../../test/lab/postgresInstall.ts"
import type { AgentTask, Order, Point, Serving, Usage } from "./agentProcess.ts"
import * as Child from "./child.ts"
import type { GuestsTask, Told, Woken } from "./guestsProcess.ts"
import { type Quantiles, quantiles, round } from "./quantiles.ts"

export interface Crowd {
  readonly guests: number
  /** Milliseconds from a change of one backup to its guest, with all others waiting. */
  readonly each: Quantiles
  /** From the moment before the first change to each guest, when all change at once. */
  readonly all: Quantiles
  /** The same at `snapshotted`, which is written down too. */
  readonly snapshotted: Quantiles
  /** Megabytes of the agent: with no connection, with all waiting, after all changes, and after they have gone. */
  readonly rss: Readonly<Record<"before" | "waiting" | "changed" | "gone", number>>
  readonly heap: Readonly<Record<"before" | "waiting" | "changed" | "gone", number>>
  /** KB of memory for one guest that waits. */
  readonly kilobytesEach: number
  /** With nothing to do, for some seconds: CPU in parts of one CPU, and questions that were asked again. */
  readonly idle: { readonly seconds: number; readonly cpu: number; readonly renewed: number }
  /** Until all waited. */
  readonly beganIn: number
}

export interface CrowdOptions {
  readonly directory: string
  readonly guests: number
  /** How often all change at once. */
  readonly rounds: number
  readonly idleSeconds: number
}

/** Milliseconds between the changes of two guests, so that one is told before the next has its change. */
const gap = 8

/** How long all guests may take to be told. */
const patience = "60 seconds"

const megabytes = (bytes: number) => Math.round(bytes / 1e5) / 10

export const measure = Effect.fn("AgentBench.crowd")(function*(options: CrowdOptions) {
  const { directory, guests: count } = options
  const [agentFile, guestsFile] = yield* Effect.all([
    Child.bundle(directory, "agentProcess"),
    Child.bundle(directory, "guestsProcess")
  ])
  const guests = Array.from({ length: count }, (_, index) => ({ name: `guest${index + 1}` }))
  const task: AgentTask = { directory: `${directory}/crowd`, guests }
  const agent = yield* Child.start(agentFile, task, ["--expose-gc"])
  const serving = (yield* agent.next) as Serving
  const order = <A>(what: Order) => Effect.map(agent.ask(what), (answer) => answer as A)
  const usage = Effect.delay(order<Usage>({ do: "usage" }), "1 second")
  const before = yield* usage

  const { changed, result, waiting } = yield* Effect.scoped(Effect.gen(function*() {
    const begin = performance.now()
    const crowd = yield* Child.start(guestsFile, { url: serving.url, guests: serving.guests } satisfies GuestsTask)
    yield* crowd.next
    const beganIn = Math.round(performance.now() - begin)
    const heard = Effect.map(crowd.ask("tell"), (told) => told as Told)

    /** All that were woken, when each has been. */
    const all = Effect.suspend(() => {
      const woken: Array<Woken> = []
      return Effect.gen(function*() {
        while (woken.length < count) {
          yield* Effect.sleep("100 millis")
          woken.push(...(yield* heard).woken)
        }
        return woken
      }).pipe(Effect.timeoutFail({
        duration: patience,
        onTimeout: () => new LabError({ message: `${woken.length} guests of ${count} were told within ${patience}` })
      }))
    })
    const atOnce = (phase?: "snapshotted") =>
      Effect.gen(function*() {
        const { at } = yield* order<{ readonly at: number }>({ do: "all", ...phase === undefined ? {} : { phase } })
        return (yield* all).map((woken) => woken.at - at)
      })

    const waiting = yield* usage
    yield* heard
    const first = yield* order<number>({ do: "cpu" })
    const since = performance.now()
    yield* Effect.sleep(options.idleSeconds * 1000)
    const last = yield* order<number>({ do: "cpu" })
    const took = performance.now() - since
    const { renewed } = yield* heard

    const points = new Map(
      (yield* order<ReadonlyArray<Point>>({ do: "each", gap })).map(({ at, runId }) => [runId, at])
    )
    const each = (yield* all).map(({ at, runId }) => at - (points.get(runId) ?? Number.NaN))
    const together: Array<number> = []
    for (let round = 0; round < options.rounds; round++) {
      // progress is told four times a second at most
      yield* Effect.sleep("500 millis")
      together.push(...(yield* atOnce()))
    }
    const snapshotted = yield* atOnce("snapshotted")
    return {
      waiting,
      changed: yield* usage,
      result: {
        each: quantiles(each),
        all: quantiles(together),
        snapshotted: quantiles(snapshotted),
        idle: { seconds: round(took / 1000), cpu: Number(((last - first) / took).toFixed(4)), renewed },
        beganIn
      }
    }
  }))
  const gone = yield* usage
  const of = (key: "rss" | "heap") => ({
    before: megabytes(before[key]),
    waiting: megabytes(waiting[key]),
    changed: megabytes(changed[key]),
    gone: megabytes(gone[key])
  })
  return {
    guests: count,
    ...result,
    rss: of("rss"),
    heap: of("heap"),
    kilobytesEach: Math.round((waiting.rss - before.rss) / 1000 / count)
  } satisfies Crowd
})
