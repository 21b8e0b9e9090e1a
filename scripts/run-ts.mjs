// Runs a TypeScript program of this repository: `node scripts/run-ts.mjs [--bin] FILE [ARGUMENTS]`. It is bundled to
// .build with its own modules only, and runs in this process. With `--bin`, dist/bin.js is built first.
import { execFileSync } from "node:child_process"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const root = Path.dirname(Path.dirname(fileURLToPath(import.meta.url)))
const [first, ...rest] = process.argv.slice(2)
const [file, ...args] = first === "--bin" ? rest : [first, ...rest]
if (file === undefined) {
  console.error("usage: node scripts/run-ts.mjs [--bin] FILE [ARGUMENTS]")
  process.exit(2)
}
process.chdir(root)

const { build } = await import("esbuild").catch(() => {
  console.error("esbuild is not installed; run 'npm ci' first")
  process.exit(2)
})
if (first === "--bin") {
  execFileSync(process.execPath, ["scripts/build.mjs", "--bin-only"], { stdio: "inherit" })
}
const outfile = Path.join(root, ".build", `${Path.basename(file, ".ts")}.mjs`)
await build({
  entryPoints: [file],
  outfile,
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: "inline",
  logLevel: "warning"
})
process.argv = [process.execPath, outfile, ...args]
await import(pathToFileURL(outfile).href)
