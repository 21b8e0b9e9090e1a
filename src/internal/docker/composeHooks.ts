/**
 * Compose runs `pre_stop` and `post_start` hooks itself (since 2.30) and writes them into no label, so whoever stops its
 * containers must look into its files to know of them.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import { parseYaml } from "../yamlParse.ts"

/** What the files of a project say of hooks. */
export interface ComposeHooks {
  /** Services with a hook that would not be run, as `service: pre_stop`. */
  readonly hooks: ReadonlyArray<string>
  /** Files that could not be read. */
  readonly unread: ReadonlyArray<string>
}

const kinds = ["pre_stop", "post_start"] as const

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A list with nothing in it, or what `!reset` leaves, is no hook. */
const isFilled = (value: unknown) => Array.isArray(value) && value.length > 0

/** Bytes. Nobody writes a longer one by hand. */
const longestFile = 4 * 1024 * 1024

const hooksIn = (text: string): ReadonlyArray<string> => {
  // merge keys, and the tags of Compose (!reset, !override), which mean nothing here
  // keys that are there twice are the business of Compose, and to look for them takes the square of a long file
  const parsed = parseYaml(text, { merge: true, logLevel: "error", uniqueKeys: false })
  if (parsed.errors.length > 0) throw new Error("it is no YAML that can be read")
  const document: unknown = parsed.toJS()
  const services = isRecord(document) && isRecord(document["services"]) ? document["services"] : {}
  return Object.entries(services).flatMap(([name, service]) =>
    isRecord(service) ? kinds.filter((kind) => isFilled(service[kind])).map((kind) => `${name}: ${kind}`) : []
  )
}

const hooksOf = (file: string) =>
  Effect.tryPromise(() => Fs.stat(file)).pipe(
    // to read from a pipe or a device may never end
    Effect.filterOrFail((stat) => stat.isFile() && stat.size <= longestFile),
    Effect.zipRight(Effect.tryPromise(() => Fs.readFile(file, "utf8").then(hooksIn)))
  )

/** Reads the files that a project was made from, as its labels name them. */
export const read = (files: ReadonlyArray<string>): Effect.Effect<ComposeHooks> =>
  Effect.map(
    Effect.forEach(files, (file) =>
      hooksOf(file).pipe(
        Effect.map((hooks): ComposeHooks => ({ hooks, unread: [] })),
        Effect.orElseSucceed((): ComposeHooks => ({ hooks: [], unread: [file] }))
      )),
    (all) => ({ hooks: [...new Set(all.flatMap(({ hooks }) => hooks))], unread: all.flatMap(({ unread }) => unread) })
  )
