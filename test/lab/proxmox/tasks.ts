/**
 * The tasks of a node: each replays the log of a real vzdump, line by line.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"

/** A sample log, and what became of it. */
export interface Sample {
  readonly lines: ReadonlyArray<string>
  readonly exitstatus: string
  readonly guestType: "lxc" | "qemu" | null
  readonly effectiveMode: "snapshot" | "suspend" | "stop" | null
  readonly outcome: "done" | "failed"
  /** The line (from 0) that fixes the point in time. */
  readonly point: number | null
  readonly vmid: number | null
}

/** A sample of `test/data/vzdump`. */
export const sample = (name: string): Sample => {
  const base = join("test/data/vzdump", name)
  const answer = JSON.parse(readFileSync(`${base}.json`, "utf8"))
  const lines = readFileSync(`${base}.log`, "utf8").replace(/\n$/, "").split("\n")
  return { ...answer, lines, point: answer.pointInTimeFixedAtLine }
}

/** The lines and the end of a vzdump that does not wait for the lock of the host. */
export const lockHeld: Sample = {
  lines: ["ERROR: can't acquire lock '/var/run/vzdump.lock' (wait = 0)"],
  exitstatus: "unexpected status",
  guestType: null,
  effectiveMode: null,
  outcome: "failed",
  point: null,
  vmid: null
}

const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, "0")

/** One vzdump. */
export class Task {
  readonly upid: string
  readonly startTime: number
  private written = 0
  private stopped = false
  exitstatus: string | undefined

  readonly vmid: number
  readonly replay: Sample

  constructor(vmid: number, node: string, user: string, replay: Sample, pid: number) {
    this.vmid = vmid
    this.replay = replay
    this.startTime = Math.floor(Date.now() / 1000)
    this.upid = `UPID:${node}:${hex(pid, 8)}:${hex(pid * 7, 8)}:${hex(this.startTime, 8)}:vzdump:${vmid}:${user}:`
  }

  get runs() {
    return this.exitstatus === undefined
  }

  private failure: ReadonlyArray<string> = []

  get log(): ReadonlyArray<string> {
    return [...this.replay.lines.slice(0, this.written), ...this.failure]
  }

  /** Ends badly, wherever it is. */
  fail(reason: string) {
    this.failure = [`ERROR: Backup of VM ${this.vmid} failed - ${reason}`, "TASK ERROR: job errors"]
    this.exitstatus ??= "job errors"
  }

  /** Writes until so many lines are there. */
  writeTo(lines: number) {
    if (!this.stopped) this.written = Math.max(this.written, Math.min(lines, this.replay.lines.length))
  }

  /** Writes the line that fixes the point in time, and all before it. */
  point() {
    this.writeTo((this.replay.point ?? this.replay.lines.length - 2) + 1)
  }

  end() {
    this.writeTo(this.replay.lines.length)
    this.exitstatus ??= this.replay.exitstatus
  }

  /** SIGTERM. */
  stop() {
    this.stopped = true
    this.exitstatus ??= "unexpected status"
  }

  page(start: number, limit: number) {
    const all = this.log
    if (all.length === 0) return { data: [{ n: 1, t: "no content" }], total: 1 }
    const data = all.map((t, index) => ({ n: index + 1, t })).slice(start, limit === 0 ? undefined : start + limit)
    return { data, total: all.length }
  }
}
