/**
 * The journal of an agent in memory: for tests, and for an agent that dies with its controller.
 */
import { Effect, Layer, Ref } from "effect"
import { type JobRecord, JobStore } from "../services/JobStore.ts"

const keyOf = ({ guest, runId }: Pick<JobRecord, "guest" | "runId">) => `${guest}/${runId}`

/** A journal with these records in it. */
export const make = (records: ReadonlyArray<JobRecord> = []): Effect.Effect<JobStore["Type"]> =>
  Effect.map(
    Ref.make<ReadonlyMap<string, JobRecord>>(new Map(records.map((record) => [keyOf(record), record]))),
    (all) => ({
      save: (record) => Ref.update(all, (before) => new Map([...before, [keyOf(record), record]])),
      list: Effect.map(Ref.get(all), (records) => [...records.values()]),
      remove: (record) => Ref.update(all, (before) => new Map([...before].filter(([key]) => key !== keyOf(record))))
    })
  )

/** A journal that is empty at first. */
export const layer: Layer.Layer<JobStore> = Layer.effect(JobStore, make())
