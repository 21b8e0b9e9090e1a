/**
 * Numbers and reports in words.
 */
import type { Progress } from "../domain/Backup.ts"
import type { Report } from "../domain/Report.ts"

/** `0.8s`, `42.0s`, `3m 05s`, `1h 02m`. */
export const elapsed = (millis: number): string => {
  const seconds = Math.max(0, millis) / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`
  const whole = Math.round(seconds)
  const pair = (count: number) => String(count).padStart(2, "0")
  return whole < 3600
    ? `${Math.floor(whole / 60)}m ${pair(whole % 60)}s`
    : `${Math.floor(whole / 3600)}h ${pair(Math.floor(whole / 60) % 60)}m`
}

const binary = ["B", "KiB", "MiB", "GiB", "TiB"]

/** `512 B`, `1.5 GiB`. */
export const bytes = (count: number): string => {
  const power = Math.min(binary.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10))
  return `${power === 0 ? count : (count / 1024 ** power).toFixed(1)} ${binary[power]}`
}

/** `120.0 MiB of 300.0 MiB (40 %)`. */
export const progress = ({ bytes: done, totalBytes }: Progress): string =>
  totalBytes === undefined || totalBytes === 0
    ? bytes(done)
    : `${bytes(done)} of ${bytes(totalBytes)} (${Math.min(100, Math.floor(done / totalBytes * 100))} %)`

const headline: Record<Report["outcome"], string> = {
  "ok": "ok",
  "ok-degraded": "the backup is finished, but not application consistent",
  "backup-failed": "there is no backup; the app is up",
  "aborted": "stopped before the end; the app is up",
  "busy": "nothing was touched",
  "refused": "refused, nothing was touched",
  "resume-failed": "THE APP IS NOT UP"
}

/**
 * How the storage was read. Proxmox VE has a point in time also without a storage snapshot: a suspended container is
 * copied before it goes on, a stopped virtual machine starts again while its old data is still read.
 */
const origin = ({ mode, phases }: Report): string => {
  const early = phases.some(({ phase }) => phase === "snapshotted")
  switch (mode) {
    case "snapshot":
      return "a snapshot of the storage"
    case "copy":
      return "a copy that was made first"
    case "suspend":
      return early ? "a copy of the guest, made while it was suspended" : "the suspended guest"
    default:
      return early ? "the guest as it was when it was shut down for the backup" : "the live storage, with the app down"
  }
}

/** The report for people, on several lines. */
export const report = (found: Report): string => {
  const { artifact, consistency, error, mode, outcome, stacks, totalMs } = found
  const claim = consistency.reasons.length === 0
    ? consistency.level
    : `${consistency.level} (${consistency.reasons.join(", ")})`
  const down = stacks.flatMap(({ downtimeMs, stack, stoppedAt }) =>
    stoppedAt === null ? [] : [`${stack} ${downtimeMs === null ? "is NOT UP" : elapsed(downtimeMs)}`]
  )
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["result", error === null ? headline[outcome] : `${headline[outcome]}: ${error}`],
    ...outcome === "busy" || outcome === "refused" ? [] : [["consistency", claim] as const],
    ...mode === null || (outcome !== "ok" && outcome !== "ok-degraded") ? [] : [["read from", origin(found)] as const],
    ...down.length === 0 ? [] : [["downtime", down.join(", ")] as const],
    ["total", elapsed(totalMs)],
    ...artifact === null ? [] : [["backup", artifact] as const],
    ...outcome === "resume-failed" ? [["what to do", "mend the cause, then: quiesce recover"] as const] : []
  ]
  return rows.map(([name, value]) => `${`${name}:`.padEnd(13)}${value}\n`).join("")
}
