import { Effect, Fiber } from "effect"

/**
 * Runs the effect in a fiber of its own, which an interruption ends without waiting for it. For questions that are asked
 * side by side: in effect 3.22 `Effect.all` and `forEach` with concurrency never end when an interruption meets their
 * set-up, and an abandoned fiber does no harm.
 */
export const detached = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(effect)),
      (fiber) => Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interruptFork(fiber))
    )
  )
