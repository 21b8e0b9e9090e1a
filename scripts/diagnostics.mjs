// Runs the diagnostics of the Effect language service on a tsconfig, with the severities that this tsconfig gives: the
// tool itself reads those of the nearest tsconfig.json only.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

for (const project of process.argv.slice(2)) {
  const { compilerOptions } = JSON.parse(readFileSync(project, "utf8"))
  const [plugin] = compilerOptions.plugins
  const { status } = spawnSync(
    "node_modules/.bin/effect-language-service",
    ["diagnostics", "--project", project, "--strict", "--lspconfig", JSON.stringify(plugin)],
    { stdio: "inherit" }
  )
  if (status !== 0) process.exit(status ?? 1)
}
