/**
 * The backup scripts that people write by hand, for comparison.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { Postgres } from "../../test/lab/postgres.ts"
import { attempt, execute } from "../../test/lab/postgresInstall.ts"

const quote = (word: string) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/** An argv as a shell reads it. */
export const shell = (argv: ReadonlyArray<string>): string => argv.map(quote).join(" ")

/** The archive of a directory as quiesce makes it: tar, zstd with all cores, synced. */
const archive = (directory: string, to: string): ReadonlyArray<string> => [
  shell(["tar", "-C", Path.dirname(directory), "-I", "zstd -T0", "-cf", to, Path.basename(directory)]),
  shell(["sync", to])
]

/** stop; archive; start. */
export const stopForTheWholeBackup = (
  server: { readonly data: string; readonly argv: Pick<Postgres["argv"], "start" | "stop"> },
  to: string
): ReadonlyArray<string> => [
  shell(server.argv.stop),
  ...archive(server.data, to),
  shell(server.argv.start)
]

/** stop; snapshot; start; archive. */
export const stopForTheSnapshot = (
  server: Postgres,
  to: string,
  snapshot: { readonly path: string; readonly take: ReadonlyArray<string>; readonly remove: ReadonlyArray<string> }
): ReadonlyArray<string> => [
  shell(server.argv.stop),
  shell(snapshot.take),
  shell(server.argv.start),
  ...archive(snapshot.path, to),
  shell(snapshot.remove)
]

/** Writes the script and runs it to its end. */
export const runScript = Effect.fn("Scripts.run")(function*(path: string, lines: ReadonlyArray<string>) {
  yield* attempt(path, () => Fs.writeFile(path, ["#!/bin/sh", "set -eu", ...lines, ""].join("\n"), { mode: 0o755 }))
  yield* execute([path], { cwd: "/", timeout: "300 seconds" })
})
