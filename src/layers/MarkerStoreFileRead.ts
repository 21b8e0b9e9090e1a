/**
 * The files of a marker store: their names, and what they say together.
 */
import { Effect, Either } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { MarkerDraft, StoredMarker } from "../domain/Marker.ts"
import { errnoOf, reasonOf } from "../internal/durable.ts"
import { decode, type Decoded, decodeNotes } from "./MarkerStoreFileCodec.ts"

/** What the file of a writability probe begins with. */
export const probePrefix = ".probe-"

/** The files of one marker. */
export const filesOf = (name: string): { readonly main: string; readonly copy: string; readonly notes: string } => ({
  main: `${name}.json`,
  copy: `${name}.copy.json`,
  notes: `${name}.notes`
})

const nameOf = (file: string): string | undefined =>
  file.startsWith(".") ? undefined : /^(.+?)(?:\.copy)?\.json$/.exec(file)?.[1]

/** The names of the markers among the files, oldest first: a run id begins with its time. */
export const markersAmong = (files: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(files.flatMap((file) => nameOf(file) ?? []))].sort()

/** Removes what a process that died in the middle left: files of a write or a probe, and notes without a marker. */
export const removeLeftovers = (directory: string): Effect.Effect<void> =>
  Effect.promise(() => Fs.readdir(directory).catch((): Array<string> => [])).pipe(
    Effect.flatMap((files) => {
      const markers = new Set(markersAmong(files))
      const stale = files.filter((file) =>
        file.startsWith(probePrefix) || file.endsWith(".tmp") ||
        (file.endsWith(".notes") && !markers.has(file.slice(0, -".notes".length)))
      )
      return Effect.promise(() =>
        Promise.all(stale.map((file) => Fs.unlink(Path.join(directory, file)).catch(() => undefined)))
      )
    }),
    Effect.asVoid
  )

/** What makes the names of a marker's files new among those that were put aside before. */
export const freeSuffix = (taken: ReadonlyArray<string>, name: string): string => {
  const files = Object.values(filesOf(name))
  for (let n = 0;; n++) {
    const suffix = n === 0 ? "" : `.${n}`
    if (!files.some((file) => taken.includes(`${file}${suffix}`))) return suffix
  }
}

const readText = (path: string) =>
  Effect.promise(() =>
    Fs.open(path, Fs.constants.O_RDONLY | Fs.constants.O_NOFOLLOW | Fs.constants.O_NONBLOCK).then((file) =>
      file.readFile("utf8").finally(() => file.close())
    ).then(
      (text): Found => Either.right(text),
      (error: unknown) => errnoOf(error) === "ENOENT" ? undefined : Either.left(reasonOf(error))
    )
  )

/** A file as it was read: its text, or why it has none; nothing where it is not there. */
export type Found = Either.Either<string, string> | undefined

const decodeCopy = (text: Found, name: string): Decoded | undefined =>
  text === undefined ?
    undefined :
    Either.flatMap(Either.flatMap(text, decode), (decoded): Decoded =>
      decoded.marker.runId === name
        ? Either.right(decoded)
        : Either.left(`it is the marker of run ${decoded.marker.runId} under another name`))

const readable = (
  name: string,
  { marker, warning }: { readonly marker: MarkerDraft; readonly warning?: string },
  notes: string,
  ...more: ReadonlyArray<string>
): StoredMarker => {
  const warnings = [...(warning === undefined ? [] : [warning]), ...more]
  return {
    _tag: "Readable",
    name,
    marker,
    notes: decodeNotes(notes),
    ...(warnings.length === 0 ? {} : { warning: warnings.join("; ") })
  }
}

/** What the files of a marker say together; nothing where there is no copy of it. */
export const together = (
  directory: string,
  name: string,
  found: { readonly main: Found; readonly copy: Found; readonly notes: Found }
): StoredMarker | undefined => {
  const main = decodeCopy(found.main, name)
  const copy = decodeCopy(found.copy, name)
  if (main === undefined && copy === undefined) return undefined
  const notes = Either.getOrElse(found.notes ?? Either.right(""), () => "")
  if (main !== undefined && Either.isRight(main)) return readable(name, main.right, notes)
  const flaw = main === undefined ? "it is missing" : main.left
  if (copy !== undefined && Either.isRight(copy)) {
    return readable(name, copy.right, notes, `its first copy cannot be read (${flaw}), the second was used`)
  }
  return {
    _tag: "Damaged",
    name,
    reason: `${Path.join(directory, filesOf(name).main)}: ${flaw}; its second copy: ${copy?.left ?? "it is missing"}`
  }
}

/** The marker of this name; none when it was cleared in the meantime. */
export const readMarker = (directory: string, name: string): Effect.Effect<StoredMarker | undefined> => {
  const { copy, main, notes } = filesOf(name)
  const read = (file: string) => readText(Path.join(directory, file))
  // one after the other: a clear removes the first copy first
  return Effect.map(
    Effect.all({ main: read(main), copy: read(copy), notes: read(notes) }),
    (found) => together(directory, name, found)
  )
}
