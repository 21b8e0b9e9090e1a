/**
 * The id of a Proxmox task: `UPID:node:pid:pstart:starttime:type:id:user:`, with numbers in hexadecimal.
 */
import { Schema } from "effect"

/**
 * The id of a Proxmox task. It has no slash, no space and no control character, and begins with `UPID:`, so it is one
 * name in a path. In the path of a URL it needs to be encoded.
 */
export const Upid = Schema.String.pipe(
  Schema.maxLength(255),
  Schema.pattern(
    // pstart gets a ninth digit after 497 days of uptime; the id is empty where a job has more guests than one
    /^UPID:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?:[\dA-Fa-f]{8}:[\dA-Fa-f]{8,9}:[\dA-Fa-f]{8}:[^:\s/\p{C}]+:[^:\s/\p{C}]*:[^:\s/\p{C}]+:$/u,
    { message: () => "expected the id of a Proxmox task (UPID:node:...:)" }
  ),
  Schema.brand("Upid")
)
export type Upid = typeof Upid.Type

/** What a UPID says. */
export interface UpidFields {
  readonly node: string
  readonly pid: number
  /** When the process started, in clock ticks since boot: with `pid` it names a process for as long as the host is up. */
  readonly pstart: number
  /** When the task started, in seconds since 1970. */
  readonly startTime: number
  /** `vzdump`, ... */
  readonly type: string
  /** The guest; empty for a vzdump of several. */
  readonly id: string
  /** `user@realm`, or `user@realm!token`. */
  readonly user: string
}

/** What a UPID says. */
export const decode = (upid: Upid): UpidFields => {
  const [, node = "", pid = "", pstart = "", startTime = "", type = "", id = "", user = ""] = upid.split(":")
  return {
    node,
    pid: Number.parseInt(pid, 16),
    pstart: Number.parseInt(pstart, 16),
    startTime: Number.parseInt(startTime, 16),
    type,
    id,
    user
  }
}

/** Where the node keeps the log of the task. */
export const taskLogPath = (upid: Upid, tasksDir = "/var/log/pve/tasks"): string =>
  `${tasksDir}/${upid.split(":")[4]?.slice(-1)}/${upid}`
