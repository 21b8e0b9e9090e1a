/**
 * Wrong programs that the power loss must find out: the real source with an edit, or the real program without its fsync.
 */
import { assert } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { library } from "../support/live.ts"
import type { What } from "./fixtures/written.ts"

export interface Mutant {
  readonly name: string
  /** Where it is looked for. */
  readonly what: What
  /** The end of its life at which it is looked for first. Default: the middle. */
  readonly from?: "end"
  readonly edit?: { readonly file: string; readonly from: string; readonly to: string }
  readonly env?: Readonly<Record<string, string>>
}

const durable = "internal/durable.ts"
const noFileSync = {
  file: durable,
  from: "file.writeFile(content).then(() => file.sync())",
  to: "file.writeFile(content)"
}
const noDirectorySync = {
  file: durable,
  from: "(handle) => step(directory, () => handle.sync()),",
  to: "() => Effect.void,"
}

export const mutants: ReadonlyArray<Mutant> = [
  // nothing is edited: its fsync returns at once, and has done nothing
  { name: "under libeatmydata", what: "marker", env: { LD_PRELOAD: library("libeatmydata.so") ?? "" } },
  { name: "no fsync of the file", what: "marker", edit: noFileSync },
  { name: "no fsync of the directory", what: "marker", from: "end", edit: noDirectorySync },
  {
    name: "no fsync of the note that a unit is up",
    what: "marker",
    from: "end",
    edit: {
      file: "layers/MarkerStoreFile.ts",
      from: "note.state === \"running\" ? file.sync() : undefined",
      to: "undefined"
    }
  },
  { name: "no fsync of the file, in the agent", what: "journal", edit: noFileSync },
  { name: "no fsync of the directory, in the agent", what: "journal", edit: noDirectorySync },
  {
    name: "the agent tells an order before it is written down",
    what: "journal",
    edit: { file: "internal/agent/jobs.ts", from: "    yield* refused(Job.save(job, store))\n", to: "" }
  }
]

/** A copy of the source with the edit: its directory. */
export const sourceOf = ({ edit, name }: Mutant): string => {
  const src = Path.resolve("src")
  if (edit === undefined) return src
  const root = Path.resolve(".build/crash", name.replaceAll(/\W+/g, "-"))
  Fs.rmSync(root, { recursive: true, force: true })
  Fs.cpSync(src, root, { recursive: true })
  const path = Path.join(root, edit.file)
  const text = Fs.readFileSync(path, "utf8")
  assert.strictEqual(text.split(edit.from).length, 2, `the edit of '${name}' must fit ${edit.file} exactly once`)
  Fs.writeFileSync(path, text.replace(edit.from, () => edit.to))
  return root
}
