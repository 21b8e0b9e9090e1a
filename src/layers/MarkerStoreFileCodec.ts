/**
 * A marker as text: the JSON of the marker and a checksum over it, so that a torn or damaged copy is known as such.
 */
import { Effect, Either, ParseResult, Schema } from "effect"
import * as Crypto from "node:crypto"
import { currentVersion, Marker, type MarkerDraft, MarkerNote } from "../domain/Marker.ts"
import { RunId } from "../domain/RunId.ts"
import { StackName, TimeLimit, UnitId } from "../domain/Stack.ts"
import { isTooDeep } from "../internal/jsonDepth.ts"
import { oneLine } from "../internal/oneLine.ts"

/** What one copy of a marker says, or why it says nothing. */
export type Decoded = Either.Either<{ readonly marker: MarkerDraft; readonly warning?: string }, string>

const checksum = (text: string) => Crypto.createHash("sha256").update(text).digest("hex")

const encodeMarker = Schema.encode(Marker)

/** The text of a marker. A marker that its schema does not allow is refused. */
export const encode = (marker: Marker): Effect.Effect<string, ParseResult.ParseError> =>
  Effect.map(encodeMarker(marker), (encoded) => {
    const sha256 = checksum(JSON.stringify(encoded))
    return `${JSON.stringify({ ...encoded, sha256 }, null, 2)}\n`
  })

const parseJson = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
)
const decodeMarker = Schema.decodeUnknownEither(Marker)

const withFallback = <A, I>(schema: Schema.Schema<A, I>, fallback: A) =>
  Schema.optionalWith(schema.pipe(Schema.annotations({ decodingFallback: () => Either.right(fallback) })), {
    default: () => fallback
  })

// what every later version must keep, so that an older program can bring the app back
const Core = Schema.Struct({
  runId: RunId,
  createdAt: withFallback(Schema.String, ""),
  stacks: Schema.Array(Schema.Struct({
    stack: StackName,
    control: Schema.NonEmptyString,
    units: Schema.Array(Schema.Struct({
      id: UnitId,
      stopTimeoutMs: withFallback(TimeLimit, 60_000),
      startTimeoutMs: withFallback(TimeLimit, 60_000),
      identity: withFallback(Schema.Record({ key: Schema.String, value: Schema.Unknown }), {})
    }))
  }))
})
const decodeCore = Schema.decodeUnknownEither(Core)

const flawOf = (error: ParseResult.ParseError) =>
  oneLine(
    ParseResult.ArrayFormatter.formatErrorSync(error)
      .map(({ message, path }) => path.length === 0 ? message : `${path.join(".")}: ${message}`)
      .join("; ")
  )

const draftOf = ({ createdAt, runId, stacks }: MarkerDraft): MarkerDraft => ({ runId, createdAt, stacks })

/** Reads one copy. A later version is read as far as every version is the same, with a warning. */
export const decode = (text: string): Decoded => {
  if (text.trim() === "") return Either.left("it is empty")
  // a RangeError must not end a recovery
  if (isTooDeep(text)) return Either.left("it is nested deeper than a marker ever is")
  const parsed = parseJson(text)
  if (Either.isLeft(parsed)) return Either.left("it is not a JSON object (torn or overwritten)")
  const { sha256, ...content } = parsed.right
  const { version } = content
  if (typeof version !== "number" || !Number.isInteger(version) || version < currentVersion) {
    return Either.left("it has no version that was ever written")
  }
  if (version > currentVersion) {
    return Either.mapBoth(decodeCore(content), {
      onLeft: (error) => `it has version ${version}, and not even its core can be read: ${flawOf(error)}`,
      onRight: (core) => ({
        marker: draftOf(core),
        warning: `it was written by a later version of this program (marker version ${version})`
      })
    })
  }
  if (sha256 !== checksum(JSON.stringify(content))) return Either.left("its checksum is wrong")
  return Either.mapBoth(decodeMarker(content), {
    onLeft: flawOf,
    onRight: (marker) => ({ marker: draftOf(marker) })
  })
}

const encodeNoteJson = Schema.encode(Schema.parseJson(MarkerNote))
const decodeNoteJson = Schema.decodeUnknownOption(Schema.parseJson(MarkerNote))

/** A note as a line that stands alone, also after one that a crash has torn. */
export const encodeNote = (note: MarkerNote): Effect.Effect<string, ParseResult.ParseError> =>
  Effect.map(encodeNoteJson(note), (json) => `\n${json}\n`)

/** The notes of a file. What a crash has torn is no note. */
export const decodeNotes = (text: string): ReadonlyArray<MarkerNote> =>
  text.split("\n").flatMap((line) => {
    const note = decodeNoteJson(line)
    return note._tag === "Some" ? [note.value] : []
  })
