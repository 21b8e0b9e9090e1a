/**
 * Markers as files under `<stateDir>/markers`: for each run two copies of the marker, because a damaged one must not
 * make us guess, and a file of notes to which lines are added.
 */
import { Effect, Either, Layer } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { currentVersion, type MarkerDraft, type MarkerNote, type StoredMarker } from "../domain/Marker.ts"
import type { RunId } from "../domain/RunId.ts"
import { errnoOf, reasonOf, removeDurably, syncDirectory, writeDurably } from "../internal/durable.ts"
import * as MachineFile from "../internal/machineFile.ts"
import * as StateDir from "../internal/stateDir.ts"
import { MarkerStore, MarkerStoreError } from "../services/MarkerStore.ts"
import { decode, encode, encodeNote } from "./MarkerStoreFileCodec.ts"
import * as Read from "./MarkerStoreFileRead.ts"

type Operation = MarkerStoreError["operation"]

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = Fs.constants

const orFail = (operation: Operation) =>
  Effect.mapError((error: { readonly message: string }) => new MarkerStoreError({ operation, reason: error.message }))

const attempt = <A>(operation: Operation, path: string, act: () => Promise<A>) =>
  Effect.tryPromise({
    try: act,
    catch: (error) => new MarkerStoreError({ operation, reason: `${path}: ${reasonOf(error)}` })
  })

const make = (options: { readonly stateDir: string }): MarkerStore["Type"] => {
  const stateDir = Path.resolve(options.stateDir)
  const directory = Path.join(stateDir, "markers")
  const aside = Path.join(stateDir, "damaged")

  const ensure = (operation: Operation, ...paths: ReadonlyArray<string>) =>
    Effect.forEach([stateDir, ...paths], StateDir.ensure, { discard: true }).pipe(orFail(operation))

  const plain = (operation: Operation, name: string) =>
    /^[^/\0]+$/.test(name) && name !== "." && name !== ".."
      ? Effect.void
      : new MarkerStoreError({ operation, reason: `'${name}' is not the name of a marker` })

  const check = Effect.gen(function*() {
    yield* ensure("check", directory)
    yield* MachineFile.bind({ stateDir }).pipe(
      Effect.catchTag("DurableFailed", ({ message }) => new MarkerStoreError({ operation: "check", reason: message }))
    )
    const name = `${Read.probePrefix}${Crypto.randomUUID()}`
    yield* orFail("check")(writeDurably(directory, [{ name, content: " ".repeat(4096) }]))
    yield* orFail("check")(removeDurably(directory, [name]))
  }).pipe(Effect.uninterruptible, Effect.withSpan("MarkerStore.check"))

  const mine = Effect.asVoid(MachineFile.check({ stateDir })).pipe(Effect.withSpan("MarkerStore.mine"))

  const write = Effect.fn("MarkerStore.write")(function*(draft: MarkerDraft) {
    yield* ensure("write", directory)
    const bootId = yield* StateDir.bootId
    const machineId = yield* StateDir.machineId
    const content = yield* orFail("write")(encode({ version: currentVersion, bootId, machineId, ...draft }))
    // what cannot be read back is no undo record
    const readBack = decode(content)
    if (Either.isLeft(readBack)) return yield* new MarkerStoreError({ operation: "write", reason: readBack.left })
    const { copy, main, notes } = Read.filesOf(draft.runId)
    yield* orFail("write")(writeDurably(directory, [
      { name: main, content },
      { name: copy, content },
      // made now, so that a later note is durable by an fsync of the file alone
      { name: notes, content: "" }
    ]))
  })

  const note = Effect.fn("MarkerStore.note")(function*(runId: RunId, note: MarkerNote) {
    const line = yield* orFail("note")(encodeNote(note))
    const path = Path.join(directory, Read.filesOf(runId).notes)
    yield* Effect.acquireUseRelease(
      attempt("note", path, () => Fs.open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)),
      (file) =>
        attempt(
          "note",
          path,
          () => file.writeFile(line).then(() => note.state === "running" ? file.sync() : undefined)
        ),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    ).pipe(Effect.uninterruptible)
  })

  const clear = Effect.fn("MarkerStore.clear")(function*(name: string) {
    yield* plain("clear", name)
    if (!(yield* orFail("clear")(StateDir.check(directory)))) return
    yield* orFail("clear")(removeDurably(directory, Object.values(Read.filesOf(name))))
    yield* Read.removeLeftovers(directory)
  })

  const list: Effect.Effect<ReadonlyArray<StoredMarker>, MarkerStoreError> = Effect.gen(function*() {
    if (!(yield* orFail("list")(StateDir.check(stateDir)))) return []
    if (!(yield* orFail("list")(StateDir.check(directory)))) return []
    const names = yield* attempt("list", directory, () => Fs.readdir(directory))
    const found = yield* Effect.forEach(Read.markersAmong(names), (name) => Read.readMarker(directory, name))
    return found.filter((marker) => marker !== undefined)
  }).pipe(Effect.withSpan("MarkerStore.list"))

  const quarantine = Effect.fn("MarkerStore.quarantine")(function*(name: string) {
    yield* plain("quarantine", name)
    yield* ensure("quarantine", directory, aside)
    const taken = yield* attempt("quarantine", aside, () => Fs.readdir(aside))
    const suffix = Read.freeSuffix(taken, name)
    yield* Effect.forEach(Object.values(Read.filesOf(name)), (file) => {
      const path = Path.join(directory, file)
      return attempt(
        "quarantine",
        path,
        () =>
          Fs.rename(path, Path.join(aside, `${file}${suffix}`)).catch((error: unknown) => {
            if (errnoOf(error) !== "ENOENT") throw error
          })
      )
    }, { discard: true })
    yield* Effect.forEach([aside, directory], syncDirectory, { discard: true }).pipe(orFail("quarantine"))
  }, Effect.uninterruptible)

  return { check, mine, write, note, clear, list, quarantine }
}

/** Durable markers of a state directory, which must belong to this user alone. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<MarkerStore> =>
  Layer.sync(MarkerStore, () => make(options))
