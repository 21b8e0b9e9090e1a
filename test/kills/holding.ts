/**
 * A program that stands still at a boundary until it is let go.
 */
import { Deferred, Effect, type Scope } from "effect"
import type * as Quiesce from "../live/quiesce.ts"
import type * as Gate from "./gate.ts"
import type { World } from "./world.ts"

export interface Held {
  readonly live: Quiesce.Live
  readonly letGo: Effect.Effect<void>
}

/** Starts it, and returns when it stands there. It fails when it ends before. */
export const start = Effect.fnUntraced(
  function*(
    world: World,
    words: ReadonlyArray<string>,
    where: Gate.Point,
    env?: Readonly<Record<string, string>>
  ): Effect.fn.Return<Held, never, Scope.Scope> {
    const reached = yield* Deferred.make<void>()
    let letGo = () => {}
    const go = new Promise<void>((resolve) => {
      letGo = resolve
    })
    world.gate.arm(where, async () => {
      Deferred.unsafeDone(reached, Effect.void)
      await go
      return "goes on" as const
    })
    const live = yield* world.start(words, env)
    yield* Effect.raceFirst(
      Deferred.await(reached),
      Effect.flatMap(
        live.ended,
        ({ code, stderr }) => Effect.dieMessage(`it did not come to ${where.key}: exit code ${code}: ${stderr}`)
      )
    )
    return { live, letGo: Effect.sync(letGo) }
  }
)
