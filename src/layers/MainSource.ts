/**
 * What takes the snapshot of a source and carries it away, as a configuration says it.
 */
import { Layer } from "effect"
import * as NodePath from "node:path"
import type { Snapshotter } from "../services/Snapshotter.ts"
import type { Transfer } from "../services/Transfer.ts"
import type { ResolvedSource } from "./ConfigAgents.ts"
import * as SnapshotterAuto from "./SnapshotterAuto.ts"
import * as SnapshotterBtrfs from "./SnapshotterBtrfs.ts"
import * as SnapshotterCopy from "./SnapshotterCopy.ts"
import * as SnapshotterNone from "./SnapshotterNone.ts"
import * as SnapshotterReflink from "./SnapshotterReflink.ts"
import * as TransferArchive from "./TransferArchive.ts"
import * as TransferCommand from "./TransferCommand.ts"

const snapshotters = {
  auto: SnapshotterAuto.layer,
  btrfs: SnapshotterBtrfs.layer,
  reflink: SnapshotterReflink.layer,
  copy: SnapshotterCopy.layer,
  none: SnapshotterNone.layer
}

/** What the archives' names begin with: the name of the source, in the letters that a file name should have. */
const archiveName = (source: string) => {
  const name = NodePath.basename(source).replaceAll(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(
    0,
    100
  )
  return name === "" ? "data" : name
}

/** The snapshotter and the transfer of a source. */
export const layer = (
  { snapshot, source, transfer }: ResolvedSource,
  stateDir: string
): Layer.Layer<Snapshotter | Transfer> =>
  Layer.merge(
    snapshotters[snapshot]({ source, stateDir }),
    transfer._tag === "Archive"
      ? TransferArchive.layer({ to: transfer.to, name: archiveName(source), stateDir, source })
      : TransferCommand.layer({ command: transfer.argv, cwd: transfer.cwd, stateDir })
  )
