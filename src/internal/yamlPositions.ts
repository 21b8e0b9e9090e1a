/**
 * YAML text to plain data, with the position of everything in it.
 */
import { Either } from "effect"
import { isAlias, isCollection, isMap, isNode, isScalar, isSeq, LineCounter, type ParsedNode } from "yaml"
import { parseYaml } from "./yamlParse.ts"

/** A place in a text; both count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface YamlProblem extends Position {
  readonly message: string
}

export interface YamlDocument {
  readonly data: unknown
  /**
   * Where the path leads: its `key` or its `value`. Where the path, or a part of it, is not in the text, the nearest
   * parent that is.
   */
  readonly position: (path: ReadonlyArray<PropertyKey>, what: "key" | "value") => Position
}

/** How often one alias may be repeated in all: enough for people, too little for a bomb. */
const maxAliasCount = 100

const problemText: Record<string, string> = {
  DUPLICATE_KEY: "this key is there twice",
  TAB_AS_INDENT: "a tab is no indentation in YAML; use spaces",
  MULTIPLE_DOCS: "there is more than one document; only one is read",
  NON_STRING_KEY: "a key must be a text"
}

export const read = (text: string): Either.Either<YamlDocument, ReadonlyArray<YamlProblem>> => {
  const lines = new LineCounter()
  const at = (offset: number): Position => {
    const { col, line } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const document = parseYaml(text, {
    lineCounter: lines,
    stringKeys: true,
    // "silent" would also hide that there are several documents
    logLevel: "error"
  })
  const problems = [...document.errors, ...document.warnings].map(({ code, message, pos }): YamlProblem => {
    const { column, line } = at(pos[0])
    return { line, column, message: problemText[code] ?? message }
  })
  if (problems.length > 0) return Either.left(problems)

  const position: YamlDocument["position"] = (path, what) => {
    let node: unknown = document.contents
    let best = at(document.contents?.range?.[0] ?? 0)
    for (const [index, segment] of path.entries()) {
      if (isAlias(node)) node = node.resolve(document)
      const last = index === path.length - 1
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment))
        if (pair === undefined) break
        const key = isNode(pair.key) ? (pair.key as ParsedNode).range : undefined
        const value = isNode(pair.value) ? (pair.value as ParsedNode).range : undefined
        // of a block collection the key is what a person looks for
        const wanted = last && what === "value" && !isCollection(pair.value) ? value ?? key : key ?? value
        if (wanted !== undefined && wanted !== null) best = at(wanted[0])
        node = pair.value
      } else if (isSeq(node)) {
        const item: unknown = node.items[Number(segment)]
        if (!isNode(item) || item.range === undefined || item.range === null) break
        best = at(item.range[0])
        node = item
      } else break
    }
    return best
  }
  try {
    return Either.right({ data: document.toJS({ maxAliasCount }), position })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return Either.left([{ ...at(document.contents?.range?.[0] ?? 0), message }])
  }
}
