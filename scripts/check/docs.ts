/**
 * `npm run check:docs`: what the documents say is still so. Needs `dist/bin.js`.
 */
import { Either, Schema, SchemaAST } from "effect"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { rule } from "../../src/cli/cli.ts"
import { check, type CommandRule, globals } from "../../src/cli/grammar.ts"
import { AgentFile } from "../../src/domain/AgentConfig.ts"
import { Phase } from "../../src/domain/Backup.ts"
import { QuiesceConfig } from "../../src/domain/Config.ts"
import { ConsistencyLevel, Reason } from "../../src/domain/Consistency.ts"
import { ExitCode, Outcome } from "../../src/domain/Report.ts"
import { SnapshotKind } from "../../src/domain/SourceConfig.ts"
import { label } from "../../src/internal/docker/settings.ts"
import { docstrings } from "./docstrings.ts"
import * as Markdown from "./markdown.ts"

type Finding = string
type Document = Markdown.Markdown

const at = (document: Document, line: number, problem: string): Finding => `${document.path}:${line}: ${problem}`

const links = (document: Document): ReadonlyArray<Finding> =>
  document.links.filter(({ text }) => !/^[a-z]+:/.test(text)).flatMap(({ line, text }) => {
    const [path = "", fragment] = text.split("#")
    const target = path === "" ? document.path : Path.join(Path.dirname(document.path), path)
    if (!existsSync(target)) return [at(document, line, `the link '${text}' leads nowhere`)]
    if (fragment === undefined || !target.endsWith(".md")) return []
    const there = Markdown.read(target).headings.some((heading) => Markdown.anchor(heading) === fragment)
    return there ? [] : [at(document, line, `'${target}' has no heading '#${fragment}'`)]
  })

/** A block that shows a file, or the lines of it between `// #region NAME` and `// #endregion`. */
const shownFiles = (document: Document): ReadonlyArray<Finding> =>
  document.blocks.flatMap(({ file, line, text }) => {
    if (file === undefined) return []
    const [path = "", region] = file.split("#")
    if (!existsSync(path)) return [at(document, line, `there is no file '${path}'`)]
    const source = readFileSync(path, "utf8").trimEnd()
    const shown = region === undefined
      ? source
      : new RegExp(`^// #region ${region}\\n([^]*?)\\n// #endregion$`, "m").exec(source)?.[1]
    return shown === text ? [] : [at(document, line, `the block is not what '${file}' says`)]
  })

/** Every example is shown somewhere. */
const unshownExamples = (documents: ReadonlyArray<Document>): ReadonlyArray<Finding> =>
  readdirSync("examples").map((name) => `examples/${name}`).filter((path) =>
    !documents.some(({ blocks }) => blocks.some(({ file }) => file?.split("#")[0] === path))
  ).map((path) => `${path}: no document shows it`)

/** Every unit and drop-in is told of. */
const untoldUnits = (readme: Document): ReadonlyArray<Finding> =>
  readdirSync("systemd").filter((name) => !readme.text.includes(name))
    .map((name) => `systemd/${name}: README.md does not mention it`)

const exitCodes = (readme: Document): ReadonlyArray<Finding> => {
  const said = readme.rows.flatMap(([code = ""]) => [...code.matchAll(/^`(\d+)`|(?<=, )`(\d+)`/g)]).map(([text]) =>
    Number(text.replaceAll("`", ""))
  )
  // a signal ends in 128 + its number
  const known = [...Object.values(ExitCode), 129, 143]
  return [
    ...known.filter((code) => !said.includes(code)).map((code) => `README.md: its table lacks exit code ${code}`),
    ...said.filter((code) => !known.includes(code)).map((code) => `README.md: there is no exit code ${code}`)
  ]
}

/** All keys that an AST names, as the file has them. */
const keysOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  if (SchemaAST.isTypeLiteral(ast)) {
    return [
      ...ast.propertySignatures.flatMap(({ name, type }) => [String(name), ...keysOf(type)]),
      ...ast.indexSignatures.flatMap(({ type }) => keysOf(type))
    ]
  }
  if (SchemaAST.isRefinement(ast) || SchemaAST.isTransformation(ast)) return keysOf(ast.from)
  if (SchemaAST.isUnion(ast)) return ast.types.flatMap(keysOf)
  return []
}

