/**
 * kill -9 of a run, and of a recovery, at every system call that touches the marker.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Inject from "../live/inject.ts"
import { live } from "../support/live.ts"
import * as Death from "./death.ts"
import * as Holding from "./holding.ts"
import * as Judge from "./judge.ts"
import * as Kills from "./kills.ts"
import * as Lanes from "./lanes.ts"
import * as Ruins from "./ruins.ts"
import type { World } from "./world.ts"

// strace joins a process that is not its child, which Yama allows to root alone
const needs = ["flock", "strace", "root"] as const

const env = { UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" }
const outputOf = (world: World) => Path.join(world.directory, "trace")

const pathsOf = (world: World, runId: string) => {
  const directory = Path.join(world.stateDir, "markers")
  const files = [".json", ".copy.json", ".notes"].flatMap((end) => [`${runId}${end}`, `${runId}${end}.tmp`])
  return [directory, ...files.map((file) => Path.join(directory, file))]
}

/** Where it stands still until it is traced: before the marker is written, and after it was read. */
const places = {
  run: { key: "agent POST /v1/backups/{run}/prepare", nth: 1, cut: "before" },
  recover: { key: "GET /_ping", nth: 1, cut: "before" }
} as const

/** Traces a program, which dies at the target if there is one. */
const traced = Effect.fnUntraced(function*(world: World, words: "run" | "recover", kill?: Inject.Target) {
  return yield* Effect.scoped(Effect.gen(function*() {
    const { letGo, live } = yield* Holding.start(
      world,
      words === "run" ? ["run", "--json"] : ["recover"],
      places[words],
      env
    )
    const [marker] = words === "run" ? [] : Fs.readdirSync(Path.join(world.stateDir, "markers"))
    const runId = marker === undefined ? live.events[0]?.runId ?? "" : marker.slice(0, marker.indexOf("."))
    const deadMan = Death.deadManOf(live.pid)
    yield* Inject.trace(live.pid, { paths: pathsOf(world, runId), output: outputOf(world), kill })
    yield* letGo
    const ended = yield* live.ended
    return { ...ended, deadMan, killed: ended.signal === "SIGKILL" }
  }))
})

describe("kill -9 at a system call on the marker", () => {
  live("of a run", needs, () =>
    Effect.gen(function*() {
      const worlds = yield* Lanes.worlds("docker", 3)
      const [first] = worlds
      if (first === undefined) return assert.fail()
      yield* traced(first, "run")
      const calls = Inject.read(outputOf(first))
      assert.isAbove(calls.length, 20)
      const results = yield* Lanes.each(worlds, calls, (world, { call, line, nth }, index) =>
        Effect.gen(function*() {
          const since = Judge.mark(world)
          const { deadMan, events, killed } = yield* traced(world, "run", { call, nth })
          const busy = yield* Death.quiet(world, deadMan)
          yield* world.agent.giveUp
          const wrong = [...busy, ...Judge.violations(world, since, events)]
          // the others are followed by the run that is killed next
          const next = wrong.length === 0 && index % 4 === 3 ? yield* Judge.next(world) : []
          const seen: Kills.Seen = { name: line, killed, violations: [...wrong, ...next], downMillis: undefined }
          return seen
        }))
      console.log(Lanes.summary("a run at a system call on its marker", results))
      assert.deepStrictEqual(Lanes.broken(results), [])
      assert.deepStrictEqual(results.filter(({ killed }) => !killed), [])
    }), 400_000)

  live("of a recovery", needs, () =>
    Effect.gen(function*() {
      const [world] = yield* Lanes.worlds("docker", 1)
      if (world === undefined) return assert.fail()
      const dead = { key: "agent POST /v1/backups/{run}/quiesced", nth: 1, cut: "replied" } as const
      const ruin = yield* Ruins.make(world, dead)
      Ruins.restore(world, ruin)
      yield* traced(world, "recover")
      const calls = Inject.read(outputOf(world))
      assert.isAtLeast(calls.length, 4)
      for (const { call, line, nth } of calls) {
        const since = Ruins.restore(world, ruin)
        const { killed } = yield* traced(world, "recover", { call, nth })
        assert.isTrue(killed, line)
        assert.deepStrictEqual(yield* Kills.recovered(world), [], line)
        assert.deepStrictEqual(Judge.violations(world, since, []), [], line)
      }
      assert.deepStrictEqual(yield* Judge.next(world), [])
    }), 300_000)
})
