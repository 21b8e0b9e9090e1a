/**
 * kill -9 at random times, of the run with its helpers, and of the dead-man too.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { afterAll } from "vitest"
import { live } from "../support/live.ts"
import { next, strike, survive, tally } from "./kill.ts"
import * as Site from "./site.ts"
import * as Traces from "./traces.ts"

const needs = ["postgres", "flock", "tar", "zstd"] as const
const site = Site.shared(needs)
const kills = tally()
afterAll(() => console.log(kills.summary()))

const project = (site: Site.Site, name: string) => Site.project(site, name, { stack: { stopTimeout: "3s" } })

/** Numbers from 0 to 1, always the same (a linear congruential generator, Numerical Recipes). */
const numbers = (seed: number, count: number): ReadonlyArray<number> => {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  })
}

describe("kill -9 of a run", () => {
  live("at random times", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const times = numbers(20261123, 12).map((share) => Math.round(100 + share * 1000))
      for (const at of times) {
        const random = yield* project(here, "random")
        kills.add(`${at} ms`, yield* survive(here, random, { at }))
        yield* next(here, random)
      }
      // on a quick machine the run is over before some of them
      assert.isAbove(kills.all.filter(({ killed }) => killed).length, 3)
    }), 180_000)

  live("with its whole process group", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const hooks = { "stop.during": "kill -9 -$quiesce" }
      const group = yield* project(here, "group")
      const seen = yield* survive(here, group, { hooks })
      yield* next(here, group)
      kills.add("group", seen)
      assert.isTrue(seen.killed)
    }))

  live("with its stop command, while the server goes on stopping", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const [row] = yield* here.server.query("select pid from pg_stat_activity where backend_type = 'checkpointer'")
      const checkpointer = Number(row?.["pid"])
      // without its checkpointer the server can neither finish its stop nor take clients
      const resume = Effect.sync(() => process.kill(checkpointer, "SIGCONT"))
      const stopped = yield* project(here, "stopping")
      const seen = yield* survive(here, stopped, {
        hooks: {
          "stop.before": `kill -STOP ${checkpointer}`,
          "stop.during": "sleep 0.2; kill -9 $quiesce $child $$"
        },
        act: (run) =>
          Effect.gen(function*() {
            yield* run.ended
            yield* Effect.sleep("700 millis")
            assert.isTrue(yield* here.server.isRunning, "it has stopped already")
            yield* resume
          }).pipe(Effect.orDie)
      })
      yield* next(here, stopped)
      kills.add("with its stop command", seen)
      assert.isTrue(seen.killed)
      assert.isAbove(seen.downMillis, 600)
    }))

  live(
    "and of its dead-man: the app stays down, recover brings it back, and then has nothing to do",
    needs,
    () =>
      Effect.gen(function*() {
        const here = yield* site
        const killed = yield* project(here, "both")
        yield* strike(killed, {
          hooks: { "stop.after": "hold" },
          act: (run) =>
            Effect.gen(function*() {
              yield* killed.hooks.held
              process.kill(Traces.deadMan(killed), "SIGKILL")
              run.signal("SIGKILL")
              killed.hooks.letGo()
            }).pipe(Effect.orDie)
        })
        assert.deepStrictEqual(yield* Traces.quiet(killed), [])
        yield* Effect.sleep("2 seconds")
        assert.isFalse(yield* here.server.isRunning)
        assert.strictEqual((yield* killed.quiesce(["status"])).code, 4)
        const first = yield* killed.quiesce(["recover", "--json"])
        assert.isTrue(yield* here.server.isRunning)
        assert.strictEqual(first.code, 0)
        assert.deepInclude(JSON.parse(first.stdout), {
          recovered: [{ stack: "notes", unit: "notes" }],
          failed: [],
          markers: 1
        })
        const before = yield* here.server.query("select pg_postmaster_start_time()::text as at")
        const second = yield* killed.quiesce(["recover", "--json"])
        assert.strictEqual(second.code, 0)
        assert.deepInclude(JSON.parse(second.stdout), { recovered: [], failed: [], markers: 0 })
        assert.deepStrictEqual(yield* here.server.query("select pg_postmaster_start_time()::text as at"), before)
        assert.deepStrictEqual(Traces.everything(killed), [])
      })
  )

  live("mutant: with a dead-man that does nothing the checks see the app down", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const mutant = yield* project(here, "mutant")
      mutant.hooks.replace("sh", "echo armed >&3; exec 3>&-; cat >/dev/null")
      const exit = yield* Effect.exit(survive(here, mutant, { hooks: { "stop.after": "kill -9 $quiesce" } }))
      assert.match(Exit.isFailure(exit) ? String(exit.cause) : "", /the app is down/)
      assert.strictEqual((yield* mutant.quiesce(["recover"])).code, 0)
      assert.isTrue(yield* here.server.isRunning)
    }))

  live("no row that the client was promised is lost", needs, () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Site.lost(yield* site), [])
    }))
})
