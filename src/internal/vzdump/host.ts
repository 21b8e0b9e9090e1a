/**
 * Where a Proxmox VE host has what a backup needs.
 */
export interface VzdumpHost {
  /** The program. */
  readonly vzdump: string
  /** Whoever holds this lock (flock) is the one vzdump of the host. */
  readonly lockFile: string
  /** The UPID of the vzdump that has taken the lock last. */
  readonly pidFile: string
  /** The logs of the tasks. */
  readonly tasksDir: string
  /** The configurations of the guests of this node, and of the storages. */
  readonly guestConfigDir: string
}

export const defaults: VzdumpHost = {
  vzdump: "/usr/bin/vzdump",
  lockFile: "/var/run/vzdump.lock",
  pidFile: "/run/vzdump.pid",
  tasksDir: "/var/log/pve/tasks",
  guestConfigDir: "/etc/pve"
}
