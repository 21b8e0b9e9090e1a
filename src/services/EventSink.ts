/**
 * Where a run tells what happens. Without a layer, nowhere.
 */
import { Context, Effect } from "effect"
import type { RunEvent } from "../domain/Report.ts"

/**
 * `emit` must neither fail nor wait: the run that emits holds an app down. A sink that writes puts the event in a queue.
 */
export class EventSink extends Context.Reference<EventSink>()("quiesce/services/EventSink", {
  defaultValue: (): { readonly emit: (event: RunEvent) => Effect.Effect<void> } => ({ emit: () => Effect.void })
}) {}
