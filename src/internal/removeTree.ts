/**
 * Removes a snapshot or a copy, whatever made it.
 */
import { Effect, Option } from "effect"
import { DiskError, isSubvolume, lstat } from "./disk.ts"
import { attempt, tool, type ToolFailed } from "./tool.ts"

const isThere = (path: string) => Effect.map(lstat(path), Option.isSome)

const removeFiles = (stateDir: string, path: string) => {
  const rm = ["rm", "-rf", "--one-file-system", "--", path] as const
  return tool(stateDir, rm).pipe(
    // a directory that its owner may not write keeps its files, unless the owner is root
    Effect.orElse(() => Effect.zipRight(attempt(stateDir, ["chmod", "-R", "u+rwX", "--", path]), tool(stateDir, rm)))
  )
}

/**
 * Root deletes a subvolume at once. The mount option `user_subvol_rm_allowed` lets its owner do it, once it is no longer
 * read-only; without that the owner may empty it and then remove it like a directory (btrfs-subvolume(8)).
 */
const removeSubvolume = (stateDir: string, path: string) => {
  const remove = tool(stateDir, ["btrfs", "subvolume", "delete", "--", path])
  return remove.pipe(
    Effect.orElse(() =>
      tool(stateDir, ["btrfs", "property", "set", "-ts", "--", path, "ro", "false"]).pipe(Effect.zipRight(remove))
    ),
    Effect.orElse(() => removeFiles(stateDir, path))
  )
}

/** Removes all that is at `path`. Answers whether there was something. */
export const removeTree = (stateDir: string, path: string): Effect.Effect<boolean, DiskError | ToolFailed> =>
  Effect.gen(function*() {
    if (!(yield* isThere(path))) return false
    yield* (yield* isSubvolume(path)) ? removeSubvolume(stateDir, path) : removeFiles(stateDir, path)
    if (yield* isThere(path)) {
      return yield* new DiskError({ path, code: "", reason: "it is still there after its removal" })
    }
    return true
  })
