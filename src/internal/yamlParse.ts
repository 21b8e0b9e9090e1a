/**
 * YAML text to its document, also where somebody means harm: the parser of `yaml` calls itself for every level, and some
 * thousands of them end the whole process, for V8 cannot even throw there (`RegExpCompiler Allocation failed`).
 */
import { Composer, CST, type Document, type ParsedNode, type ParseOptions, Parser, YAMLParseError } from "yaml"
import type { DocumentOptions, LineCounter, SchemaOptions } from "yaml"

/** Levels. Nobody writes more, and the stack of a process bears more. */
const deepest = 100

/** Where the text is nested too deep, found without recursion. */
const tooDeep = (root: CST.Token): number | undefined => {
  const left: Array<readonly [CST.Token, number]> = [[root, 0]]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const [token, depth] = next
    if (token.type === "document") {
      if (token.value !== undefined) left.push([token.value, depth])
    } else if (CST.isCollection(token)) {
      if (depth >= deepest) return token.offset
      for (const { key, value } of token.items) {
        if (key != null) left.push([key, depth + 1])
        if (value !== undefined) left.push([value, depth + 1])
      }
    }
  }
  return undefined
}

/** Options of the parser, with a counter of lines where positions are asked for. */
export type YamlOptions = ParseOptions & DocumentOptions & SchemaOptions & { readonly lineCounter?: LineCounter }

/** The first document of the text. What is wrong with it is among its errors; nothing is thrown. */
export const parseYaml = (text: string, options: YamlOptions): Document.Parsed<ParsedNode> => {
  const tokens = [...new Parser(options.lineCounter?.addNewLine).parse(text)]
  const deep = tokens.map(tooDeep).find((offset) => offset !== undefined)
  const composer = new Composer<ParsedNode>({ ...options, prettyErrors: false })
  const [document, another] = composer.compose(deep === undefined ? tokens : [], true, text.length)
  if (document === undefined) throw new Error("the parser of yaml always makes a document")
  if (deep !== undefined) {
    document.errors.push(
      new YAMLParseError([deep, deep], "IMPOSSIBLE", `this is nested deeper than ${deepest} levels`)
    )
  }
  if (another !== undefined) {
    document.errors.push(
      new YAMLParseError([another.range[0], another.range[1]], "MULTIPLE_DOCS", "there is more than one document")
    )
  }
  return document as Document.Parsed<ParsedNode>
}
