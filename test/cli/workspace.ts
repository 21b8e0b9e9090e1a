/**
 * The command line in this process, over services in memory.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { ConfigProvider, Effect, Layer } from "effect"
import * as Output from "../../src/cli/Output.ts"
import { type Services, Workspace } from "../../src/layers/Workspace.ts"
import type { StoredMarker } from "../../src/domain/Marker.ts"
import * as AgentClientMemory from "../../src/layers/AgentClientMemory.ts"
import * as ConfigFile from "../../src/layers/ConfigFile.ts"
import { ConfigNotFound } from "../../src/layers/ConfigFileError.ts"
import * as DeadManMemory from "../../src/layers/DeadManMemory.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MainAgentHost from "../../src/layers/MainAgentHost.ts"
import * as LiveStatusMemory from "../../src/layers/LiveStatusMemory.ts"
import * as MarkerStoreMemory from "../../src/layers/MarkerStoreMemory.ts"
import * as ReportStoreMemory from "../../src/layers/ReportStoreMemory.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import * as WatchStoreMemory from "../../src/layers/WatchStoreMemory.ts"

export const stack = (name: string) => `  ${name}: { command: { stop: [stop], start: [start], status: [status] } }\n`

export const file = (stacks: ReadonlyArray<string>) =>
  `version: 1\nstacks:\n${
    stacks.map(stack).join("")
  }agent: { local: { source: /data, transfer: { archive: { to: /backups } } } }\n`

export interface World {
  /** The text of the configuration file; nothing when there is none. */
  readonly text?: string | undefined
  readonly stacks?: ReadonlyArray<StackControlMemory.MemoryStack> | undefined
  readonly script?: AgentClientMemory.AgentScript | undefined
  readonly markers?: ReadonlyArray<StoredMarker> | undefined
  readonly watch?: WatchStoreMemory.WatchStoreMemoryOptions | undefined
  readonly output?: Parameters<typeof Output.layerMemory>[0]
}

const good: AgentClientMemory.AgentScript = {
  phases: [
    { at: "1 seconds", phase: "running", mode: "snapshot" },
    { at: "2 seconds", phase: "snapshotted", mode: "snapshot" },
    { at: "9 seconds", phase: "done", mode: "snapshot", artifact: "/backups/a.tar.zst" }
  ]
}

/** A fresh world for one test. */
export const layer = (world: World = {}) => {
  const services = Layer.mergeAll(
    AgentClientMemory.layer(world.script ?? good),
    DeadManMemory.layer(),
    MarkerStoreMemory.layer({ initially: world.markers }),
    ReportStoreMemory.layer,
    LiveStatusMemory.layer,
    RunLockMemory.layer,
    WatchStoreMemory.layer(world.watch),
    StackControlMemory.layer(world.stacks ?? [{ stack: "notes" }])
  ).pipe(Layer.provideMerge(Journal.layer))
  const workspace = Layer.effect(
    Workspace,
    Effect.map(Effect.context<Services>(), (context) => ({
      load: () =>
        world.text === undefined
          ? new ConfigNotFound({ places: ["/nowhere"], variable: "QUIESCE_CONFIG" })
          : ConfigFile.parse(world.text, "/etc/quiesce.yaml", { cwd: "/", home: "/root", isRoot: true }).pipe(
            Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
          ),
      services: () => Effect.succeed(context),
      rescue: () => Effect.succeed({ stateDir: "/state", services: context })
    }))
  )
  const host = { cwd: "/", home: "/root", isRoot: true, version: "0.0.0" }
  return Layer.mergeAll(
    Layer.provide(MainAgentHost.layer(host), NodeFileSystem.layer),
    workspace.pipe(Layer.provideMerge(services)),
    Output.layerMemory(world.output),
    NodeFileSystem.layer,
    NodePath.layer,
    NodeTerminal.layer
  )
}
