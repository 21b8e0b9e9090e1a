/**
 * The run lock in memory: one holder per layer.
 */
import { Effect, Layer, Option, Ref } from "effect"
import { LockHeld, RunLock } from "../services/RunLock.ts"

/** A lock within this layer: it does not keep other processes out. */
export const layer: Layer.Layer<RunLock> = Layer.effect(
  RunLock,
  Effect.map(Ref.make(Option.none<string>()), (holder) => ({
    acquire: (purpose) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.flatMap(
          Ref.modify(holder, (now) => [now, Option.orElseSome(now, () => purpose)]),
          Option.match({ onNone: () => Effect.void, onSome: (other) => new LockHeld({ holder: other }) })
        ),
        () => Ref.set(holder, Option.none())
      )),
    holder: Ref.get(holder)
  }))
)
