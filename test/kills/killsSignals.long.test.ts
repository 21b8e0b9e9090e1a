/**
 * SIGTERM and SIGINT at everything that a run asks for: the app is up before it ends, and the exit code says the signal.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { live } from "../support/live.ts"
import type * as Gate from "./gate.ts"
import * as Judge from "./judge.ts"
import * as Kills from "./kills.ts"
import * as Lanes from "./lanes.ts"
import type { World } from "./world.ts"

interface Sent {
  readonly signal: "SIGTERM" | "SIGINT"
  readonly times: number
}

const codes = { SIGTERM: 143, SIGINT: 130 } as const

const all: ReadonlyArray<Sent> = [
  { signal: "SIGTERM", times: 1 },
  { signal: "SIGINT", times: 2 },
  { signal: "SIGINT", times: 3 }
]

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** A run that gets the signals at this boundary, as a terminal sends them: to the whole process group. */
const interrupted = Effect.fnUntraced(function*(world: World, where: Gate.Point, { signal, times }: Sent) {
  const since = Judge.mark(world)
  const ended = yield* Effect.scoped(Effect.gen(function*() {
    let send = (_signal: NodeJS.Signals) => {}
    world.gate.arm(where, async () => {
      for (let sent = 0; sent < times; sent++) {
        send(signal)
        await pause(30)
      }
      return "goes on" as const
    })
    const run = yield* world.start(["run", "--json"])
    send = run.signalGroup
    const { code, events, report, stderr } = yield* run.ended
    // at once: nobody is left who could bring it up later
    return { code, report, stderr, violations: Judge.violations(world, since, events) }
  }))
  const { code, report, stderr, violations } = ended
  const reached = stderr.startsWith(`quiesce: ${signal}: stopping`)
  const over = code === 0 && report?.consistency.level === "application"
  const wrong = over || (code === codes[signal] && report?.outcome === "aborted")
    ? []
    : [`exit code ${code}, ${report?.outcome}: ${stderr}`]
  yield* world.agent.giveUp
  const name = `${signal} ${times} times at ${where.key} #${where.nth}`
  const seen: Kills.Seen = { name, killed: reached, violations: [...violations, ...wrong], downMillis: undefined }
  return seen
})

describe("signals to a run", () => {
  for (const kind of ["docker", "command"] as const) {
    live(`${kind}: at all that it asks for`, ["flock", "perl"], () =>
      Effect.gen(function*() {
        const worlds = yield* Lanes.worlds(kind, 2)
        const [first] = worlds
        if (first === undefined) return assert.fail()
        const { seen, wrong } = yield* Kills.record(first)
        assert.deepStrictEqual(wrong, [])
        const jobs = seen.map(({ key, nth }, index) => ({
          where: { key, nth, cut: "before" } as const,
          sent: all[index % all.length] ?? { signal: "SIGTERM", times: 1 }
        }))
        const results = yield* Lanes.each(worlds, jobs, (world, { sent, where }) => interrupted(world, where, sent))
        assert.deepStrictEqual(Lanes.broken(results), [])
        assert.isAtLeast(results.filter(({ killed }) => killed).length, results.length - 3)
        assert.deepStrictEqual(yield* Judge.next(first), [])
      }), 300_000)
  }
})
