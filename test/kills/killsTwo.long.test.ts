/**
 * Two at once: a second run, and a recovery, beside a run that lives; and many recoveries at its death.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { live } from "../support/live.ts"
import * as Death from "./death.ts"
import type * as Gate from "./gate.ts"
import * as Holding from "./holding.ts"
import * as Judge from "./judge.ts"
import type * as Kills from "./kills.ts"
import * as Lanes from "./lanes.ts"

const needs = ["flock"] as const

/** What can wait for as long as two other programs take. */
const places: ReadonlyArray<Gate.Point> = [
  { key: "agent GET /v1/health", nth: 1, cut: "before" },
  { key: "agent POST /v1/backups/{run}/prepare", nth: 1, cut: "before" },
  { key: "agent GET /v1/backups/{run}", nth: 2, cut: "before" },
  { key: "POST /containers/shop-db-1/start", nth: 1, cut: "before" },
  { key: "POST /containers/shop-web-1/start", nth: 1, cut: "after" }
]

describe("two at once", () => {
  live("a run and a recovery beside a live run change nothing", needs, () =>
    Effect.gen(function*() {
      const worlds = yield* Lanes.worlds("docker", 2)
      const results = yield* Lanes.each(worlds, places, (world, where) =>
        Effect.gen(function*() {
          const since = Judge.mark(world)
          const first = yield* Holding.start(world, ["run", "--json"], where)
          const before = world.docker.orders.length
          const second = yield* world.run(["run", "--json"])
          const beside = yield* world.run(["recover", "--json"])
          const orders = world.docker.orders.slice(before)
          yield* first.letGo
          const { code, events, report } = yield* first.live.ended
          const asExpected = {
            second: [second.code, second.report?.outcome],
            recover: [beside.code, JSON.parse(beside.stdout).liveRun],
            orders,
            first: [code, report?.consistency.level]
          }
          assert.deepStrictEqual(asExpected, {
            second: [5, "busy"],
            recover: [0, true],
            orders: [],
            first: [0, "application"]
          }, where.key)
          const seen: Kills.Seen = {
            name: `beside a run ${where.cut} ${where.key}`,
            killed: true,
            violations: Judge.violations(world, since, [...events, ...second.events]),
            downMillis: undefined
          }
          return seen
        }))
      assert.deepStrictEqual(Lanes.broken(results), [])
      assert.strictEqual(results.length, places.length)
    }), 300_000)

  live("three recoveries at the death of a run: one start for each stop", needs, () =>
    Effect.gen(function*() {
      const worlds = yield* Lanes.worlds("docker", 3)
      const results = yield* Lanes.each(worlds, places.slice(1), (world, where) =>
        Effect.gen(function*() {
          const since = Judge.mark(world)
          const { letGo, live: run } = yield* Holding.start(world, ["run", "--json"], where)
          const deadMan = Death.kill9(run.pid, "alone")
          const ends = yield* Effect.all([world.run(["recover"]), world.run(["recover"])], { concurrency: "unbounded" })
          yield* letGo
          const busy = yield* Death.quiet(world, deadMan)
          yield* world.agent.giveUp
          const seen: Kills.Seen = {
            name: `death ${where.cut} ${where.key}`,
            killed: true,
            violations: [
              ...ends.flatMap(({ code, stderr }) => code === 0 ? [] : [`recover: exit code ${code}: ${stderr}`]),
              ...busy,
              ...Judge.violations(world, since, [])
            ],
            downMillis: undefined
          }
          return seen
        }))
      assert.deepStrictEqual(Lanes.broken(results), [])
    }), 300_000)
})
