/**
 * The lines that come over a connection.
 */
import type * as Net from "node:net"

/**
 * Tells each line as it comes, and once that there are no more. What comes after a line that is longer than it may be is
 * dropped.
 */
export const read = (
  socket: Net.Socket,
  longest: number,
  on: { readonly line: (text: string) => void; readonly end: (isTooLong: boolean) => void }
): void => {
  let pending = Buffer.alloc(0)
  let isOver = false
  const end = (isTooLong: boolean) => {
    if (isOver) return
    isOver = true
    pending = Buffer.alloc(0)
    on.end(isTooLong)
  }
  // goes on to the end: only a socket that is read tells that the other side has closed it
  socket.on("data", (chunk: Buffer) => {
    if (isOver) return
    let rest = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (let at = rest.indexOf(10); at !== -1; at = rest.indexOf(10)) {
      if (at > longest) return end(true)
      on.line(rest.subarray(0, at).toString("utf8"))
      rest = rest.subarray(at + 1)
    }
    if (rest.length > longest) return end(true)
    pending = Buffer.from(rest)
  })
  socket.on("error", () => undefined)
  socket.once("end", () => end(false))
  socket.once("close", () => end(false))
}
