/**
 * For tests: what the in-memory layers were asked and did, in order, with the time. Assert on it instead of on spies.
 */
import { Clock, Context, Effect, Layer, Ref } from "effect"

/** One thing that was asked or done. */
export interface JournalEntry {
  /** Milliseconds of the test's clock. */
  readonly at: number
  readonly what: string
}

/** The entries of all in-memory layers that share it. */
export class Journal extends Context.Tag("quiesce/layers/Journal")<Journal, {
  readonly record: (what: string) => Effect.Effect<void>
  readonly entries: Effect.Effect<ReadonlyArray<JournalEntry>>
  /** The entries without their times. */
  readonly lines: Effect.Effect<ReadonlyArray<string>>
}>() {}

/** An empty journal. Build it once, and provide it to all in-memory layers of a test. */
export const layer: Layer.Layer<Journal> = Layer.effect(
  Journal,
  Effect.map(Ref.make<ReadonlyArray<JournalEntry>>([]), (ref) => ({
    record: (what) => Effect.flatMap(Clock.currentTimeMillis, (at) => Ref.update(ref, (all) => [...all, { at, what }])),
    entries: Ref.get(ref),
    lines: Effect.map(Ref.get(ref), (all) => all.map(({ what }) => what))
  }))
)
