/**
 * The last reports in memory.
 */
import { Effect, Layer, Ref } from "effect"
import type { Report } from "../domain/Report.ts"
import { ReportStore } from "../services/ReportStore.ts"

/** Keeps the last 20 reports as long as the layer lives. */
export const layer: Layer.Layer<ReportStore> = Layer.effect(
  ReportStore,
  Effect.map(Ref.make<ReadonlyArray<Report>>([]), (reports) => ({
    save: (report) => Ref.update(reports, (all) => [report, ...all].slice(0, 20)),
    list: Ref.get(reports)
  }))
)
