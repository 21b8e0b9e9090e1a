/**
 * Puts the program for `script:` of /etc/vzdump.conf where the admin wants it.
 */
import { Effect, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { errnoOf, reasonOf } from "../durable.ts"
import { signature } from "./hookScript.ts"

/** The program could not be written. */
export class HookFileFailed extends Schema.TaggedError<HookFileFailed>()("HookFileFailed", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

/** Writes it, executable for all; whoever reads the file meanwhile has the old one or the new one. */
export const write = (path: string, text: string): Effect.Effect<void, HookFileFailed> => {
  const temporary = Path.join(Path.dirname(path), `.${Path.basename(path)}.${process.pid}`)
  const step = <A>(act: () => Promise<A>) =>
    Effect.tryPromise({ try: act, catch: (error) => new HookFileFailed({ path, reason: reasonOf(error) }) })
  return Effect.gen(function*() {
    const before = yield* step(() =>
      Fs.readFile(path, "utf8").catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error
      })
    )
    if (typeof before === "string" && !before.includes(`\n${signature}\n`)) {
      return yield* new HookFileFailed({
        path,
        reason: "a file that this command did not write is there; remove it first"
      })
    }
    yield* step(() => Fs.writeFile(temporary, text, { flag: "wx", mode: 0o755 }))
    // the mode that was asked for is without what the umask takes
    yield* step(() => Fs.chmod(temporary, 0o755))
    yield* step(() => Fs.rename(temporary, path))
  }).pipe(Effect.tapError(() => Effect.promise(() => Fs.rm(temporary, { force: true }).catch(() => undefined))))
}
