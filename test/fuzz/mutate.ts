/**
 * Inputs that are almost right: valid samples with their bytes, words or JSON structure changed, and now and then noise.
 */
import type { Random } from "./random.ts"

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/** Marks text that is written into JSON as it stands: what `JSON.stringify` would not write. */
const raw = (text: string) => `\uE000${text}\uE001`

const characters = [
  "\0",
  "\u0001",
  "\u001b[2J",
  "\r",
  "\n",
  "\t",
  " ",
  "\u0085",
  "\u00a0",
  "\u2028",
  "\ufeff",
  "\ud800",
  "\udfff",
  "\ud83d\ude00",
  "e\u0301",
  "\u202e",
  "ß",
  "İ",
  "\\",
  "\"",
  "'",
  "`",
  "$",
  "%",
  "%00",
  "%2e%2e",
  "/",
  "..",
  ":",
  ";",
  ",",
  "#",
  "&",
  "*",
  "?",
  "{",
  "}",
  "[",
  "]",
  "<",
  ">",
  "|",
  "=",
  "~",
  "!",
  "@",
  "-",
  "--",
  "+",
  ".",
  "0",
  "9",
  "a",
  "Z"
] as const

const words = [
  "",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "length",
  "null",
  "undefined",
  "true",
  "NaN",
  "Infinity",
  "-1",
  "1e999",
  "../../etc/passwd",
  "/",
  ".",
  "..",
  "0x10",
  "1_000",
  "9007199254740993",
  "\0",
  "running",
  "done",
  "failed",
  "snapshotted",
  "ready",
  "queued",
  "stopped",
  "1970-01-01T00:00:00Z",
  "+275760-09-13T00:00:00.001Z",
  "a".repeat(300)
] as const

const numbers = [
  raw("-0"),
  raw("1e999"),
  raw("-1e999"),
  raw("1e-999"),
  raw("9007199254740993"),
  raw("1".repeat(400)),
  raw("0.1e1"),
  raw("1E3"),
  0,
  1,
  -1,
  0.5,
  2 ** 31,
  2 ** 53,
  1e21,
  1.7976931348623157e308
] as const

