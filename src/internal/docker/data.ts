/**
 * Where containers keep data on the engine's machine, and who else can write there.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { isWithin } from "../disk.ts"
import type { Container, Mount } from "./schemas.ts"

/** A mount that can hold data: a tmpfs has no path and no past. */
export const hasData = ({ Source, Type }: Mount): boolean =>
  Source !== "" && Type !== "tmpfs" && !Source.endsWith(".sock")

/** The path without symbolic links, where this process can see it. */
export const real = (path: string): Effect.Effect<string> => Effect.promise(() => Fs.realpath(path).catch(() => path))

/** A path of the container that this process runs in, as the engine's machine knows it. */
export const onEngine = (path: string, own: Pick<Container, "Mounts">): Effect.Effect<string | undefined> =>
  Effect.map(real(path), (here) => {
    const mounts = own.Mounts.filter(({ Destination }) => Destination !== "" && isWithin(here, Destination))
    const [nearest] = mounts.sort((a, b) => b.Destination.length - a.Destination.length)
    return nearest === undefined
      ? undefined
      : Path.join(nearest.Source, Path.relative(nearest.Destination, here))
  })

/** Where these mounts let a container write: the paths as they were given, and what symbolic links make of them. */
export const writablePaths = (mounts: ReadonlyArray<Mount>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(
      mounts.filter((mount) => mount.RW && hasData(mount)),
      ({ Source }) => Effect.map(real(Source), (path) => [Source, path])
    ),
    (paths) => [...new Set(paths.flat())]
  )

/** The first of these paths that has something in common with one of the others: it is in there, or the other way. */
export const shared = (theirs: ReadonlyArray<string>, ours: ReadonlyArray<string>): string | undefined =>
  theirs.find((their) => ours.some((path) => isWithin(their, path) || isWithin(path, their)))
