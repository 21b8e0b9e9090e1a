/**
 * Backups that the host has begun by itself: its question to the guest, and whether anybody there listens.
 */
import { Duration, Effect, Option, Ref, Stream, SubscriptionRef } from "effect"
import type { RunId } from "../../domain/RunId.ts"
import { stopwatch } from "../monotonic.ts"

/** A controller that waits for questions waits again soon after each answer. */
const patience = Duration.seconds(90)

export interface Asks {
  /** The run that the guest is asked for, as soon as there is one; none after `wait`. */
  readonly next: (wait: Duration.DurationInput) => Effect.Effect<Option.Option<RunId>>
  /** Whether a controller waits for questions, or did a moment ago. */
  readonly isHeard: Effect.Effect<boolean>
  readonly put: (runId: RunId) => Effect.Effect<void>
  /** The guest has answered, or the question is void. */
  readonly take: (runId: RunId) => Effect.Effect<void>
}

export const make: Effect.Effect<Asks> = Effect.gen(function*() {
  const open = yield* SubscriptionRef.make(Option.none<RunId>())
  const listeners = yield* Ref.make(0)
  const last = yield* Ref.make<Effect.Effect<number>>(Effect.succeed(Infinity))
  return {
    next: (wait) =>
      Effect.acquireUseRelease(
        Ref.update(listeners, (n) => n + 1),
        () =>
          Effect.flatMap(SubscriptionRef.get(open), (ask) =>
            Option.isSome(ask) ? Effect.succeed(ask) : open.changes.pipe(
              Stream.filterMap((ask) => ask),
              Stream.runHead,
              Effect.timeoutOption(wait),
              Effect.map(Option.flatten)
            )),
        () =>
          Effect.zipRight(
            Effect.flatMap(stopwatch, (spent) => Ref.set(last, spent)),
            Ref.update(listeners, (n) => n - 1)
          )
      ),
    isHeard: Effect.gen(function*() {
      if ((yield* Ref.get(listeners)) > 0) return true
      return (yield* Effect.flatten(Ref.get(last))) <= Duration.toMillis(patience)
    }),
    put: (runId) => SubscriptionRef.set(open, Option.some(runId)),
    take: (runId) => SubscriptionRef.update(open, (ask) => Option.filter(ask, (one) => one !== runId))
  }
})
