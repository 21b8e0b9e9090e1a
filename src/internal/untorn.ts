import { Effect, Fiber } from "effect"

/**
 * Runs the effect to its end whatever happens to the caller, and returns only then.
 *
 * Uninterruptible alone is not enough: an interruption is also sent to the child fibers that a timeout or a race inside
 * it forks, and tears them. A daemon has no parent that passes interruptions on; inside it, timeouts work as usual.
 */
export const untorn = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptible(Effect.flatMap(Effect.forkDaemon(Effect.interruptible(effect)), (fiber) => Fiber.join(fiber)))
