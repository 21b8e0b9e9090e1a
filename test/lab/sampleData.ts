/**
 * A directory that holds what a backup may meet.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { skipsForbidden } from "../support/live.ts"
import { sh } from "./loopfs.ts"

const names = ["plain", "with space", "new\nline", "-rf", "--help", "quo\"te'$x", "ünï", "{snapshot}", "*"]

/** Odd names, links, an empty directory, a file with holes, a fifo, an extended attribute, closed modes. */
export const sampleData = (directory: string) =>
  Effect.gen(function*() {
    yield* Effect.promise(() => Fs.mkdir(Path.join(directory, "sub dir", "empty"), { recursive: true }))
    for (const name of names) {
      yield* Effect.promise(() => Fs.writeFile(Path.join(directory, name), `content of ${name}\n`.repeat(100)))
      yield* Effect.promise(() => Fs.writeFile(Path.join(directory, "sub dir", name), `below ${name}\n`))
    }
    yield* Effect.promise(() => Fs.link(Path.join(directory, "plain"), Path.join(directory, "hard link")))
    yield* Effect.promise(() => Fs.symlink("/nowhere", Path.join(directory, "broken link")))
    yield* Effect.promise(() => Fs.mkdir(Path.join(directory, "sub dir", ".quiesce")))
    yield* Effect.promise(() => Fs.writeFile(Path.join(directory, "sub dir", ".quiesce", "kept"), "kept\n"))
    yield* sh(["truncate", "-s", "3M", Path.join(directory, "holes")])
    yield* sh(["dd", "if=/dev/urandom", `of=${Path.join(directory, "random")}`, "bs=1M", "count=4", "status=none"])
    yield* sh(["mkfifo", Path.join(directory, "fifo")])
    const setAttribute = sh(["setfattr", "-n", "user.quiesce", "-v", "kept", Path.join(directory, "plain")])
    yield* skipsForbidden ? setAttribute : Effect.ignore(setAttribute)
    yield* Effect.promise(() => Fs.chmod(Path.join(directory, "-rf"), 0o400))
  })

/** What is in a directory, as text that can be compared: names, types, modes, owners, sizes, times, links. */
export const listing = (directory: string) =>
  Effect.map(
    sh(["find", directory, "-printf", "%P\\0%y %m %U:%G %s %Ts %n %l\\0"]),
    (text) => {
      const fields = text.split("\0")
      const lines: Array<string> = []
      for (let at = 0; at + 1 < fields.length; at += 2) {
        const [type, mode, owner, size, ...rest] = (fields[at + 1] ?? "").split(" ")
        lines.push(
          JSON.stringify([fields[at], type, mode, owner, type === "d" ? "" : size, ...rest.slice(type === "d" ? 2 : 0)])
        )
      }
      return lines.sort()
    }
  )

/** The extended attributes below a directory. Without `getfattr` nothing, so that the rest is still compared. */
export const attributes = (directory: string) => {
  const found = sh(["getfattr", "-R", "-h", "-d", "-m", "-", "."], { cwd: directory })
  return skipsForbidden ? found : Effect.orElse(found, () => Effect.succeed(""))
}
