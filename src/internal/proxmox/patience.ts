/**
 * Questions that are asked until they are answered, and what is in the way meanwhile.
 */
import { Effect, Option, Ref } from "effect"
import { EngineFailed } from "../../services/Engine.ts"
import type { ProxmoxError } from "./errors.ts"
import { isTransient, toAgent } from "./meaning.ts"

export interface Patience {
  /** Asks until there is an answer. A failure that does not pass ends the backup. */
  readonly ask: <A>(question: Effect.Effect<A, ProxmoxError>) => Effect.Effect<A, EngineFailed>
  /** Why the last question has no answer yet: whoever waits for the backup must know that nothing is known of it. */
  readonly trouble: Effect.Effect<Option.Option<ProxmoxError>>
}

const pause = "1 second"

export const make: Effect.Effect<Patience> = Effect.map(Ref.make(Option.none<ProxmoxError>()), (trouble) => ({
  ask: (question) =>
    question.pipe(
      Effect.tapError((error) => Ref.set(trouble, Option.some(error))),
      Effect.tap(() => Ref.set(trouble, Option.none())),
      Effect.catchIf(isTransient, (error) => Effect.zipRight(Effect.sleep(pause), Effect.fail(error))),
      Effect.retry({ while: isTransient }),
      Effect.mapError((error) => new EngineFailed({ reason: toAgent(error).message })),
      Effect.tapError(() => Ref.set(trouble, Option.none()))
    ),
  trouble: Ref.get(trouble)
}))
