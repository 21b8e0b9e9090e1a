/**
 * What the log of a Proxmox vzdump says of one guest, line by line.
 *
 * What a hook script prints has the prefix `INFO:`, as vzdump's own words have. So a line is believed only where vzdump
 * can print it:
 * - the mode comes before the first hook of the guest, and vzdump only falls back: a later line may only lower it;
 * - the archive of a container begins after `create storage snapshot` (mode snapshot) or `resuming guest` (suspend).
 *   A hook that prints something like it before that does no harm; one that does so after that says it a little early,
 *   but the point in time is fixed;
 * - the backup task of a VM starts after its archive line, and no hook runs between the two;
 * - nothing counts after the guest's `Finished`, after the start of another guest, and after the line `TASK`.
 *
 * That stops chatty hooks, not hostile ones: a hook that plays the whole order of lines is believed. It is root on the
 * host and could replace vzdump. `ERROR:` lines cannot come from a hook, but some have words of QEMU's guest agent in
 * them: a hostile VM can make the backups of its job look failed, and never look snapshotted, or done before their
 * `Finished`.
 */
import type { Phase, Progress } from "./Backup.ts"
import { type Mode, modes, parse, type VzdumpLine } from "./VzdumpLine.ts"

/** How the task or process of a vzdump ended. */
export type VzdumpExit =
  /** The `exitstatus` of a task: `OK`, `WARNINGS: 2`, `job errors`, ... */
  | { readonly _tag: "Status"; readonly exitstatus: string }
  /** The exit code of the command `vzdump`. */
  | { readonly _tag: "Code"; readonly code: number }
  /** It is gone, and nobody knows how it ended. */
  | { readonly _tag: "Vanished" }

/** What the lines so far say of one guest. The fields from `scope` on are the state of the reading. */
export interface VzdumpView {
  readonly vmid: number
  readonly phase: Exclude<Phase, "ready">
  readonly guestType: "lxc" | "qemu" | undefined
  readonly effectiveMode: Mode | undefined
  /** What `creating ... archive '<this>'` names: a file, or a snapshot of a Proxmox Backup Server. */
  readonly artifact: string | undefined
  /** In bytes, rounded to three or four digits by vzdump. Only VMs have it. */
  readonly progress: Progress | undefined
  /** Why it failed: one line of at most 500 characters. */
  readonly error: string | undefined
  /** It failed because another vzdump held the global lock: nothing was read, and it may be tried again. */
  readonly lockHeld: boolean
  /** Whose lines are read; nothing before the first guest. */
  readonly scope: number | undefined
  /** The line that comes before the point in time was seen. */
  readonly armed: boolean
  readonly finished: boolean
  readonly otherFailed: boolean
  /** The task has told how it ended. */
  readonly closed: boolean
}

/** The view before the first line. */
export const begin = (vmid: number): VzdumpView => ({
  vmid,
  phase: "queued",
  guestType: undefined,
  effectiveMode: undefined,
  artifact: undefined,
  progress: undefined,
  error: undefined,
  lockHeld: false,
  scope: undefined,
  armed: false,
  finished: false,
  otherFailed: false,
  closed: false
})

const isOver = ({ phase }: VzdumpView) => phase === "done" || phase === "failed"

/** One line. Of a long one the middle goes: a failed command is named first, and how it failed comes last. */
const brief = (text: string): string => {
  const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim()
  return line.length <= 500 ? line : `${line.slice(0, 300)} ... ${line.slice(-195)}`
}

