/**
 * Secrets that must never be heard of: whatever a program of ours has said, and whatever it has left in files, is
 * searched for them. Who makes a secret plants it; `setup.ts` fails the test in which one was heard.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** Each form in which the secret could be heard, with the files that are there to hold it. */
const planted = new Map<string, Set<string>>()
const heard: Array<string> = []

/** Bytes of the largest file that is searched: no log of a test is longer, and a disk image is. */
const largest = 4 * 1024 * 1024

/** A password in the environment, for tools that are started: they may know it, but nobody may say it. */
export const password = "canary-of-the-environment-6f1d2c9a"

const formsOf = (secret: string) => [
  secret,
  encodeURIComponent(secret),
  JSON.stringify(secret).slice(1, -1),
  Buffer.from(secret).toString("hex"),
  // from any place in what was encoded
  ...[0, 1, 2].map((skip) => Buffer.from(secret.slice(skip)).toString("base64").slice(0, -4))
]

/** From now on nobody may say this, and no file may have it but its homes. */
export const plant = (secret: string, ...homes: ReadonlyArray<string>): void => {
  if (secret.length < 16) throw new Error("a secret that is so short is heard everywhere")
  for (const form of formsOf(secret)) planted.set(form, new Set([...planted.get(form) ?? [], ...homes]))
}

/** Listens to what was said. */
export const listen = (where: string, text: string): void => {
  for (const form of planted.keys()) if (text.includes(form)) heard.push(`a secret is in ${where}`)
}

/** Listens to all files below the directory. */
export const search = (directory: string): void => {
  const entries = Fs.readdirSync(directory, { withFileTypes: true })
  for (const entry of entries) {
    const path = Path.join(directory, entry.name)
    // names are made of what others say too
    listen(`the name of ${directory}/...`, entry.name)
    if (entry.isDirectory()) search(path)
    if (!entry.isFile() || Fs.statSync(path).size > largest) continue
    const text = Fs.readFileSync(path, "latin1")
    for (const [form, homes] of planted) {
      if (!homes.has(path) && text.includes(form)) heard.push(`a secret is in the file ${path}`)
    }
  }
}

/** Searches the directory when the scope closes, before it is removed. */
export const guard = (directory: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.sync(() => {
      // a test may have made a part of it unreadable, or go away
      try {
        search(directory)
      } catch (error) {
        if (!(error instanceof Error && "code" in error)) throw error
      }
    })
  )

/** What was heard since the last time. */
export const take = (): ReadonlyArray<string> => heard.splice(0)

plant(password)
