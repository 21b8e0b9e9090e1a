/**
 * What a configuration says of an agent that takes the snapshot itself: the source, how, and where to.
 */
import { Schema } from "effect"
import { Argv, exactlyOne, map, optional, PathText } from "./ConfigWords.ts"

const supportedTransfers = ["archive", "command"]

const TransferConfig = Schema.Struct({
  archive: optional(
    Schema.Struct({
      to: PathText.annotations({ description: "The directory in which the archives are kept." })
    }).annotations(map("to (a directory)"))
  ),
  command: optional(
    Argv.pipe(
      Schema.filter((words) =>
        words.slice(1).some((word) => word.includes("{snapshot}"))
          ? undefined
          : "expected '{snapshot}' in one of the arguments; it stands for the path that is to be backed up"
      )
    ).annotations({
      description: "A command that backs up the path that '{snapshot}' stands for (restic, borg, rsync)."
    })
  )
}).annotations(map("one of archive, command")).pipe(
  Schema.filter(exactlyOne("transfer", supportedTransfers))
)

/** The snapshotters of this version. `auto` takes the best that a probe proves. */
export const SnapshotKind = Schema.Literal("auto", "btrfs", "reflink", "copy", "none")
export type SnapshotKind = typeof SnapshotKind.Type

const laterSnapshots = new Set(["zfs", "lvm-thin"])

const SnapshotText = SnapshotKind.annotations({
  description: "How the point in time is made. auto takes the best that works on the source.",
  message: ({ actual }) => ({
    message: typeof actual === "string" && laterSnapshots.has(actual)
      ? `snapshot '${actual}' is not supported by this version; supported: ${SnapshotKind.literals.join(", ")}`
      : `expected one of ${SnapshotKind.literals.join(", ")}`,
    // one message, not one for each word
    override: true
  })
})

/** A source, how its point in time is made, and how that is carried away. */
export const SourceConfig = Schema.Struct({
  source: PathText.annotations({ description: "The directory that holds the data of the stacks." }),
  snapshot: optional(SnapshotText),
  transfer: TransferConfig
}).annotations(map("source and transfer, and maybe snapshot"))
export type SourceConfig = typeof SourceConfig.Type
