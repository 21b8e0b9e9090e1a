/**
 * A daemon whose supervisor hears of its end when it begins.
 */
import { Effect } from "effect"
import { Supervisor } from "../services/Supervisor.ts"

/** As a finalizer of the daemon itself it would be told only when the app is up again. */
export const supervised = <A, E, R>(daemon: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Supervisor,
    ({ stopping }) => Effect.raceFirst(daemon, Effect.onInterrupt(Effect.never, () => stopping))
  )
