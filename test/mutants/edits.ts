/**
 * How a wrong program is made of the right one.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Edit, Mutant } from "./mutants.ts"

/** The text of a file with its edits. Each must fit exactly once: one that fits nowhere makes no wrong program. */
export const edited = (text: string, edits: ReadonlyArray<Edit>, name: string): string =>
  edits.reduce((before, { file, from, to }) => {
    if (before.split(from).length !== 2) {
      throw new Error(`the edit of '${name}' must fit ${file} exactly once: ${from}`)
    }
    return before.replace(from, () => to)
  }, text)

/** A copy of the source with the edits, in a directory of its own below `room`, which is below .build. */
export const copy = ({ edits, name }: Pick<Mutant, "edits" | "name">, room: string): string => {
  const root = Path.resolve(".build", room, name.replaceAll(/\W+/g, "-"))
  Fs.rmSync(root, { recursive: true, force: true })
  Fs.cpSync("src", root, { recursive: true })
  for (const file of new Set(edits.map(({ file }) => file))) {
    const path = Path.join(root, file)
    const own = edits.filter((edit) => edit.file === file)
    Fs.writeFileSync(path, edited(Fs.readFileSync(path, "utf8"), own, name))
  }
  return root
}
