/**
 * The container that this process runs in, if it runs in one.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import type { Container } from "./schemas.ts"

/** What a process can see of its own container. */
export interface Own {
  /** Its id; or that of the container whose network it shares, for then it has the host files of that one. */
  readonly id: string
  /** Everything that is mounted in it. */
  readonly mountPoints: ReadonlySet<string>
}

/** Docker and Podman mount these three files from the directory of the container, whose name is its id. */
const files = new Set(["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"])
const directory = /\/(?:containers|overlay-containers)\/([0-9a-f]{64})\//

/** Spaces and the like are written as octal numbers (proc(5)). */
const unescape = (path: string) =>
  path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/** Reads `/proc/self/mountinfo` (proc(5)): the fourth field is the root of the mount, the fifth its place. */
export const ownIn = (mountinfo: string): Own | undefined => {
  const mounts = mountinfo.split("\n").map((line) => {
    const [, , , root = "", place = ""] = line.split(" ")
    return { root, place: unescape(place) }
  })
  const mountPoints = new Set(mounts.map(({ place }) => place))
  for (const { place, root } of mounts) {
    const id = directory.exec(root)?.[1]
    if (id !== undefined && files.has(place)) return { id, mountPoints }
  }
  return undefined
}

/** Whether this container, which has the id that we found, is ours: one whose network we share has other mounts. */
export const isOwn = ({ id, mountPoints }: Own, { Id, Mounts }: Pick<Container, "Id" | "Mounts">): boolean =>
  Id === id && Mounts.every(({ Destination }) => mountPoints.has(Destination))

/** Our own container; nothing on a machine, or where it cannot be told. */
export const ownContainer: Effect.Effect<Own | undefined> = Effect.map(
  Effect.promise(() => Fs.readFile("/proc/self/mountinfo", "utf8").catch(() => "")),
  ownIn
)
