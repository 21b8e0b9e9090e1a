/**
 * The mount points of this process, from `/proc/self/mountinfo` (proc(5)).
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import { isWithin } from "./disk.ts"

export interface Mount {
  readonly path: string
  /** The options of the file system itself: `rw`, `user_subvol_rm_allowed`, ... */
  readonly superOptions: ReadonlyArray<string>
}

// proc(5): space, tab, newline and backslash are written as octal numbers
const unescape = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)))

const parse = (line: string): ReadonlyArray<Mount> => {
  const fields = line.split(" ")
  const path = fields[4]
  return path === undefined ? [] : [{ path: unescape(path), superOptions: (fields.at(-1) ?? "").split(",") }]
}

/** All mounts; none where there is no proc. */
export const mounts: Effect.Effect<ReadonlyArray<Mount>> = Effect.promise(() =>
  Fs.readFile("/proc/self/mountinfo", "utf8").catch(() => "")
).pipe(Effect.map((text) => text.split("\n").flatMap(parse)))

/** Whether something is mounted at exactly this real path. */
export const isMountPoint = (path: string): Effect.Effect<boolean> =>
  Effect.map(mounts, (all) => path === "/" || all.some((mount) => mount.path === path))

/** What is mounted below this real path. */
export const mountsBelow = (path: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(mounts, (all) => all.map((mount) => mount.path).filter((at) => at !== path && isWithin(at, path)))

/** The mount that holds this real path: of those above it the deepest, and of those at the same place the last. */
export const mountOf = (path: string): Effect.Effect<Mount | undefined> =>
  Effect.map(mounts, (all) =>
    all.filter((mount) => isWithin(path, mount.path))
      .reduce<Mount | undefined>(
        (best, mount) => best === undefined || mount.path.length >= best.path.length ? mount : best,
        undefined
      ))
