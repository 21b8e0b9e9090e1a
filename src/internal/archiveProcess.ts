/**
 * GNU tar and zstd as one pipe into a file of ours.
 */
import { Effect, Schema } from "effect"
import { createHash } from "node:crypto"
import type { FileHandle } from "node:fs/promises"
import { Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { io } from "./disk.ts"
import { tail } from "./outputTail.ts"
import { spawn } from "./process.ts"
import { directoryName } from "./snapshotPlace.ts"
import { environment, niceOf, notStarted } from "./tool.ts"

/** The archive could not be made or written. */
export class ArchiveFailed extends Schema.TaggedError<ArchiveFailed>()("ArchiveFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** Records of 10 KiB, tar's default, between two words of it. */
const every = 200
const recordBytes = 10_240
const word = "quiesce-checkpoint"

/**
 * Not `--sparse`: tar takes a file that has no blocks allocated yet for one big hole (sparse.c, `ST_NBLOCKS == 0`), and
 * some file systems allocate late; zeros cost next to nothing once compressed. tar runs zstd itself and ends with
 * exit code 2 when zstd ends badly; exit code 1 means that a file changed while it was read.
 */
const argv = (path: string) =>
  [
    "tar",
    "--create",
    "--file=-",
    `--directory=${path}`,
    "--format=posix",
    "--numeric-owner",
    "--xattrs",
    "--acls",
    "--anchored",
    "--no-wildcards",
    `--exclude=./${directoryName}`,
    "--use-compress-program=zstd -T0 -q",
    `--checkpoint=${every}`,
    `--checkpoint-action=echo=${word} %u`,
    "."
  ] as const

/** Takes tar's checkpoints out of what it says. */
const checkpoints = (onRead: (bytes: number) => void) => {
  const line = new RegExp(`^tar: ${word} (\\d+)\\n`, "gm")
  let rest = ""
  return (text: string) => {
    const whole = rest + text
    const end = whole.lastIndexOf("\n") + 1
    rest = whole.slice(end)
    return whole.slice(0, end).replace(line, (_, record: string) => {
      onRead(Number(record) * recordBytes)
      return ""
    })
  }
}

/**
 * Writes to the file, counts and hashes. Not the stream of the handle itself: that keeps the handle from closing. The
 * handle's close waits for a write that is under way.
 */
const sink = (handle: FileHandle) => {
  const hash = createHash("sha256")
  let bytes = 0
  const stream = new Writable({
    highWaterMark: 1 << 20,
    write: (chunk: Buffer, _, done) => {
      hash.update(chunk)
      bytes += chunk.length
      handle.writeFile(chunk).then(() => done(), done)
    }
  })
  return { stream, result: () => ({ bytes, sha256: hash.digest("hex") }) }
}

/**
 * Archives the directory into the file. The bytes pass through this process, so tar ends when this process dies.
 * `onRead` gets the bytes of source read so far. Answers with the size and checksum of what was written.
 */
export const writeArchive = Effect.fnUntraced(
  function*(options: {
    readonly stateDir: string
    readonly path: string
    readonly background?: boolean | undefined
    readonly handle: FileHandle
    readonly onRead: (bytes: number) => void
  }) {
    const spec = { argv: argv(options.path), env: environment(options.stateDir), nice: niceOf(options.background) }
    const child = yield* spawn(spec).pipe(
      Effect.mapError((error) => new ArchiveFailed({ reason: notStarted(error) }))
    )
    const output = tail([child.stderr], checkpoints(options.onRead))
    const { result, stream } = sink(options.handle)
    const { stdout } = child
    if (stdout !== null) {
      yield* io("the archive", (signal) => pipeline(stdout, stream, { signal }))
    }
    const { code, signal } = yield* child.exit
    yield* output.drained
    if (code === 0) return result()
    const how = code === 1
      ? "a file changed while it was read: something writes to the source"
      : signal === undefined
      ? `tar ended with exit code ${code}`
      : `tar was killed by ${signal}`
    return yield* new ArchiveFailed({ reason: [how, output.last(5)].filter((text) => text !== "").join(":\n") })
  },
  Effect.scoped
)
