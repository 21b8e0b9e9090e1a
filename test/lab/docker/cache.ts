/**
 * What is costly to make and always the same is kept between test runs, below the directory for temporary files.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { attempt, execute, LabError } from "../postgresInstall.ts"

const uid = process.getuid?.() ?? 0

/** The cache of this user. */
export const directory = Path.join(Os.tmpdir(), `quiesce-lab-cache-${uid}`)

const ownDirectory = attempt(directory, async () => {
  await Fs.mkdir(directory, { recursive: true, mode: 0o700 })
  return Fs.lstat(directory)
}).pipe(Effect.filterOrFail(
  // the name can be guessed
  (stat) => stat.isDirectory() && stat.uid === uid,
  () => new LabError({ message: `${directory} belongs to another user; remove it` })
))

const exists = (path: string) => attempt(path, () => Fs.access(path).then(() => true, () => false))

const remove = (path: string) => Effect.ignoreLogged(execute(["rm", "-rf", path]))

/**
 * The path of the file or directory of this name. Where it is not there, `make` makes it in a place of its own, and a
 * rename puts it there: two that make it at once do no harm, and a half-made one never has the name.
 */
export const cached = Effect.fn("Lab.cached")(function*(
  name: string,
  make: (target: string) => Effect.Effect<unknown, LabError>
) {
  const path = Path.join(directory, name)
  yield* ownDirectory
  if (yield* exists(path)) return path
  return yield* Effect.acquireUseRelease(
    attempt("a place in the cache", () => Fs.mkdtemp(Path.join(directory, "making-"))),
    (place) => {
      const target = Path.join(place, "it")
      // fails where another was quicker with a directory
      const rename = attempt(path, () => Fs.rename(target, path)).pipe(
        Effect.catchAll((error) => Effect.flatMap(exists(path), (there) => there ? Effect.void : error))
      )
      return Effect.as(Effect.zipRight(make(target), rename), path)
    },
    remove
  )
})
