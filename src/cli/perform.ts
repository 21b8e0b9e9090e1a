/**
 * One run as the commands do it: its events are shown, and its report is kept.
 */
import { Effect, Option } from "effect"
import type { RunPolicy } from "../domain/Policy.ts"
import type { Report } from "../domain/Report.ts"
import { quiesce, type QuiesceOptions } from "../programs/quiesce.ts"
import { EventSink } from "../services/EventSink.ts"
import { ReportStore } from "../services/ReportStore.ts"
import { Output } from "./Output.ts"
import * as Progress from "./progress.ts"
import * as Sinks from "./sinks.ts"

export interface PerformOptions extends QuiesceOptions {
  /** Events as lines of JSON on stdout. */
  readonly json: boolean
  /** Given the report before anything else is done with it, also beside an interruption. */
  readonly reported?: ((report: Report) => Effect.Effect<void>) | undefined
}

/** Where the events of this run go. */
const sinks = Effect.fnUntraced(function*(json: boolean) {
  const output = yield* Output
  const shown = json && !output.stderrScreen.redraws ? [] : [
    yield* Progress.make({ screen: output.stderrScreen, write: output.stderr, backlog: output.stderrBacklog })
  ]
  return [...shown, ...json ? [Sinks.ndjson(output.stdout)] : [], yield* Sinks.live]
})

export const perform = Effect.fnUntraced(function*(policy: RunPolicy, options: PerformOptions) {
  const output = yield* Output
  const reports = yield* ReportStore
  const kept = yield* Sinks.keepReport
  const { json, reported = () => Effect.void, ...rest } = options
  const sink = Sinks.combine([yield* EventSink, ...yield* sinks(json), kept.sink])

  /** Also after an interruption, which lets no result out but what the sink has kept. */
  const finish = Effect.gen(function*() {
    const report = yield* kept.report
    if (Option.isNone(report)) return
    yield* reported(report.value)
    const { outcome } = report.value
    // a run that was turned away is no run: it must not hide the last real one
    if (outcome === "busy") return
    yield* reports.save(report.value).pipe(
      // a state directory that the run refused is not complained of twice
      Effect.catchAll((error) =>
        outcome === "refused" ? Effect.void : output.stderr(`quiesce: warning: ${error.message}\n`)
      )
    )
  })
  return yield* Effect.uninterruptibleMask((restore) =>
    restore(Effect.provideService(quiesce(policy, rest), EventSink, sink)).pipe(
      Effect.exit,
      Effect.zipLeft(finish),
      Effect.flatten
    )
  )
}, Effect.scoped)
