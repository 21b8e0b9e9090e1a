/**
 * Brings up what is left down, before the daemon stops anything.
 */
import { Data, Duration, Effect, Random, Ref } from "effect"
import { backoff } from "../domain/Watch.ts"
import { untorn } from "../internal/untorn.ts"
import { recover, type RecoverPolicy } from "./recover.ts"
import type { Tell } from "./watchMemory.ts"

const healPauses = { minDelay: Duration.seconds(5), maxDelay: Duration.minutes(1) }

class StillDown extends Data.TaggedError("StillDown") {}

/** Recovers until nothing is left down: before that, nothing may be stopped. `down` is whether something is. */
export const heal = Effect.fnUntraced(function*(policy: RecoverPolicy, down: Ref.Ref<boolean>, tell: Tell) {
  const once = recover(policy).pipe(
    Effect.flatMap(({ failed, liveRun, recovered, warnings }) =>
      Effect.gen(function*() {
        if (recovered.length + warnings.length > 0) yield* tell({ event: "recovered", recovered, warnings })
        // another one is at it
        if (liveRun && (yield* Ref.get(down))) return yield* new StillDown()
        yield* Ref.set(down, failed.length > 0)
        if (failed.length === 0) return
        const reason = failed.map(({ error, stack, unit }) => `${stack}/${unit}: ${error}`).join("; ")
        yield* tell({ event: "down", reason })
        return yield* new StillDown()
      })
    ),
    Effect.tapError((error) =>
      error._tag === "StillDown"
        ? Effect.void
        : tell({ event: "warning", message: `recover did not work, and is tried again: ${error.message}` })
    ),
    // what it finds out must be known also beside an interruption
    untorn
  )
  for (let tries = 0; (yield* Effect.either(once))._tag === "Left"; tries++) {
    yield* Effect.sleep(backoff(healPauses, tries, yield* Random.next))
  }
})
