// @effect-diagnostics strictEffectProvide:off
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Effect, Layer } from "effect"
import { homedir } from "node:os"
import { fileURLToPath } from "node:url"
import { cli } from "./cli/cli.ts"
import * as StderrLogger from "./cli/logger.ts"
import { main } from "./cli/main.ts"
import * as Output from "./cli/Output.ts"
import { Process } from "./cli/Process.ts"
import { version } from "./cli/version.ts"
import * as ClockBoot from "./layers/ClockBoot.ts"
import * as Main from "./layers/Main.ts"
import * as MainAgentHost from "./layers/MainAgentHost.ts"
import * as SupervisorSystemd from "./layers/SupervisorSystemd.ts"

/** The directory may have been removed, the user may have no home: neither is a reason not to recover. */
const orRoot = (find: () => string) => {
  try {
    return find()
  } catch {
    return "/"
  }
}

const host = {
  cwd: orRoot(() => process.cwd()),
  home: orRoot(homedir),
  isRoot: process.geteuid?.() === 0
}

const live = Layer.merge(
  Main.layer({ ...host, self: [process.execPath, fileURLToPath(import.meta.url)] }),
  MainAgentHost.layer({ ...host, version })
).pipe(
  Layer.provideMerge(Layer.mergeAll(
    ClockBoot.layer,
    NodeFileSystem.layer,
    NodePath.layer,
    NodeTerminal.layer,
    Output.layerProcess,
    SupervisorSystemd.layer.pipe(Layer.provide(StderrLogger.layer)),
    StderrLogger.layer
  ))
)

main((self) =>
  cli(process.argv.slice(2)).pipe(
    Effect.provide(live),
    Effect.provideService(Process, self)
  )
)
