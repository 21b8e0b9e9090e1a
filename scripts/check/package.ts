/**
 * `npm run check:package`: the package as its users get it. It is packed, laid out in a new project beside the installed
 * dependencies, and the examples are type-checked and run there. Needs `npm run build`.
 */
import { build } from "esbuild"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"

const project = mkdtempSync(Path.join(tmpdir(), "quiesce-package-"))
const modules = Path.join(project, "node_modules")
const packaged = Path.join(modules, "quiesce")

const must = (what: string, held: boolean, seen: string) => {
  if (!held) throw new Error(`the package: ${what}; ${seen}`)
}

const node = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, args, {
    cwd: project,
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, DIRECTORY: Path.join(project, "notes") }
  })
  return { status, stdout, seen: `exit code ${status}: ${stdout}${stderr}` }
}

const layOut = () => {
  const packed = execFileSync("npm", ["pack", "--silent", "--pack-destination", project], { encoding: "utf8" }).trim()
  mkdirSync(packaged, { recursive: true })
  execFileSync("tar", ["-xf", Path.join(project, packed), "--strip-components=1", "-C", packaged])
  for (const name of readdirSync("node_modules").filter((name) => !name.startsWith("."))) {
    symlinkSync(Path.resolve("node_modules", name), Path.join(modules, name))
  }
  cpSync("examples", Path.join(project, "examples"), { recursive: true })
  const { compilerOptions } = JSON.parse(readFileSync("tsconfig.json", "utf8"))
  const { paths, plugins, ...strict } = compilerOptions
  must(
    "tsconfig.json has the paths and plugins that are left out here",
    paths !== undefined && plugins !== undefined,
    ""
  )
  writeFileSync(Path.join(project, "package.json"), JSON.stringify({ type: "module" }))
  writeFileSync(
    Path.join(project, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { ...strict, skipLibCheck: false }, include: ["examples"] })
  )
}

const checkFiles = () => {
  const files = readdirSync(packaged, { recursive: true, encoding: "utf8" })
  for (const name of ["dist/bin.js", "dist/index.js", "dist/index.d.ts", "README.md", "CHANGELOG.md", "LICENSE"]) {
    must("it holds what it should", files.includes(name), `${name} is missing`)
  }
  must("it holds nothing else", !files.some((name) => /^(test|demo|bench|examples|scripts)\b/.test(name)), files.join())
}

const checkImports = () => {
  const quiet = node("-e", "import('quiesce').then((all) => console.log(Object.keys(all).length))")
  must("importing it does nothing", quiet.status === 0 && /^\d+\n$/.test(quiet.stdout), quiet.seen)
  const open = node("-e", "import('quiesce/services/StackControl').then((all) => console.log(Object.keys(all).join()))")
  must("each public module is a path", open.stdout.includes("StackNotFound"), open.seen)
  for (const path of ["bin", "cli/cli", "internal/untorn", "layers/Main", "programs/hold"]) {
    const closed = node("-e", `import('quiesce/${path}')`)
    must(`${path} is closed`, closed.seen.includes("ERR_PACKAGE_PATH_NOT_EXPORTED"), closed.seen)
  }
}

const checkExamples = async () => {
  const types = node(Path.join(modules, "typescript/bin/tsc"), "-p", project)
  must("the examples fit its types", types.status === 0, types.seen)
  const outfile = Path.join(project, "embed.mjs")
  await build({
    entryPoints: [Path.join(project, "examples/embed.ts")],
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    logLevel: "warning"
  })
  const embedded = node(outfile)
  must("the example runs", embedded.stdout.includes("application consistent"), embedded.seen)
}

const checkBinary = () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"))
  const shown = execFileSync(Path.join(packaged, "dist/bin.js"), ["--version"], { encoding: "utf8" }).trim()
  must("its binary says its version", shown === version, shown)
}

try {
  layOut()
  checkFiles()
  checkImports()
  await checkExamples()
  checkBinary()
  console.log("package: packed, imported, type-checked and run as a user would")
} finally {
  rmSync(project, { recursive: true, force: true })
}
