/**
 * kill -9 of `quiesce recover` in the middle of it, after a run that was killed with its dead-man. The next one brings
 * the app up.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { live } from "../support/live.ts"
import * as Kills from "./kills.ts"
import * as Lanes from "./lanes.ts"
import * as Ruins from "./ruins.ts"
import * as Sweep from "./sweep.ts"

/** Where the run before died: everything is down, and half of it is up again. */
const deaths = {
  docker: [
    { key: "agent POST /v1/backups/{run}/quiesced", nth: 1, cut: "replied" },
    { key: "POST /containers/shop-db-1/start", nth: 1, cut: "after" }
  ],
  command: [{ key: "command start", nth: 1, cut: "before" }]
} as const

describe("kill -9 of recover", () => {
  for (const kind of ["docker", "command"] as const) {
    for (const where of deaths[kind]) {
      live(`${kind}: at all that it asks for, after a death ${Kills.nameOf({ where, way: "alone" })}`, [
        "flock",
        "perl"
      ], () =>
        Effect.gen(function*() {
          const worlds = yield* Lanes.worlds(kind, 2)
          const [first] = worlds
          if (first === undefined) return assert.fail()
          const ruins = new Map(
            yield* Effect.forEach(worlds, (world) =>
              Effect.map(Ruins.make(world, where), (made) => [world, made] as const))
          )
          const { seen, wrong } = yield* Ruins.record(first, Ruins.of(ruins, first))
          assert.deepStrictEqual(wrong, [])
          const kills = Sweep.short(seen, kind === "docker" ? ["alone"] : ["with its commands", "alone"])
          const results = yield* Lanes.each(
            worlds,
            kills,
            (world, kill) =>
              Ruins.survive(world, Ruins.of(ruins, world), kill)
          )
          console.log(Lanes.summary(`recover, ${kind}`, results))
          assert.deepStrictEqual(Lanes.broken(results), [])
          assert.isAtLeast(results.filter(({ killed }) => killed).length, results.length - 2)
        }), 300_000)
    }
  }
})
