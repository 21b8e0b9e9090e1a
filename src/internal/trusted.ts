/**
 * Whether what lies at a path can only have been put there by root or by us: nobody else may write it, or any directory
 * on the way to it.
 */
import { Effect } from "effect"
import type { Stats } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { reasonOf } from "./durable.ts"

const sticky = 0o1000

/** From the root on. */
const onTheWay = (path: string): ReadonlyArray<string> => {
  const above = Path.dirname(path)
  return above === path ? [path] : [...onTheWay(above), path]
}

const flaw = (path: string, found: Stats, isEnd: boolean): string | undefined => {
  const me = process.geteuid?.() ?? 0
  if (found.uid !== 0 && found.uid !== me) return `${path} belongs to user ${found.uid}`
  // the mode of a link says nothing; where it leads is looked at too
  if (found.isSymbolicLink() || (found.mode & 0o022) === 0) return undefined
  // in such a directory others can make files of their own, and leave ours alone (unlink(2), EPERM)
  if (!isEnd && found.isDirectory() && (found.mode & sticky) !== 0) return undefined
  return `others can write ${path} (mode ${(found.mode & 0o7777).toString(8)})`
}

const attempt = <A>(path: string, act: () => Promise<A>) =>
  Effect.tryPromise({ try: act, catch: (error) => `${path}: ${reasonOf(error)}` })

/** What is wrong with the path, in words; nothing when it can be trusted. It must be there. */
export const flawOf = (path: string): Effect.Effect<string | undefined> =>
  Effect.gen(function*() {
    const real = yield* attempt(path, () => Fs.realpath(path))
    for (const end of new Set([Path.resolve(path), real])) {
      for (const one of onTheWay(end)) {
        const found = flaw(one, yield* attempt(one, () => Fs.lstat(one)), one === end)
        if (found !== undefined) return found
      }
    }
    return undefined
  }).pipe(Effect.merge)
