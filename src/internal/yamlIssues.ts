/**
 * Decodes a YAML text with a Schema, and says of everything that does not fit where it is, what was expected, and what
 * was found.
 */
import { Either, ParseResult, Predicate, Schema, SchemaAST } from "effect"
import { hint } from "./suggest.ts"
import { type Position, read, type YamlDocument } from "./yamlPositions.ts"

/** One thing that is wrong. `path` is empty where the text is no YAML at all. */
export interface YamlIssue extends Position {
  readonly path: string
  readonly message: string
}

/** The syntax tree under wrappers that do not change the shape. */
const shapeOf = (ast: SchemaAST.AST): SchemaAST.AST =>
  SchemaAST.isRefinement(ast) || SchemaAST.isTransformation(ast) ? shapeOf(ast.from) : ast

/** The keys that the schema knows at the path; nothing where any key may be. */
export const knownKeys = (ast: SchemaAST.AST, path: ReadonlyArray<PropertyKey>): ReadonlyArray<string> => {
  const shape = shapeOf(ast)
  if (!SchemaAST.isTypeLiteral(shape)) return []
  const [head, ...rest] = path
  // what this version does not support is no suggestion
  if (head === undefined) {
    return shape.propertySignatures.filter(({ type }) => !SchemaAST.isNeverKeyword(type)).map(({ name }) =>
      String(name)
    )
  }
  const next = shape.propertySignatures.find(({ name }) => name === head)?.type ?? shape.indexSignatures[0]?.type
  return next === undefined ? [] : knownKeys(next, rest)
}

/** `stacks.notes.command.stop[0]`; a key that is no plain word is quoted. */
export const pathText = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((segment, index) =>
    typeof segment === "number"
      ? `[${segment}]`
      : /^[\w-]+$/.test(String(segment))
      ? `${index === 0 ? "" : "."}${String(segment)}`
      : `[${shorten(JSON.stringify(String(segment)))}]`
  ).join("")

const shorten = (text: string) => text.length > 60 ? `${text.slice(0, 57)}...` : text

const foundText = (value: unknown): string => {
  if (value === undefined || value === null) return "nothing"
  if (typeof value === "string") return shorten(JSON.stringify(value))
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (typeof value === "object") return Object.keys(value).length === 0 ? "an empty map" : "a map"
  return typeof value === "number" ? `the number ${value}` : String(value)
}

const valueAt = (data: unknown, path: ReadonlyArray<PropertyKey>): unknown =>
  path.reduce<unknown>((value, segment) => Predicate.hasProperty(value, segment) ? value[segment] : undefined, data)

const unknownKey = (ast: SchemaAST.AST, parent: ReadonlyArray<PropertyKey>, key: string): string => {
  const known = knownKeys(ast, parent)
  if (key === "<<") return "YAML merge keys ('<<') are not supported; write the keys out"
  return known.length === 0
    ? "this name cannot be used: letters, digits, '.', '_' and '-', at most 63, first a letter or digit"
    : `unknown key${hint(key, known) || `; known here: ${known.join(", ")}`}`
}

const toIssue = (document: YamlDocument, ast: SchemaAST.AST) => (issue: ParseResult.ArrayFormatterIssue): YamlIssue => {
  const parent = issue.path.slice(0, -1)
  const last = String(issue.path.at(-1) ?? "")
  const path = pathText(issue.path)
  switch (issue._tag) {
    case "Unexpected":
      return { ...document.position(issue.path, "key"), path, message: unknownKey(ast, parent, last) }
    case "Missing":
      return { ...document.position(parent, "key"), path, message: "this key is missing" }
    default: {
      const found = valueAt(document.data, issue.path)
      const message = issue.message.startsWith("expected ") && !issue.message.includes("; ")
        ? `${issue.message}, found ${foundText(found)}`
        : issue.message
      return { ...document.position(issue.path, "value"), path, message }
    }
  }
}

const inOrder = (a: YamlIssue, b: YamlIssue) => a.line - b.line || a.column - b.column

/** The decoded text, with its positions, or all issues from the first line on. */
export const decode = <A, I>(schema: Schema.Schema<A, I>, text: string): Either.Either<
  { readonly value: A; readonly document: YamlDocument },
  ReadonlyArray<YamlIssue>
> =>
  read(text).pipe(
    Either.mapLeft((problems) => problems.map((problem): YamlIssue => ({ ...problem, path: "" }))),
    Either.flatMap((document) =>
      Schema.decodeUnknownEither(schema, { errors: "all", onExcessProperty: "error" })(document.data).pipe(
        Either.map((value) => ({ value, document })),
        Either.mapLeft((error) => {
          const issues = ParseResult.ArrayFormatter.formatErrorSync(error).map(toIssue(document, schema.ast))
          // where the format itself is another, every other finding only misleads
          const version = issues.filter((issue) => issue.path === "version" && !issue.message.includes("missing"))
          return version.length > 0 ? version : issues.sort(inOrder)
        })
      )
    )
  )
