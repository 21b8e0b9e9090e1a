import { Effect } from "effect"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import * as Path from "node:path"
import type { AgentJob } from "./agentProcess.ts"
import { sh } from "./loopfs.ts"

/** Bundles the agent's process into the directory; answers with the file. */
export const bundleAgent = (directory: string) =>
  Effect.promise(() =>
    build({
      entryPoints: [Path.join(import.meta.dirname, "agentProcess.ts")],
      outfile: Path.join(directory, "agentProcess.mjs"),
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      banner: { js: "import{createRequire as __r}from\"node:module\";const require=__r(import.meta.url);" },
      logLevel: "error"
    })
  ).pipe(Effect.as(Path.join(directory, "agentProcess.mjs")))

/** Starts it; the close of the scope kills it. */
export const startAgent = (bundle: string, job: AgentJob) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [bundle, JSON.stringify(job)], { stdio: ["ignore", "pipe", "inherit"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Waits until it prints a line that contains the text. */
export const said = (child: ChildProcess, text: string) =>
  Effect.async<void>((resume) => {
    let all = ""
    child.stdout?.on("data", (chunk) => {
      all += String(chunk)
      if (all.includes(text)) resume(Effect.void)
    })
  })

/** Kills it as nothing can be prepared for, and waits for its end. */
export const kill9 = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

/** Runs it as the user nobody, and answers with what it printed. */
export const runAsNobody = (bundle: string, job: AgentJob) =>
  sh([
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    process.execPath,
    bundle,
    JSON.stringify(job)
  ])
