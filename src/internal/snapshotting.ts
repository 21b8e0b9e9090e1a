/**
 * What the snapshotters share.
 */
import { Effect, Option, type Scope } from "effect"
import type { Snapshot } from "../services/Snapshotter.ts"
import {
  type SnapshotCapability,
  SnapshotFailed,
  type Snapshotter,
  SnapshotUnsupported,
  type Take
} from "../services/Snapshotter.ts"
import { realDirectory, syncFileSystem } from "./disk.ts"
import { removeTree } from "./removeTree.ts"
import * as Place from "./snapshotPlace.ts"
import { endLeftovers } from "./tool.ts"
import { untorn } from "./untorn.ts"

export interface Options {
  /** The directory to snapshot, absolute. A symbolic link is followed. */
  readonly source: string
  readonly stateDir: string
}

/** Where the snapshot lies, and what in it the transfer reads. */
export interface Located {
  readonly place: Place.Place
  readonly path: string
}

/** One kind of snapshot. */
export interface Kind<L extends Located> {
  readonly name: string
  readonly mode: Snapshot["mode"]
  readonly locate: Effect.Effect<L, Place.PlaceError>
  /** Proves that it works here; what it needs. */
  readonly prove: Effect.Effect<{ readonly needsBytes?: number }, Place.PlaceError>
  /** With the app still up: waits, within its own limit, for what would make the snapshot slow. */
  readonly settle?: Effect.Effect<unknown, Place.PlaceError>
  /** Makes `place.stable`, by way of `place.partial` where it is not made at once. */
  readonly create: (located: L) => Effect.Effect<unknown, Place.PlaceError>
}

const failed = (name: string, operation: SnapshotFailed["operation"]) =>
  Effect.mapError((error: Place.PlaceError) =>
    new SnapshotFailed({ snapshotter: name, operation, reason: error.message })
  )

/** Syncs the file system of the source. A sync cannot be ended: whoever is interrupted does not wait for it. */
export const prepare = (
  name: string,
  options: Options,
  settle: Effect.Effect<unknown, Place.PlaceError> = Effect.void
): Effect.Effect<void, SnapshotFailed> =>
  realDirectory(options.source).pipe(
    Effect.flatMap((source) =>
      // a file system that does not settle is synced all the same
      Effect.flatMap(Effect.either(settle), (settled) =>
        Effect.zipRight(syncFileSystem(options.stateDir, source), settled))
    ),
    Effect.disconnect,
    failed(name, "prepare"),
    Effect.withSpan("Snapshotter.prepare", { attributes: { snapshotter: name } })
  )

/**
 * Removes the snapshot, complete or not, when the scope closes. Registered before it is made. A failure is a warning:
 * the backup is good, and the next sweep tries again.
 */
const releasing = (place: Place.Place): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    untorn(Effect.forEach([place.partial, place.stable], (path) =>
      removeTree(place.stateDir, path).pipe(
        Effect.catchAll((error) => Effect.logWarning(`the snapshot ${path} could not be removed: ${error.message}`))
      ), { discard: true }))
  )

/** A snapshotter of this kind. */
export const make = <L extends Located>(kind: Kind<L>, options: Options): Snapshotter["Type"] => {
  const span = (operation: string) => ({ attributes: { snapshotter: kind.name, operation } })

  const probe = kind.prove.pipe(
    Effect.map((needs): SnapshotCapability => ({ snapshotter: kind.name, mode: kind.mode, ...needs })),
    Effect.mapError((error) => new SnapshotUnsupported({ snapshotter: kind.name, reason: error.message })),
    Effect.withSpan("Snapshotter.probe", span("probe"))
  )

  const take = (located: L): Take =>
    Effect.gen(function*() {
      yield* releasing(located.place)
      yield* kind.create(located)
      yield* realDirectory(located.path)
      return Option.some({ path: located.path, mode: kind.mode })
    }).pipe(failed(kind.name, "take"), Effect.withSpan("Snapshotter.take", span("take")))

  const reserve = Effect.gen(function*() {
    const located = yield* kind.locate
    yield* Place.hold(located.place)
    yield* Place.clear(located.place)
    return take(located)
  }).pipe(failed(kind.name, "reserve"), Effect.withSpan("Snapshotter.reserve", span("reserve")))

  const sweep = Effect.gen(function*() {
    const ended = yield* endLeftovers(options.stateDir)
    const located = yield* Effect.option(kind.locate)
    // a source that is gone, or of another kind, has no place here
    return Option.isNone(located) ? ended : [...ended, ...(yield* Place.sweep(located.value.place))]
  }).pipe(failed(kind.name, "sweep"), Effect.withSpan("Snapshotter.sweep", span("sweep")))

  return { probe, prepare: prepare(kind.name, options, kind.settle), reserve, sweep }
}
