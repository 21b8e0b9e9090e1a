// Builds dist: the library by tsc, file by file, and the binary as one file by esbuild, because it must start fast when
// it has to bring an app back. `--bin-only` builds just the binary.
import { execFileSync } from "node:child_process"
import { chmodSync, readFileSync, rmSync } from "node:fs"
import { build } from "esbuild"

const binOnly = process.argv.includes("--bin-only")
const { version } = JSON.parse(readFileSync("package.json", "utf8"))

if (!binOnly) {
  rmSync("dist", { recursive: true, force: true })
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], { stdio: "inherit" })
}

await build({
  entryPoints: ["src/bin.ts"],
  outfile: "dist/bin.js",
  bundle: true,
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: true,
  platform: "node",
  target: "node20",
  format: "esm",
  define: { QUIESCE_VERSION: JSON.stringify(version) },
  banner: {
    js:
      "#!/usr/bin/env node\nimport{createRequire as __createRequire}from\"node:module\";const require=__createRequire(import.meta.url);"
  },
  logLevel: "warning"
})
chmodSync("dist/bin.js", 0o755)
