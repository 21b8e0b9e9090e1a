/**
 * One line of the log of a Proxmox vzdump: what it says, if it says something about the state of a backup.
 *
 * The wordings are those of Proxmox VE 4 to 9. A line is one only as a whole: `INFO: backup mode: stop, said the hook`
 * is none. `ERROR:` is a level that hooks cannot print; vzdump prints failures with it, and all else here with `INFO:`.
 */
import type { Progress } from "./Backup.ts"

/** How vzdump treats the guest, from the best to the worst. */
export const modes = ["snapshot", "suspend", "stop"] as const
/** A backup mode of vzdump. */
export type Mode = typeof modes[number]

/** What a line says. */
export type VzdumpLine =
  | { readonly _tag: "Start"; readonly vmid: number; readonly guestType: "lxc" | "qemu" | undefined }
  | { readonly _tag: "Mode"; readonly mode: Mode }
  /** A storage snapshot of a container begins. */
  | { readonly _tag: "StorageSnapshot" }
  /** A suspended container is copied, and runs again. */
  | { readonly _tag: "Resume" }
  /** The archive is opened. `artifact` is missing where it goes to stdout. */
  | { readonly _tag: "Archive"; readonly artifact: string | undefined }
  /** QEMU has taken its point in time. */
  | { readonly _tag: "BackupTask" }
  | { readonly _tag: "Progress"; readonly progress: Progress }
  | { readonly _tag: "Finish"; readonly vmid: number }
  | { readonly _tag: "Failure"; readonly vmid: number; readonly reason: string }
  | { readonly _tag: "JobFailure"; readonly reason: string }
  | { readonly _tag: "NoLock"; readonly reason: string }

/** `INFO: text`; in the log beside an archive with the time before it, in a notification with the guest before that. */
const prefix = /^(?:\d+: )?(?:(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d )?(INFO|WARN|ERROR): ?(.*?)\r?\n?$/s

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

/** Of nothing there is no progress, and nobody has more than all; nor is there an infinite disk. */
const progressOf = (bytes: number, totalBytes: number): VzdumpLine | undefined =>
  totalBytes > 0 && Number.isFinite(totalBytes) && bytes <= totalBytes
    ? { _tag: "Progress", progress: { bytes, totalBytes } }
    : undefined

const bytesOf = (count: string, unit: string) => Math.round(Number(count) * 1024 ** units.indexOf(unit))

type Reader = readonly [RegExp, (first: string, ...rest: ReadonlyArray<string>) => VzdumpLine | undefined]

const infos: ReadonlyArray<Reader> = [
  [/^Starting Backup of VM (\d+) \((\w+)\)$/, (vmid, type) => ({
    _tag: "Start",
    vmid: Number(vmid),
    guestType: type === "lxc" || type === "qemu" ? type : undefined
  })],
  [/^backup mode: (\w+)$/, (word) => {
    const mode = modes.find((one) => one === word)
    return mode && { _tag: "Mode", mode }
  }],
  [/^create storage snapshot '?\w+'?$/, () => ({ _tag: "StorageSnapshot" })],
  [/^(?:resuming guest|resume vm)$/, () => ({ _tag: "Resume" })],
  [/^creating (?:\S.* )?archive '(.+)'$/, (artifact) => ({ _tag: "Archive", artifact })],
  [/^sending archive to stdout$/, () => ({ _tag: "Archive", artifact: undefined })],
  // storages with a backup provider have no backup task
  [/^(?:started backup task '.+'|starting NBD server)$/, () => ({ _tag: "BackupTask" })],
  // three or four digits are told
  [
    /^ *\d+% \((\d+\.\d+) (B|[KMGTP]iB) of (\d+\.\d+) (B|[KMGTP]iB)\) in /,
    (bytes, unit = "", total = "", ofUnit = "") => progressOf(bytesOf(bytes, unit), bytesOf(total, ofUnit))
  ],
  // before PVE 6.2
  [/^status: \d+% \((\d+)\/(\d+)\), /, (bytes, total) => progressOf(Number(bytes), Number(total))],
  [/^Finished Backup of VM (\d+) \(.*\)$/, (vmid) => ({ _tag: "Finish", vmid: Number(vmid) })]
]

const errors: ReadonlyArray<Reader> = [
  [/^Backup of VM (\d+) failed - ?(.*)$/s, (vmid, reason = "") => ({ _tag: "Failure", vmid: Number(vmid), reason })],
  [/^Backup job failed - ?(.*)$/s, (reason) => ({ _tag: "JobFailure", reason })],
  [/^(can't acquire lock .*)$/s, (reason) => ({ _tag: "NoLock", reason })]
]

/** What a line says; nothing where it is the output of a tool (no prefix), or about something else. */
export const parse = (line: string): VzdumpLine | undefined => {
  const [, level, text = ""] = prefix.exec(line) ?? []
  for (const [shape, said] of level === "INFO" ? infos : level === "ERROR" ? errors : []) {
    const found = shape.exec(text)
    if (found !== null) return said(found[1] ?? "", ...found.slice(2))
  }
  return undefined
}
