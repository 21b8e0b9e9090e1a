/**
 * Keeps the last output of a running child, for its error message.
 */
import { Effect } from "effect"
import type { Readable } from "node:stream"
import { printable } from "./oneLine.ts"

export interface OutputTail {
  /** The last lines, at most `lines` of them. */
  readonly last: (lines: number) => string
  /** Waits until all output has come; whoever holds the pipe after the child's end is not waited for. */
  readonly drained: Effect.Effect<void>
}

const keep = 64 * 1024

const closed = (stream: Readable) =>
  stream.destroyed || stream.readableEnded ? Effect.void : Effect.async<void>((resume) => {
    stream.once("close", () => resume(Effect.void))
  })

/** Reads the streams. `onText` sees all that comes; what it answers is kept, so it can drop lines. */
export const tail = (
  streams: ReadonlyArray<Readable | null>,
  onText: (text: string) => string = (text) => text
): OutputTail => {
  const open = streams.filter((stream) => stream !== null)
  let text = ""
  for (const stream of open) {
    stream.setEncoding("utf8")
    stream.on("data", (chunk: string) => {
      text = (text + onText(chunk)).slice(-keep)
    })
  }
  return {
    last: (lines) => printable(text).trim().split("\n").slice(-lines).join("\n").trim(),
    drained: Effect.forEach(open, closed, { discard: true }).pipe(
      Effect.timeoutOption("100 millis"),
      Effect.zipRight(Effect.sync(() => open.forEach((stream) => stream.destroy())))
    )
  }
}
