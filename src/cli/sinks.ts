/**
 * Event sinks of the command line. All of them only write to streams that neither fail nor wait, so none needs a queue.
 */
import { Effect, Option, Ref } from "effect"
import type { Report, RunEvent } from "../domain/Report.ts"
import type { EventSink } from "../services/EventSink.ts"

export type Sink = EventSink["Type"]

/** Tells each of the sinks, in order. */
export const combine = (sinks: ReadonlyArray<Sink>): Sink => ({
  emit: (event) => Effect.forEach(sinks, (sink) => sink.emit(event), { discard: true })
})

/** Every event as one line of JSON. */
export const ndjson = (write: (text: string) => Effect.Effect<void>): Sink => ({
  emit: (event: RunEvent) => write(`${JSON.stringify(event)}\n`)
})

/** Keeps the report, which an interrupted run gives to nobody else. */
export const keepReport: Effect.Effect<{ readonly sink: Sink; readonly report: Effect.Effect<Option.Option<Report>> }> =
  Effect.map(Ref.make(Option.none<Report>()), (ref) => ({
    sink: { emit: (event) => event.type === "report" ? Ref.set(ref, Option.some(event)) : Effect.void },
    report: Ref.get(ref)
  }))
