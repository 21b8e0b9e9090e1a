/**
 * Where a snapshot lies while a transfer reads it: `.quiesce/<name>` beside the source, the same at every run, because
 * restic and borg match files by their path.
 *
 * The directory `.quiesce` is for this user alone. `<name>.lock` in it keeps installations with different state
 * directories from removing each other's live snapshot. What is not complete has a name that begins with a dot.
 */
import { Effect, Option, Schema, type Scope } from "effect"
import { createHash, randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { type DiskError, io, lstat } from "./disk.ts"
import { tryLock } from "./flock.ts"
import { removeTree } from "./removeTree.ts"
import type { ToolFailed } from "./tool.ts"

export const directoryName = ".quiesce"

export interface Place {
  readonly stateDir: string
  /** `.quiesce` */
  readonly directory: string
  /** The complete snapshot. */
  readonly stable: string
  /** A copy that is being made. */
  readonly partial: string
  /** A throw-away attempt of a probe. */
  readonly probe: string
  readonly probePrefix: string
  readonly lock: string
}

/** The place cannot be used, or another installation uses it. */
export class PlaceUnusable extends Schema.TaggedError<PlaceUnusable>()("PlaceUnusable", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

export type PlaceError = PlaceUnusable | DiskError | ToolFailed

/** The place in `parent` for a snapshot called `name`. */
export const make = (options: { readonly parent: string; readonly name: string; readonly stateDir: string }): Place => {
  const directory = Path.join(options.parent, directoryName)
  const name = options.name === "" ? "root" : options.name
  const tag = createHash("sha256").update(options.stateDir).digest("hex").slice(0, 8)
  const probePrefix = `.${name}.probe-${tag}-`
  return {
    stateDir: options.stateDir,
    directory,
    stable: Path.join(directory, name),
    partial: Path.join(directory, `.${name}.partial`),
    probe: Path.join(directory, `${probePrefix}${randomBytes(4).toString("hex")}`),
    probePrefix,
    lock: Path.join(directory, `${name}.lock`)
  }
}

/** The place beside this real path. */
export const beside = (path: string, stateDir: string): Place =>
  make({ parent: Path.dirname(path), name: Path.basename(path), stateDir })

const notWritable = (directory: string) =>
  `${Path.dirname(directory)} is not writable for this user (${
    process.geteuid?.() ?? "?"
  }): run as root, or make the ` +
  `directory once: install -d -m 700 -o ${process.geteuid?.() ?? "USER"} '${directory}'`

/** Makes the directory where it is missing, and refuses one that others could have put there. Whether it was made. */
const ensure = (place: Place): Effect.Effect<boolean, PlaceError> =>
  Effect.gen(function*() {
    const { directory } = place
    const made = yield* io(directory, () => Fs.mkdir(directory, { mode: 0o700 })).pipe(
      Effect.as(true),
      Effect.catchIf((error) => error.code === "EEXIST", () => Effect.succeed(false)),
      Effect.catchIf(
        (error) => error.code === "EACCES" || error.code === "EPERM",
        () => new PlaceUnusable({ reason: notWritable(directory) })
      )
    )
    const stat = yield* io(directory, () => Fs.lstat(directory))
    const refuse = (what: string) => new PlaceUnusable({ reason: `${directory} ${what}: remove it or put it right` })
    if (stat.isSymbolicLink()) return yield* refuse("is a symbolic link, which this program did not make")
    if (!stat.isDirectory()) return yield* refuse("is not a directory")
    if (stat.uid !== process.geteuid?.()) {
      return yield* refuse(`belongs to user ${stat.uid}, and this is user ${process.geteuid?.() ?? "?"}`)
    }
    if ((stat.mode & 0o077) !== 0) yield* io(directory, () => Fs.chmod(directory, 0o700))
    return made
  })

/** A throw-away attempt at the place: it gets `place.probe`, and leaves nothing behind, also not the directory. */
export const attempt = <A, E>(place: Place, use: Effect.Effect<A, E>): Effect.Effect<A, E | PlaceError> =>
  Effect.acquireUseRelease(
    ensure(place),
    () =>
      Effect.acquireUseRelease(
        removeTree(place.stateDir, place.probe),
        () => use,
        () => Effect.ignoreLogged(removeTree(place.stateDir, place.probe))
      ),
    (made) => made ? Effect.ignore(io(place.directory, () => Fs.rmdir(place.directory))) : Effect.void
  )

/** Holds the place until the scope closes; fails at once where another installation holds it. */
export const hold = (place: Place): Effect.Effect<void, PlaceError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* ensure(place)
    const failed = (reason: string) => new PlaceUnusable({ reason })
    const taken = yield* Effect.mapError(tryLock(place.lock), (error) => failed(error.reason))
    if (!taken) {
      const holder = yield* io(place.lock, () => Fs.readFile(place.lock, "utf8")).pipe(Effect.orElseSucceed(() => ""))
      return yield* failed(
        `${place.stable} is in use by another backup of this source (${
          holder.trim() || "it did not say who it is"
        }): ` +
          "wait for its end, or let only one installation back up this source"
      )
    }
    yield* io(place.lock, () => Fs.writeFile(place.lock, `pid ${process.pid}, state directory ${place.stateDir}\n`))
  }).pipe(
    // a probe of another process may remove the directory that it had made, between the two steps
    Effect.retry({ times: 2 })
  )

/** Removes what a dead run left at the place, which must be held. Answers with the paths. */
export const clear = (place: Place): Effect.Effect<ReadonlyArray<string>, PlaceError> =>
  Effect.gen(function*() {
    const names = yield* io(place.directory, () => Fs.readdir(place.directory))
    const probes = names.filter((name) => name.startsWith(place.probePrefix))
    const paths = [place.stable, place.partial, ...probes.map((name) => Path.join(place.directory, name))]
    return yield* Effect.filter(paths, (path) => removeTree(place.stateDir, path))
  })

/** Removes what a dead run left, whose processes have been ended. Answers with the paths. */
export const sweep = (place: Place): Effect.Effect<ReadonlyArray<string>, PlaceError> =>
  Effect.gen(function*() {
    if (Option.isNone(yield* lstat(place.directory))) return []
    return yield* Effect.scoped(Effect.zipRight(hold(place), clear(place)))
  })