const lockTaken = /^can't acquire lock '[^']*' ?(?:\(wait = 0\)|- got timeout)/

const noReason = "vzdump gave no reason: see its log"

const fail = (view: VzdumpView, reason: string): VzdumpView => ({
  ...view,
  phase: "failed",
  error: brief(reason) || noReason,
  lockHeld: view.scope === undefined && lockTaken.test(reason)
})

/** A line of the guest itself, before its point in time. */
const own = (view: VzdumpView, line: VzdumpLine): VzdumpView => {
  const { armed, effectiveMode, guestType } = view
  switch (line._tag) {
    case "Mode": {
      const isLower = effectiveMode === undefined || modes.indexOf(line.mode) > modes.indexOf(effectiveMode)
      return isLower ? { ...view, effectiveMode: line.mode, armed: false } : view
    }
    case "StorageSnapshot":
      return guestType === "lxc" && effectiveMode === "snapshot" ? { ...view, armed: true } : view
    case "Resume":
      return guestType === "lxc" && effectiveMode === "suspend" ? { ...view, armed: true } : view
    case "Archive": {
      const { artifact } = line
      if (effectiveMode === undefined) return view
      if (guestType === "qemu") return { ...view, armed: true, artifact }
      // a stopped container is read until the end
      if (effectiveMode === "stop") return { ...view, artifact }
      return armed ? { ...view, phase: "snapshotted", artifact } : view
    }
    case "BackupTask":
      return guestType === "qemu" && armed ? { ...view, phase: "snapshotted" } : view
    default:
      return view
  }
}

const take = (view: VzdumpView, line: VzdumpLine): VzdumpView => {
  const isOwn = "vmid" in line && line.vmid === view.vmid
  const inScope = view.scope === view.vmid && !view.finished
  switch (line._tag) {
    case "Start":
      // a guest comes once in a job: what was believed of it before its start was no word of vzdump
      return !isOwn || view.finished || view.phase === "snapshotted" ? { ...view, scope: line.vmid } : {
        ...begin(view.vmid),
        phase: "running",
        guestType: line.guestType,
        scope: line.vmid,
        otherFailed: view.otherFailed
      }
    case "Finish":
      return inScope && isOwn ? { ...view, finished: true } : view
    case "Failure":
      return isOwn ? fail(view, line.reason) : { ...view, otherFailed: true }
    case "JobFailure":
      // an interruption fails the guest of the moment, then the job, but not the guests before
      return view.finished && view.otherFailed ? view : fail(view, line.reason)
    case "NoLock":
      // the lock comes before the first guest: later it is the second line of somebody's error
      return view.scope === undefined ? fail(view, line.reason) : view
    case "Progress":
      return inScope && view.guestType === "qemu" && view.phase === "snapshotted"
        ? { ...view, progress: line.progress }
        : view
    default:
      return inScope && view.phase === "running" ? own(view, line) : view
  }
}

const isGood = (exit: VzdumpExit): boolean =>
  exit._tag === "Status" ? /^(?:OK|WARNINGS: \d+)$/.test(exit.exitstatus) : exit._tag === "Code" && exit.code === 0

/** The exit that the last line of a task log tells (`TASK OK`, `TASK WARNINGS: 2`, `TASK ERROR: ...`), if it is one. */
export const exitOfTaskLine = (line: string): VzdumpExit | undefined => {
  const [, good, bad] = /^TASK (?:(OK|WARNINGS: \d+)|ERROR: ?(.*?))\r?\n?$/s.exec(line) ?? []
  const exitstatus = good ?? bad
  if (exitstatus === undefined) return undefined
  const exit = { _tag: "Status", exitstatus } as const
  // an error is one whatever its text is
  return good === undefined && isGood(exit) ? { ...exit, exitstatus: `ERROR: ${exitstatus}` } : exit
}

/** Takes one line in: never backwards, never out of a final phase. */
export const step = (view: VzdumpView, line: string): VzdumpView => {
  if (isOver(view) || view.closed) return view
  const exit = exitOfTaskLine(line)
  if (exit !== undefined) {
    const ended = end(view, exit)
    return ended.phase === "failed" ? ended : { ...view, closed: true }
  }
  const said = parse(line)
  return said === undefined ? view : take(view, said)
}

/** The view at the end: `done` only if the guest's `Finished` was seen, and the end is good or another guest's fault. */
export const end = (view: VzdumpView, exit: VzdumpExit): VzdumpView => {
  if (isOver(view)) return view
  if (exit._tag === "Vanished") return fail(view, "vzdump is gone, and nobody knows how it ended: see its log")
  const told = exit._tag === "Code" ? `exit code ${exit.code}` : brief(exit.exitstatus) || noReason
  if (isGood(exit)) {
    const missing = `"Finished Backup of VM ${view.vmid}" is not in its log: is the guest on this node?`
    return view.finished ? { ...view, phase: "done" } : fail(view, `vzdump ended well (${told}), but ${missing}`)
  }
  // otherwise it did not end by itself, and that is no other guest's fault
  const bySelf = exit._tag === "Code" ? exit.code === 255 : exit.exitstatus !== "unexpected status"
  if (view.finished && view.otherFailed && bySelf) return { ...view, phase: "done" }
  const why = exit._tag === "Status" && bySelf ? told : `vzdump ended without a result (${told}): see its log`
  return fail(view, view.finished ? `the backup was finished, but its job failed: ${why}` : why)
}

/** The view after all these lines, and after the end where there is one. */
export const read = (vmid: number, lines: Iterable<string>, exit?: VzdumpExit): VzdumpView => {
  let view = begin(vmid)
  for (const line of lines) view = step(view, line)
  return exit === undefined ? view : end(view, exit)
}
