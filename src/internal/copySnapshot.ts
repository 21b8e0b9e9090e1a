/**
 * Snapshots that are copies made by cp: complete when they have their name, but not atomic.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { io, realDirectory, syncFileSystem } from "./disk.ts"
import * as Place from "./snapshotPlace.ts"
import type { Kind, Located, Options } from "./snapshotting.ts"
import { tool } from "./tool.ts"

/** cp(1) that keeps owner, mode, times, links, ACLs and extended attributes. `-T`: never into an existing directory. */
export const cp = (reflink: "always" | "never") => ["cp", "-a", `--reflink=${reflink}`, "-T"] as const

/** Beside the source. */
export const locate = (options: Options): Kind<Located>["locate"] =>
  Effect.map(realDirectory(options.source), (source) => {
    const place = Place.beside(source, options.stateDir)
    return { place, path: place.stable }
  })

/** Copies to the temporary name, gives it the final one, and syncs: a copy that fails has no name that looks finished. */
export const create = (options: Options, reflink: "always" | "never"): Kind<Located>["create"] => ({ place }) =>
  Effect.gen(function*() {
    const source = yield* realDirectory(options.source)
    yield* tool(options.stateDir, [...cp(reflink), "--", source, place.partial])
    yield* io(place.stable, () => Fs.rename(place.partial, place.stable))
    yield* syncFileSystem(options.stateDir, place.stable)
  })

/** Proves the tools of a copy: copies one small file in the directory `place.probe`. */
export const copySmallFile = (place: Place.Place, reflink: "always" | "never"): Effect.Effect<void, Place.PlaceError> =>
  Effect.gen(function*() {
    // needed later, when the app is down already
    for (const program of ["sync", "rm"]) yield* tool(place.stateDir, [program, "--version"])
    const [from, to] = [Path.join(place.probe, "from"), Path.join(place.probe, "to")]
    // a call that is abandoned would make them again after their removal
    yield* Effect.uninterruptible(Effect.zipRight(
      io(place.probe, () => Fs.mkdir(place.probe, { recursive: true, mode: 0o700 })),
      io(from, () => Fs.writeFile(from, "probe\n"))
    ))
    yield* tool(place.stateDir, [...cp(reflink), "--", from, to])
  })
