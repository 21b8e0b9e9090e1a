/**
 * The agent of a host that is not as Proxmox VE has it. Bundled.
 *
 * argv: one JSON object. Prints what it serves as one line of JSON, and serves until it is ended.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Logger } from "effect"
import type { VzdumpHost } from "../../src/internal/vzdump/host.ts"
import * as AgentConfigFile from "../../src/layers/AgentConfigFile.ts"
import * as AgentEngine from "../../src/layers/AgentEngine.ts"
import * as AgentHost from "../../src/layers/AgentHost.ts"

export interface AgentHostTask {
  readonly config: string
  readonly host: VzdumpHost
  /** Of a divided agent. Default: the front, or all of it. */
  readonly side?: "engine"
}

const main = ({ config, host, side }: AgentHostTask) =>
  Effect.scoped(Effect.gen(function*() {
    const found = yield* AgentConfigFile.load(config, { cwd: "/", home: "/nonexistent", isRoot: true })
    const options = { version: "test", vzdumpHost: host }
    const serving = side === "engine"
      ? yield* AgentEngine.serve(found, options)
      : yield* AgentHost.serve(found, options)
    yield* Effect.sync(() => process.stdout.write(`${JSON.stringify(serving)}\n`))
    return yield* Effect.never
  }))

const stderr = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.stringLogger))

if (process.argv[1]?.endsWith("agentHostProcess.mjs") === true) {
  NodeRuntime.runMain(
    Effect.provide(main(JSON.parse(process.argv[2] ?? "{}")), Layer.merge(NodeFileSystem.layer, stderr)),
    { disablePrettyLogger: true }
  )
}
