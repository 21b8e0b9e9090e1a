/**
 * One death of a run that holds the app down, and how long it takes until the app answers again.
 */
import { Effect } from "effect"
import * as Death from "../../test/kills/death.ts"
import * as Holding from "../../test/kills/holding.ts"
import * as Kills from "../../test/kills/kills.ts"
import type { World } from "../../test/kills/world.ts"
import type { App } from "./app.ts"

export const deaths = ["sigterm", "dead-man", "recover"] as const
export type Name = typeof deaths[number]

/** The app is down, and the snapshot is not there yet. */
const inTheHold = { key: "agent GET /v1/backups/{run}", nth: 2, cut: "before" } as const

/** Milliseconds from the signal to the first answer of the app. */
export const measure = Effect.fnUntraced(function*(world: World, app: App, name: Name) {
  return yield* Effect.scoped(Effect.gen(function*() {
    const { letGo, live } = yield* Holding.start(world, ["run", "--json"], inTheHold)
    if (yield* app.isUp) return yield* Effect.dieMessage("the app is up in the hold")
    const begin = performance.now()
    let deadMan: number | undefined
    switch (name) {
      case "sigterm":
        live.signal("SIGTERM")
        break
      case "dead-man":
        deadMan = Death.kill9(live.pid, "alone")
        break
      case "recover":
        Death.kill9(live.pid, "with its dead-man")
        yield* world.start(["recover"])
        break
    }
    const millis = (yield* app.up) - begin
    yield* letGo
    yield* live.ended
    yield* Death.quiet(world, deadMan)
    yield* Kills.settled(world)
    return millis
  }))
})
