/**
 * Wrong programs that the power loss must find out: the real source with an edit, or the real program without its fsync.
 */
import * as Path from "node:path"
import { copy } from "../mutants/edits.ts"
import type { Edit } from "../mutants/mutants.ts"
import { library } from "../support/live.ts"
import type { What } from "./fixtures/written.ts"

export interface Mutant {
  readonly name: string
  /** Where it is looked for. */
  readonly what: What
  /** The end of its life at which it is looked for first. Default: the middle. */
  readonly from?: "end"
  readonly edit?: Edit
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
    edit: {
      file: "internal/agent/jobs.ts",
      from: "    yield* refused(Effect.tapError(Job.save(job, store), () => Effect.ignoreLogged(store.remove(job))))\n",
      to: ""
    }
  }
]

/** The source with the edit: its directory. */
export const sourceOf = ({ edit, name }: Mutant): string =>
  edit === undefined ? Path.resolve("src") : copy({ name, edits: [edit] }, "crash")
