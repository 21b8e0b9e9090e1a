/**
 * Words on the terminal: plain lines, bold and colour only where somebody watches.
 */
const colour = process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "" &&
  process.env["TERM"] !== "dumb"

const paint = (code: number) => (text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text

export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)

export const say = (line = ""): void => console.log(line)

export const seconds = (millis: number): string => `${(millis / 1000).toFixed(millis < 9950 ? 2 : 1)} s`

/** Rows with aligned columns: the first to the left, the others to the right. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join(
      "   "
    )
  ).join("\n")
}

/** What is promised, whether it was seen to hold, and what was seen. */
export interface Checked {
  readonly promise: string
  readonly held: boolean
}

export const checklist = () => {
  const all: Array<Checked> = []
  return {
    all: all as ReadonlyArray<Checked>,
    /** Prints and keeps one observation. */
    check: (promise: string, held: boolean, seen: string): boolean => {
      all.push({ promise, held })
      say(`   ${held ? green("ok  ") : red("FAIL")} ${promise}${seen === "" ? "" : dim(`: ${seen}`)}`)
      return held
    }
  }
}
