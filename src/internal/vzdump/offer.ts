/**
 * What a vzdump of a guest would do, as far as the configurations of the guest and of the storages tell.
 */
import type { EffectiveMode } from "../../domain/Backup.ts"
import type { VzdumpConfig } from "../../domain/VzdumpConfig.ts"
import type { AgentOffer } from "../../services/AgentClient.ts"
import type { GuestConfig } from "./guestConfig.ts"
import { canSnapshot, isBtrfsSubvolume, type Storages } from "./storages.ts"

/** The value of a volume: `local:100/vm-100-disk-0.raw,mp=/data,backup=1`. */
interface Volume {
  readonly key: string
  readonly id: string
  readonly options: ReadonlyMap<string, string>
}

const volumesOf = ({ settings }: GuestConfig, keys: RegExp): ReadonlyArray<Volume> =>
  [...settings].filter(([key]) => keys.test(key)).map(([key, value]) => {
    const [id = "", ...rest] = value.split(",")
    return {
      key,
      id: id.replace(/^(?:volume|file)=/, ""),
      options: new Map(rest.map((option) => {
        const [name = "", ...words] = option.split("=")
        return [name, words.join("=")] as const
      }))
    }
  })

const isOn = (value: string | undefined) => value !== undefined && /^(?:1|on|yes|true)$/i.test(value)
const isOff = (value: string | undefined) => value !== undefined && /^(?:0|off|no|false)$/i.test(value)

/** A path is a bind mount or a device of the host. */
const isVolume = ({ id }: Volume) => !id.startsWith("/")

const leftOut = (volume: Volume) => {
  const what = `${volume.key} (${volume.options.get("mp")}) is not in the backup`
  return isVolume(volume) ? `${what}: it has no backup=1` : `${what}: '${volume.id}' is of the host, not a volume`
}

interface Found {
  readonly mode: EffectiveMode | undefined
  readonly notes: ReadonlyArray<string>
  /** Why no backup can be taken. */
  readonly refusal?: string | undefined
}

const ofContainer = (guest: GuestConfig, storages: Storages, wanted: EffectiveMode): Found => {
  const mountPoints = volumesOf(guest, /^mp\d+$/)
  const isIn = (volume: Volume) => isVolume(volume) && isOn(volume.options.get("backup"))
  const backedUp = [...volumesOf(guest, /^rootfs$/), ...mountPoints.filter(isIn)]
  const notes = mountPoints.filter((one) => !isIn(one)).map(leftOut)
  if (/\bfuse=1\b/.test(guest.settings.get("features") ?? "")) {
    notes.push(
      "the container may mount FUSE file systems (features: fuse=1): the freeze before a snapshot can hang on one"
    )
  }
  if (wanted !== "snapshot") return { mode: wanted, notes }
  const broken = backedUp.find(({ id }) => isBtrfsSubvolume(storages, id))
  if (broken !== undefined) {
    return {
      mode: undefined,
      notes,
      refusal: `${broken.key} is a subvolume on btrfs (${broken.id}): vzdump cannot mount its snapshot, so every ` +
        "backup in mode snapshot fails; use mode suspend, or a volume with a size"
    }
  }
  const without = backedUp.filter(({ id }) => canSnapshot(storages, id) === false)
  if (without.length > 0) {
    const where = without.map(({ id, key }) => `${key} on ${id.split(":")[0]}`).join(", ")
    return {
      mode: "suspend",
      notes: [
        `no snapshot can be taken of ${where}: vzdump copies the container first, and then once more suspended`,
        ...notes
      ]
    }
  }
  return { mode: backedUp.every(({ id }) => canSnapshot(storages, id) === true) ? "snapshot" : undefined, notes }
}

const ofMachine = (guest: GuestConfig, wanted: EffectiveMode, fleecing: boolean): Found => ({
  // a machine needs nothing of its storage for this
  mode: wanted,
  notes: [
    ...volumesOf(guest, /^(?:ide|sata|scsi|virtio)\d+$/)
      .filter(({ options }) => isOff(options.get("backup")) && options.get("media") !== "cdrom")
      .map(({ key }) => `${key} is not in the backup: it has backup=0`),
    ...fleecing ? [] : [
      "without fleecing, what the machine overwrites during the backup waits for the backup's storage (fleecingStorage)"
    ]
  ]
})

/** What is to be said of the storage that keeps the backup. */
const targetRefusal = (storages: Storages, name: string): string | undefined => {
  if (storages.size === 0) return undefined
  const target = storages.get(name)
  if (target === undefined) return `there is no storage '${name}' on this host`
  if (target.settings.has("disable")) return `the storage '${name}' is disabled`
  const content = target.settings.get("content")
  return content === undefined || content.split(/[\s,]+/).includes("backup")
    ? undefined
    : `the storage '${name}' is not one for backups (its content: ${content})`
}

/** The offer, or why there is none. */
export const make = (
  config: Pick<VzdumpConfig, "vmid" | "storage" | "mode" | "fleecingStorage">,
  guest: GuestConfig,
  storages: Storages
): AgentOffer | { readonly refusal: string } => {
  const wanted = config.mode ?? "snapshot"
  const { mode, notes, refusal } = guest.type === "lxc"
    ? ofContainer(guest, storages, wanted)
    : ofMachine(guest, wanted, config.fleecingStorage !== undefined)
  const reason = targetRefusal(storages, config.storage) ?? refusal
  if (reason !== undefined) return { refusal: reason }
  const unlock = `${guest.type === "lxc" ? "pct" : "qm"} unlock ${config.vmid}`
  return {
    mode,
    snapshotter: "vzdump",
    notes: [
      ...guest.lock === undefined ? [] : [
        `the guest is locked (${guest.lock}): a backup waits until it is not; if nothing works on it any more: ${unlock}`
      ],
      ...wanted === "stop" ?
        [
          "mode stop shuts the guest down, and with it a controller inside: its stacks come up only if it runs " +
          "'quiesce recover' at boot"
        ] :
        [],
      ...notes
    ]
  }
}
