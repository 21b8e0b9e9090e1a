/**
 * The state of the daemon in memory.
 */
import { Effect, Layer, Option, Ref } from "effect"
import type { WatchState } from "../domain/Watch.ts"
import { WatchClaimed, WatchStore, WatchStoreError } from "../services/WatchStore.ts"

/** What the memory holds at first, and where it fails. */
export interface WatchStoreMemoryOptions {
  readonly initially?: WatchState | undefined
  /** Nothing can be kept. */
  readonly full?: boolean | undefined
}

/** One daemon per layer: it does not keep other processes out. */
export const layer = (options: WatchStoreMemoryOptions = {}): Layer.Layer<WatchStore> =>
  Layer.effect(
    WatchStore,
    Effect.gen(function*() {
      const state = yield* Ref.make(Option.fromNullable(options.initially))
      const claimed = yield* Ref.make(false)
      return {
        claim: Effect.asVoid(Effect.acquireRelease(
          Effect.flatMap(Ref.getAndSet(claimed, true), (before) => before ? new WatchClaimed() : Effect.void),
          () => Ref.set(claimed, false)
        )),
        alive: Ref.get(claimed),
        write: (next) =>
          options.full === true
            ? new WatchStoreError({ operation: "keep", reason: "told to be full" })
            : Ref.set(state, Option.some(next)),
        read: Ref.get(state)
      }
    })
  )
