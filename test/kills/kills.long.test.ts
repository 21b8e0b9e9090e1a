/**
 * kill -9 of a run at everything that it asks of the world around it, and at random times. The dead-man brings the app
 * back, or `quiesce recover` where it is dead too.
 *
 * `KILLS=2000 SEED=7 npm run test:long -- test/kills/kills.long` makes a sweep of that many.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { live } from "../support/live.ts"
import * as Kills from "./kills.ts"
import * as Lanes from "./lanes.ts"
import * as Sweep from "./sweep.ts"
import type { Kind } from "./world.ts"

const needs = ["flock", "perl"] as const

/** A container is nobody's child; a command may die with the program that has started it. */
const waysOf = {
  docker: ["alone", "with its dead-man"],
  command: ["alone", "with all of them", "with its commands", "with its dead-man"]
} as const satisfies Record<Kind, unknown>

const kinds = ["docker", "command"] as const

/** A sweep in some worlds at a time; `every` says after which kills a whole run must end well. */
const sweep = Effect.fnUntraced(function*(
  kind: Kind,
  choose: (seen: Effect.Effect.Success<ReturnType<typeof Kills.record>>["seen"]) => ReadonlyArray<Kills.Kill>,
  options: { readonly name: string; readonly lanes: number; readonly every: number }
) {
  const worlds = yield* Lanes.worlds(kind, options.lanes)
  const [first] = worlds
  if (first === undefined) return assert.fail()
  const { seen, wrong } = yield* Kills.record(first)
  assert.deepStrictEqual(wrong, [])
  const kills = choose(seen)
  const results = yield* Lanes.each(
    worlds,
    kills,
    (world, kill, index) => Kills.survive(world, kill, { next: index % options.every === 0 })
  )
  console.log(Lanes.summary(`${kind}, ${options.name}`, results))
  assert.deepStrictEqual(Lanes.broken(results), [])
  return results
})

const killed = (seen: ReadonlyArray<Kills.Seen>) => seen.filter(({ killed }) => killed).length

const short = () => {
  for (const kind of kinds) {
    live(`${kind}: at all that it asks for`, needs, () =>
      Effect.gen(function*() {
        const results = yield* sweep(kind, (seen) => Sweep.short(seen, waysOf[kind]), {
          name: "at all that it asks for",
          lanes: 3,
          every: 3
        })
        // a poll more or less is no fault
        assert.isAtLeast(killed(results), results.length - 4)
        assert.isAtLeast(results.length, kind === "docker" ? 45 : 25)
      }), 400_000)

    live(
      `${kind}: at random times`,
      needs,
      () =>
        sweep(kind, (seen) => Sweep.atRandom(seen, waysOf[kind], 8, Lanes.random(Sweep.seed)), {
          name: `at random times, seed ${Sweep.seed}`,
          lanes: 2,
          every: 4
        }),
      400_000
    )
  }
}

const long = () => {
  for (const kind of kinds) {
    live(kind, needs, () =>
      sweep(
        kind,
        (seen) => Sweep.long(seen, waysOf[kind], Math.ceil(Sweep.wanted / kinds.length), Lanes.random(Sweep.seed)),
        { name: `seed ${Sweep.seed}`, lanes: 4, every: Sweep.every }
      ), 12 * 3_600_000)
  }
}

// one or the other: nothing is skipped
if (Sweep.wanted > 0) describe(`${Sweep.wanted} kills of a run, seed ${Sweep.seed}`, long)
else describe("kill -9 of a run", short)
