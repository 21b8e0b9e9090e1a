/**
 * Files that hold a secret: read only when nobody else can read them too.
 */
import { Effect, Redacted, Schema } from "effect"
import * as Fs from "node:fs/promises"
import { reasonOf } from "./durable.ts"

const { O_NONBLOCK, O_RDONLY } = Fs.constants

/** Bytes. A token is a line. */
const longest = 4096

/** The file holds no secret that could be used. */
export class SecretUnreadable extends Schema.TaggedError<SecretUnreadable>()("SecretUnreadable", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.reason}`
  }
}

/** The one line of the file, without its end. */
export const readSecret = Effect.fnUntraced(function*(file: string) {
  const read = yield* Effect.tryPromise({
    try: () =>
      Fs.open(file, O_RDONLY | O_NONBLOCK).then((handle) =>
        handle.stat().then((stat) =>
          handle.read({ buffer: Buffer.alloc(longest + 1), position: 0 }).then(({ buffer, bytesRead }) => ({
            stat,
            text: buffer.toString("utf8", 0, bytesRead).trim()
          }))
        ).finally(() => handle.close())
      ),
    catch: (error) => new SecretUnreadable({ file, reason: reasonOf(error) })
  })
  if ((read.stat.mode & 0o077) !== 0) {
    return yield* new SecretUnreadable({ file, reason: "others can read or write it; run: chmod 600 on it" })
  }
  if (read.text === "" || read.text.length > longest || /[\s\p{Cc}]/u.test(read.text)) {
    return yield* new SecretUnreadable({ file, reason: "expected one line with the token and nothing else" })
  }
  return Redacted.make(read.text)
})