const configurationKeys = (readme: Document): ReadonlyArray<Finding> => {
  const yaml = readme.blocks.filter(({ language }) => language === "yaml").map(({ text }) => text).join("\n")
  const keys = [
    ...new Set([
      ...keysOf(Schema.encodedBoundSchema(QuiesceConfig).ast),
      ...keysOf(Schema.encodedBoundSchema(AgentFile).ast)
    ])
  ]
  if (keys.length < 40) return [`only ${keys.length} configuration keys were found: the walk is broken`]
  const isSaid = (key: string) =>
    readme.spans.some(({ text }) => text.split(/[^\w]/).includes(key)) || new RegExp(`\\b${key}:`).test(yaml)
  return keys.filter((key) => !isSaid(key)).map((key) => `README.md: the key '${key}' is not mentioned`)
}

/** The words that events and reports may say. */
const vocabulary = (readme: Document): ReadonlyArray<Finding> => {
  const said = new Set(readme.spans.map(({ text }) => text))
  const schemas = [ConsistencyLevel, Outcome, Phase, Reason, SnapshotKind]
  const words = schemas.flatMap(({ literals }): ReadonlyArray<string> => literals)
  return words.filter((word) => !said.has(word))
    .map((word) => `README.md: the word '${word}' of events or reports is not mentioned`)
}

/** Whole configurations pass the real decoder. */
const configurations = (document: Document): ReadonlyArray<Finding> => {
  const directory = mkdtempSync(Path.join(tmpdir(), "quiesce-docs-"))
  try {
    return document.blocks.filter(({ language, text }) => language === "yaml" && /^version: /m.test(text)).flatMap(
      ({ line, text }) => {
        const file = Path.join(directory, "quiesce.yaml")
        writeFileSync(file, text)
        const { status, stderr } = spawnSync(process.execPath, ["dist/bin.js", "config", "check", "--config", file], {
          encoding: "utf8"
        })
        return status === 0 ? [] : [at(document, line, `the configuration is not valid:\n${stderr}`)]
      }
    )
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const optionsOf = (command: CommandRule): ReadonlyArray<string> => [
  ...command.options.flatMap(({ names }) => names),
  ...Object.values(command.subcommands).flatMap(optionsOf)
]

/** Every call of the program that a document shows would be understood. */
const commandLines = (document: Document): ReadonlyArray<Finding> => {
  const shells = new Set(["sh", "console", "ini"])
  const code = [
    ...document.spans,
    ...document.blocks.filter(({ language }) => shells.has(language)).flatMap(({ line, text }) =>
      text.split("\n").map((text, index) => ({ line: line + 1 + index, text }))
    )
  ]
  const options = new Set([...optionsOf(rule), ...globals.flatMap(({ names }) => names)])
  return code.flatMap(({ line, text }) => {
    if (/^--?[a-z]/.test(text)) {
      const [name = ""] = text.split(/[ =]/)
      return options.has(name) ? [] : [at(document, line, `there is no option '${name}'`)]
    }
    // after a prompt, a path, or `ExecStart=`; what other words follow the name would be no command
    const call = /(?:^|[\s=/])quiesce ((?:[a-z]|--)[^#|&;>()]*)/.exec(text)
    if (call === null) return []
    const argv = (call[1] ?? "").trim().split(/\s+/)
    const understood = check("quiesce", rule, argv)
    return Either.isLeft(understood) ? [at(document, line, understood.left.message)] : []
  })
}

const npmScripts = (document: Document): ReadonlyArray<Finding> => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8"))
  return [...document.text.matchAll(/\bnpm (?:run )?([a-z]+(?::[a-z]+)*)/g)].map(([, name = ""]) => name)
    .filter((name) => !["ci", "install", "pack", "view", "run", "package"].includes(name) && !(name in scripts))
    .map((name) => `${document.path}: there is no npm script '${name}'`)
}

/** The labels that a container may have. */
const labels = (readme: Document): ReadonlyArray<Finding> => {
  const said = new Set(readme.spans.map(({ text }) => text))
  return Object.values(label).filter((name) => !said.has(name)).map((name) =>
    `README.md: the label '${name}' is missing`
  )
}

const documents = readdirSync(".").filter((name) => name.endsWith(".md")).map(Markdown.read)
const readme = Markdown.read("README.md")
const findings = [
  ...docstrings(),
  ...documents.flatMap((document) =>
    [links, shownFiles, configurations, commandLines, npmScripts]
      .flatMap((look) => look(document))
  ),
  ...unshownExamples(documents),
  ...untoldUnits(readme),
  ...exitCodes(readme),
  ...configurationKeys(readme),
  ...labels(readme),
  ...vocabulary(readme)
]
for (const finding of findings) console.error(finding)
const blocks = documents.reduce((count, document) => count + document.blocks.length, 0)
console.log(`docs: ${documents.length} documents with ${blocks} code blocks, ${findings.length} wrong`)
process.exit(findings.length === 0 ? 0 : 1)
