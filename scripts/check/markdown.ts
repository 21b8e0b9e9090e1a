/**
 * What a checker wants to know of a Markdown file: its fenced blocks, its code spans, its links, its tables.
 */
import { readFileSync } from "node:fs"

export interface Block {
  readonly line: number
  readonly language: string
  readonly text: string
  /** What `<!-- file: PATH -->` on the line before the block names. */
  readonly file: string | undefined
}

export interface Span {
  readonly line: number
  readonly text: string
}

export interface Markdown {
  readonly path: string
  readonly text: string
  readonly blocks: ReadonlyArray<Block>
  /** Inline code, outside of blocks. */
  readonly spans: ReadonlyArray<Span>
  readonly links: ReadonlyArray<Span>
  readonly headings: ReadonlyArray<string>
  /** The cells of each table row, outside of blocks. */
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

/** The anchor of a heading. */
export const anchor = (heading: string): string =>
  heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(/\s/g, "-")

const read1 = (path: string, text: string): Markdown => {
  const lines = text.split("\n")
  const blocks: Array<Block> = []
  const outside: Array<Span> = []
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? ""
    const fence = /^(`{3,})(\S*)\s*$/.exec(line)
    if (fence === null) {
      outside.push({ line: index + 1, text: line })
      continue
    }
    const begin = index
    const end = lines.indexOf(fence[1] ?? "", begin + 1)
    if (end === -1) throw new Error(`${path}:${begin + 1}: the code block has no end`)
    index = end
    blocks.push({
      line: begin + 1,
      language: fence[2] ?? "",
      text: lines.slice(begin + 1, end).join("\n"),
      file: /^<!-- file: (\S+) -->$/.exec(lines[begin - 1] ?? "")?.[1]
    })
  }
  const every = (pattern: RegExp) =>
    outside.flatMap(({ line, text }) => [...text.matchAll(pattern)].map((match) => ({ line, text: match[1] ?? "" })))
  return {
    path,
    text,
    blocks,
    spans: every(/`([^`]+)`/g),
    links: every(/\]\(([^)\s]+)\)/g),
    headings: outside.flatMap(({ text }) => /^#+ (.+)$/.exec(text)?.[1] ?? []),
    rows: outside.filter(({ text }) => text.startsWith("|")).map(({ text }) =>
      text.split("|").slice(1, -1).map((cell) => cell.trim())
    )
  }
}

export const read = (path: string): Markdown => read1(path, readFileSync(path, "utf8"))
