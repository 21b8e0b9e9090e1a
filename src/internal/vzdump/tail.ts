/**
 * The lines of a file that grows, as they are written.
 */
import { Effect, Queue, type Scope } from "effect"
import * as Fs from "node:fs"
import * as FsPromises from "node:fs/promises"

const { O_NOFOLLOW, O_RDONLY } = FsPromises.constants

/** A longer line is none of ours: its rest is dropped. */
const longest = 64 * 1024

/** Makes whole lines out of pieces. A character that is cut by a piece is not broken. */
export const splitter = () => {
  let pending = Buffer.alloc(0)
  const cut = (line: Buffer) => line.subarray(0, longest).toString("utf8").replace(/\r$/, "")
  return {
    /** The lines that this piece completes. */
    push: (piece: Buffer): ReadonlyArray<string> => {
      const all = Buffer.concat([pending, piece])
      const lines: Array<string> = []
      let start = 0
      for (let end = all.indexOf(10); end !== -1; end = all.indexOf(10, start)) {
        lines.push(cut(all.subarray(start, end)))
        start = end + 1
      }
      pending = Buffer.from(all.subarray(start, start + longest))
      return lines
    },
    /** What is left at the end: a line without an end. */
    rest: (): ReadonlyArray<string> => pending.length === 0 ? [] : [cut(pending)]
  }
}

export interface Tail {
  /** The whole lines since the last time. */
  readonly lines: Effect.Effect<ReadonlyArray<string>>
  /** A last line without an end. */
  readonly rest: Effect.Effect<ReadonlyArray<string>>
}

/** Reads a file from its first line on. While it cannot be read it has no lines. */
export const make = (path: string): Effect.Effect<Tail, never, Scope.Scope> =>
  Effect.gen(function*() {
    const split = splitter()
    const buffer = Buffer.alloc(longest)
    let file: FsPromises.FileHandle | undefined
    let offset = 0
    yield* Effect.addFinalizer(() => Effect.promise(() => file?.close().catch(() => undefined) ?? Promise.resolve()))
    /** The lines of the next piece; nothing at the end, or where nothing can be read. */
    const piece = Effect.gen(function*() {
      const opened = file ?? (yield* Effect.tryPromise(() => FsPromises.open(path, O_RDONLY | O_NOFOLLOW)))
      file = opened
      const { bytesRead } = yield* Effect.tryPromise(() => opened.read(buffer, 0, buffer.length, offset))
      offset += bytesRead
      return bytesRead === 0 ? undefined : split.push(buffer.subarray(0, bytesRead))
    }).pipe(Effect.orElseSucceed(() => undefined))
    const readAll = Effect.gen(function*() {
      const lines: Array<string> = []
      for (let more = yield* piece; more !== undefined; more = yield* piece) lines.push(...more)
      return lines
    })
    return {
      lines: Effect.uninterruptible(readAll),
      rest: Effect.sync(split.rest)
    }
  })

/**
 * Waits for a change of the file or directory, or for as long as it is told. What changed before the call and after the
 * last one counts. Where the kernel does not watch (no watches left, nothing there yet), only the time counts.
 */
export const watch = (
  path: string
): Effect.Effect<(atMost: number) => Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pokes = yield* Queue.sliding<void>(1)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        try {
          const watcher = Fs.watch(path, { persistent: false }, () => void pokes.unsafeOffer())
          watcher.on("error", () => watcher.close())
          return watcher
        } catch {
          return undefined
        }
      }),
      (watcher) => Effect.sync(() => watcher?.close())
    )
    return (atMost) => Effect.asVoid(Effect.timeoutOption(Queue.take(pokes), atMost))
  })
