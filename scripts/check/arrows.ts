/**
 * `npm run check:arrows`: who may import whom. The rooms of the house know only what lies below them:
 * `cli, bin -> layers -> services -> domain` and `programs -> services -> domain`.
 */
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import ts from "typescript"

interface Rule {
  /** Path prefixes below src. */
  readonly own: ReadonlyArray<string>
  readonly packages: RegExp
}

const contract = /^effect$/
const machine = /^(effect|@effect\/platform\/\w+|node:[\w/]+|yaml)$/

/** The first prefix that fits a file decides. */
const rules: ReadonlyArray<readonly [string, Rule]> = [
  ["src/domain/", { own: ["domain/"], packages: contract }],
  // what goes over the wire between a controller and an agent: both ends know it, it knows neither
  ["src/protocol/", { own: ["domain/"], packages: /^(effect|@effect\/platform\/\w+)$/ }],
  ["src/services/", { own: ["services/", "domain/"], packages: contract }],
  ["src/programs/", {
    own: ["programs/", "services/", "domain/", "internal/monotonic.ts", "internal/untorn.ts"],
    packages: contract
  }],
  ["src/testing/", { own: ["services/", "domain/"], packages: contract }],
  // the one room that brings a transport of its own: UNIX sockets, certificates that are pinned
  ["src/internal/http/", {
    own: ["internal/"],
    packages: /^(effect|@effect\/platform(-node)?\/\w+|node:[\w/]+)$/
  }],
  ["src/internal/", { own: ["internal/", "protocol/", "services/", "domain/"], packages: machine }],
  ["src/layers/", { own: ["layers/", "internal/", "protocol/", "services/", "domain/"], packages: machine }],
  ["src/cli/", {
    own: ["cli/", "programs/", "layers/", "internal/", "services/", "domain/"],
    packages: /^(effect|@effect\/(platform|cli)\/\w+|node:[\w/]+|yaml)$/
  }],
  ["src/bin.ts", {
    own: ["cli/", "layers/"],
    packages: /^(effect|@effect\/(platform|platform-node)\/\w+|node:[\w/]+)$/
  }],
  ["src/index.ts", { own: ["domain/", "protocol/", "services/", "programs/", "layers/", "testing/"], packages: /^$/ }],
  // as an embedding app sees the package
  ["examples/", {
    own: [],
    packages: /^(quiesce(\/\w+)*|effect|@effect\/(platform|platform-node|vitest)(\/\w+)?|node:[\w/]+)$/
  }]
]

/** Everything that a file imports: statements, re-exports, `import("...")` as a call and as a type. */
const importsOf = (file: string): ReadonlyArray<{ readonly specifier: string; readonly line: number }> => {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true)
  const found: Array<{ specifier: string; line: number }> = []
  const add = (node: ts.Node | undefined) => {
    if (node !== undefined && ts.isStringLiteralLike(node)) {
      found.push({ specifier: node.text, line: source.getLineAndCharacterOfPosition(node.getStart()).line + 1 })
    }
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier)
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0])
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const filesBelow = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => Path.posix.join(directory, name))
    .sort()

const wrong: Array<string> = []
const files = [...filesBelow("src"), ...filesBelow("examples")]
for (const file of files) {
  const rule = rules.find(([prefix]) => file.startsWith(prefix))?.[1]
  if (rule === undefined) {
    wrong.push(`${file}: no rule says what a file here may import`)
    continue
  }
  for (const { line, specifier } of importsOf(file)) {
    const target = specifier.startsWith(".")
      ? Path.posix.relative("src", Path.posix.join(Path.posix.dirname(file), specifier))
      : undefined
    const allowed = target === undefined
      ? rule.packages.test(specifier)
      : rule.own.some((prefix) => target.startsWith(prefix))
    if (!allowed) wrong.push(`${file}:${line}: must not import '${specifier}'`)
  }
}

for (const message of wrong) console.error(message)
console.log(`arrows: ${files.length} files, ${wrong.length} wrong imports`)
process.exit(wrong.length === 0 ? 0 : 1)
