/**
 * Markers in memory: for tests of programs and of embedding apps. They are gone with the process, so never for real runs.
 */
import { Effect, Layer, Ref } from "effect"
import type { StoredMarker } from "../domain/Marker.ts"
import { MarkerStore, MarkerStoreError, OtherMachine } from "../services/MarkerStore.ts"
import { Journal } from "./Journal.ts"

/** What is there at first, and which calls fail. */
export interface MarkerStoreMemoryOptions {
  /** What is there at the beginning. */
  readonly initially?: ReadonlyArray<StoredMarker> | undefined
  /** Whether the nth call (from 0) of an operation fails. */
  readonly fails?: ((operation: MarkerStoreError["operation"], n: number) => boolean) | undefined
  /** They are those of another machine. */
  readonly otherMachine?: boolean | undefined
}

const make = Effect.fnUntraced(function*(options: MarkerStoreMemoryOptions) {
  const journal = yield* Journal
  const markers = yield* Ref.make<ReadonlyArray<StoredMarker>>(options.initially ?? [])
  const calls = yield* Ref.make<ReadonlyMap<string, number>>(new Map())
  const attempt = (operation: MarkerStoreError["operation"]) =>
    Effect.flatMap(
      Ref.modify(
        calls,
        (all) => [all.get(operation) ?? 0, new Map([...all, [operation, (all.get(operation) ?? 0) + 1]])]
      ),
      (n) =>
        options.fails?.(operation, n) === true
          ? new MarkerStoreError({ operation, reason: "told to fail" })
          : Effect.void
    )
  const remove = (name: string) => Ref.update(markers, (all) => all.filter((stored) => stored.name !== name))
  const mine = options.otherMachine === true
    ? new OtherMachine({ file: "memory", reason: "told to be another one's" })
    : Effect.void
  return MarkerStore.of({
    check: Effect.zipRight(mine, attempt("check")),
    mine,
    write: Effect.fnUntraced(function*(draft) {
      yield* attempt("write")
      yield* Ref.update(markers, (all) => [
        ...all,
        { _tag: "Readable" as const, name: draft.runId, marker: draft, notes: [] }
      ])
      yield* journal.record("marker write")
    }),
    note: (runId, note) =>
      Effect.zipRight(
        attempt("note"),
        Ref.update(markers, (all) =>
          all.map((stored) =>
            stored._tag === "Readable" && stored.name === runId
              ? { ...stored, notes: [...stored.notes, note] }
              : stored
          ))
      ),
    clear: (name) => Effect.zipRight(attempt("clear"), Effect.zipRight(remove(name), journal.record("marker clear"))),
    quarantine: (name) =>
      Effect.zipRight(attempt("quarantine"), Effect.zipRight(remove(name), journal.record("marker quarantine"))),
    list: Effect.zipRight(attempt("list"), Ref.get(markers))
  })
})

/** Markers that are gone with the layer. */
export const layer = (options: MarkerStoreMemoryOptions = {}): Layer.Layer<MarkerStore, never, Journal> =>
  Layer.effect(MarkerStore, make(options))
