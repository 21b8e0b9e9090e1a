/**
 * The state of a live run in memory.
 */
import { Effect, Layer, Option, Ref } from "effect"
import type { LiveRun } from "../domain/LiveRun.ts"
import { LiveStatus } from "../services/LiveStatus.ts"

/** Shows the live run to whoever shares this layer. */
export const layer: Layer.Layer<LiveStatus> = Layer.effect(
  LiveStatus,
  Effect.map(Ref.make(Option.none<LiveRun>()), (ref) => ({
    publish: (live) => Ref.set(ref, Option.some(live)),
    clear: Ref.set(ref, Option.none()),
    read: Ref.get(ref)
  }))
)