const nested = (depth: number): Json => {
  let value: Json = []
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** So deep that what calls itself for every level has no stack left. */
const abyss = [
  raw(`${"[".repeat(20_000)}${"]".repeat(20_000)}`),
  raw(`${"{\"a\":".repeat(20_000)}1${"}".repeat(20_000)}`)
] as const

export const text = (r: Random): string => {
  let made = ""
  for (let left = r.int(6); left > 0; left--) made += r.chance(2) ? r.pick(characters) : r.pick(words)
  return made
}

const value = (r: Random): Json => {
  switch (r.int(10)) {
    case 0:
    case 1:
      return r.pick(numbers)
    case 2:
      return r.chance(2)
    case 3:
      return null
    case 4:
      return r.chance(400) ? r.pick(abyss) : nested(r.int(8))
    case 5:
      return Array.from({ length: r.int(4) }, () => value(r))
    case 6:
      return { [r.pick(words)]: value(r), [text(r)]: text(r) }
    case 7:
      return r.chance(400) ? r.pick(characters).repeat(1 + r.int(20_000)) : text(r)
    default:
      return r.pick(words)
  }
}

const changedArray = (r: Random, array: ReadonlyArray<Json>): Json => {
  const at = r.int(array.length + 1)
  switch (r.int(5)) {
    case 0:
      return array.toSpliced(at, 1)
    case 1:
      return array.toSpliced(at, 0, value(r))
    case 2:
      return array.toSpliced(at, 0, ...array.slice(at, at + 1))
    case 3:
      return [...array].reverse()
    default:
      return r.chance(50) ? Array.from({ length: 1 + r.int(3_000) }, () => array[at] ?? 0) : []
  }
}

const changedObject = (r: Random, object: Readonly<Record<string, Json>>): Json => {
  const entries = Object.entries(object)
  const at = r.int(entries.length + 1)
  const [key, old] = entries[at] ?? ["a", 0]
  const from = (changed: ReadonlyArray<readonly [string, Json]>) => Object.fromEntries(changed)
  switch (r.int(6)) {
    case 0:
      return from(entries.toSpliced(at, 1))
    case 1:
      return from([...entries, [r.pick(words), value(r)]])
    case 2:
      return from(entries.toSpliced(at, 1, [text(r), old]))
    case 3:
      // twice, as JSON allows it
      return from([...entries, [`${key}\uE002`, value(r)]])
    case 4:
      return from([...entries, ["__proto__", value(r)]])
    default:
      return from([...entries].reverse())
  }
}

/** The value with something changed in it, at any depth. */
const changed = (r: Random, json: Json): Json => {
  const here = r.chance(4)
  if (Array.isArray(json)) {
    if (here || json.length === 0) return r.chance(4) ? value(r) : changedArray(r, json)
    const at = r.int(json.length)
    return json.with(at, changed(r, json[at] ?? null))
  }
  if (typeof json === "object" && json !== null) {
    const object = json as Readonly<Record<string, Json>>
    const keys = Object.keys(object)
    const [first, ...others] = keys
    if (here || first === undefined) return r.chance(6) ? value(r) : changedObject(r, object)
    const key = r.pick([first, ...others])
    return { ...object, [key]: changed(r, object[key] ?? null) }
  }
  if (typeof json === "string" && r.chance(2)) return changedText(r, json, [])
  return r.chance(8) ? [json] : value(r)
}

const written = (json: Json): string =>
  JSON.stringify(json).replaceAll("\uE002", "").replace(
    /"\uE000([^\uE001]*)\uE001"/g,
    (_, text: string) => text.replaceAll("\\\"", "\"")
  )

/** A slice of a text, and of what it may grow to: long enough that what is quadratic takes seconds. */
const longest = 200_000

export const changedText = (r: Random, before: string, dictionary: ReadonlyArray<string>): string => {
  let made = before
  for (let left = 1 + r.int(3); left > 0; left--) {
    const at = r.int(made.length + 1)
    const end = Math.min(made.length, at + 1 + r.int(r.chance(4) ? 200 : 8))
    const [head, slice, tail] = [made.slice(0, at), made.slice(at, end), made.slice(end)]
    switch (r.int(9)) {
      case 0:
        made = head + tail
        break
      case 1:
        made = head + r.pick(characters) + tail
        break
      case 2:
        made = head + r.pick(characters) + slice + tail
        break
      case 3:
        made = head + r.pick(words) + tail
        break
      case 4:
        made = head + slice + slice + tail
        break
      case 5:
        made = head + (dictionary[r.int(dictionary.length || 1)] ?? "") + slice + tail
        break
      case 6:
        made = r.chance(4) ? head : tail + head
        break
      case 7:
        made = r.chance(3_000)
          ? head + (slice || "a").repeat(Math.floor(longest / (slice.length || 1))) + tail
          : head + slice.repeat(r.int(20)) + tail
        break
      default:
        made = head + String.fromCharCode(r.int(r.chance(4) ? 0x10000 : 128)) + tail
    }
  }
  return made
}

export const noise = (r: Random): string => {
  let made = ""
  for (let left = r.int(60); left > 0; left--) made += String.fromCharCode(r.int(r.chance(3) ? 0x10000 : 128))
  return made
}

/** A text that is almost one of the samples. */
export const almostText =
  (samples: readonly [string, ...ReadonlyArray<string>], dictionary: ReadonlyArray<string> = []) =>
  (r: Random): string =>
    r.chance(50) ? noise(r) : r.chance(40) ? r.pick(samples) : changedText(r, r.pick(samples), dictionary)

/** JSON that is almost one of the samples; often changed in its structure, sometimes in its text. */
export const almostJson = (samples: readonly [unknown, ...ReadonlyArray<unknown>]) => {
  const [first, ...others] = samples.map((sample) => JSON.stringify(sample))
  const texts = [first ?? "", ...others] as const
  const values = texts.map((text) => JSON.parse(text) as Json)
  return (r: Random): string => {
    if (r.chance(60)) return noise(r)
    if (r.chance(6)) return changedText(r, r.pick(texts), texts)
    let json = values[r.int(values.length)] ?? null
    for (let left = r.int(4); left > 0; left--) json = changed(r, json)
    const text = written(json)
    return r.chance(12) ? changedText(r, text, texts) : text
  }
}

/** Bytes of a text, some of them changed: text that is no UTF-8. */
export const almostBytes = (r: Random, text: string): Buffer => {
  const bytes = Buffer.from(text, "utf8")
  if (bytes.length > 0 && r.chance(3)) {
    for (let left = 1 + r.int(4); left > 0; left--) bytes[r.int(bytes.length)] = r.int(256)
  }
  return r.chance(10) ? bytes.subarray(0, r.int(bytes.length + 1)) : bytes
}
