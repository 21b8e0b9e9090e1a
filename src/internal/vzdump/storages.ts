/**
 * The storages of a Proxmox VE (`/etc/pve/storage.cfg`): a line `type: name`, then indented lines `key value`.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

export interface Storage {
  readonly type: string
  readonly settings: ReadonlyMap<string, string>
}

export type Storages = ReadonlyMap<string, Storage>

/** Reads the text of the file. */
export const parse = (text: string): Storages => {
  const found = new Map<string, Storage & { readonly settings: Map<string, string> }>()
  let present: Map<string, string> | undefined
  for (const line of text.split("\n")) {
    const [, type, name] = /^(\w+):\s*(\S+)\s*$/.exec(line) ?? []
    const [, key, value = ""] = /^\s+(\S+)(?:\s+(.*?))?\s*$/.exec(line) ?? []
    if (type !== undefined && name !== undefined) {
      present = new Map()
      found.set(name, { type, settings: present })
    } else if (key !== undefined) present?.set(key, value)
  }
  return found
}

/** The storages; none where the file cannot be read. */
export const read = (directory: string): Effect.Effect<Storages> =>
  Effect.promise(() => Fs.readFile(Path.join(directory, "storage.cfg"), "utf8").then(parse, () => new Map()))

/** Whether vzdump can take a snapshot of a container's volume there; nothing where it is not known. */
export const canSnapshot = (storages: Storages, volume: string): boolean | undefined => {
  const type = storages.get(volume.split(":")[0] ?? "")?.type
  switch (type) {
    case "zfspool":
    case "lvmthin":
    case "rbd":
      return true
    case "btrfs":
      return !isSubvolume(volume)
    case "dir":
    case "nfs":
    case "cifs":
    case "lvm":
      return false
    default:
      return undefined
  }
}

const isSubvolume = (volume: string) => volume.endsWith(".subvol")

/** Whether the backup of such a volume in mode snapshot always fails: the snapshot is taken and cannot be mounted. */
export const isBtrfsSubvolume = (storages: Storages, volume: string): boolean =>
  storages.get(volume.split(":")[0] ?? "")?.type === "btrfs" && isSubvolume(volume)
