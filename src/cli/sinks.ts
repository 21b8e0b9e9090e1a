/**
 * Event sinks of the command line. Those that write to streams neither fail nor wait; the one that writes a file has a
 * queue, because a run must go on while its own file system stands still (a freeze of the whole guest for a snapshot).
 */
import { Effect, Option, Queue, Ref } from "effect"
import { follow, type LiveRun } from "../domain/LiveRun.ts"
import type { Report, RunEvent } from "../domain/Report.ts"
import type { EventSink } from "../services/EventSink.ts"
import { LiveStatus } from "../services/LiveStatus.ts"

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

/** Shows the run to other processes until the scope closes; only the newest state is worth writing. */
export const live = Effect.gen(function*() {
  const status = yield* LiveStatus
  const states = yield* Effect.acquireRelease(Queue.sliding<LiveRun>(1), (queue) => Queue.shutdown(queue))
  const now = yield* Ref.make<LiveRun | undefined>(undefined)
  const shown = yield* Ref.make(false)
  // a run that was turned away has shown nothing, and what is shown then is another's
  const clear = Effect.flatMap(Ref.get(shown), (ours) => ours ? status.clear : Effect.void)
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.disconnect(clear), "1 second"))
  yield* Queue.take(states).pipe(Effect.flatMap((state) => status.publish(state)), Effect.forever, Effect.forkScoped)
  const sink: Sink = {
    emit: (event) =>
      Effect.flatMap(
        Ref.updateAndGet(now, (before) => follow(before, event)),
        (state) => state === undefined ? Effect.void : Effect.zipRight(Ref.set(shown, true), Queue.offer(states, state))
      )
  }
  return sink
})
