/**
 * Every export of the public rooms has a docstring, and every module there is either in the barrel or closed.
 */
import { readdirSync, readFileSync } from "node:fs"
import ts from "typescript"

const rooms = ["domain", "protocol", "services", "programs", "layers"]

const modules = rooms.flatMap((room) =>
  readdirSync(`src/${room}`).filter((name) => name.endsWith(".ts")).map((name) => `src/${room}/${name}`)
)

/** What a statement exports by name, and the statement itself. */
const exported = (statement: ts.Statement): ReadonlyArray<string> => {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) ?? [] : []
  if (!modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return []
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText())
  }
  const named = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
  return named && statement.name !== undefined ? [statement.name.text] : []
}

/** Words outside of tags: a docstring that is only an example says nothing. */
const hasWords = (node: ts.Node) =>
  ts.getJSDocCommentsAndTags(node).some((doc) =>
    ts.isJSDoc(doc) && (ts.getTextOfJSDocComment(doc.comment) ?? "").trim() !== ""
  )

const undocumentedIn = (file: string): ReadonlyArray<string> => {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true)
  // a schema and the type of its name are one thing, and so are overloads: one docstring for the name is enough
  const documented = new Map<string, { readonly line: number; has: boolean }>()
  for (const statement of source.statements) {
    for (const name of exported(statement)) {
      const line = source.getLineAndCharacterOfPosition(statement.getStart()).line + 1
      const before = documented.get(name)
      documented.set(name, { line: before?.line ?? line, has: before?.has === true || hasWords(statement) })
    }
  }
  const missing = [...documented].filter(([, { has }]) => !has).map(([name, { line }]) =>
    `${file}:${line}: '${name}' has no docstring`
  )
  const [first] = source.statements
  const header = first !== undefined && source.text.slice(0, first.getStart()).includes("/**")
  return header ? missing : [`${file}:1: the module has no docstring`, ...missing]
}

/** What `exports` of package.json makes of a module: a closed one belongs to nobody else. */
const isClosed = (file: string, exports: Readonly<Record<string, unknown>>) =>
  exports[`./${file.slice("src/".length, -".ts".length)}`] === null

export const docstrings = (): ReadonlyArray<string> => {
  const packed: { readonly exports: Readonly<Record<string, unknown>> } = JSON.parse(
    readFileSync("package.json", "utf8")
  )
  const barrel = readFileSync("src/index.ts", "utf8")
  const inBarrel = (file: string) => barrel.includes(`"./${file.slice("src/".length)}"`)
  const unplaced = modules.filter((file) => inBarrel(file) === isClosed(file, packed.exports)).map((file) =>
    `${file}: ${
      inBarrel(file)
        ? "in the barrel, but closed in package.json"
        : "neither in src/index.ts nor closed in package.json"
    }`
  )
  const gone = Object.entries(packed.exports).filter(([path, target]) =>
    target === null && !path.includes("*") && ts.sys.readFile(`src/${path.slice(2)}.ts`) === undefined
  ).map(([path]) => `package.json: 'exports' closes ${path}, which does not exist`)
  return [...["src/index.ts", ...modules].flatMap(undocumentedIn), ...unplaced, ...gone]
}
