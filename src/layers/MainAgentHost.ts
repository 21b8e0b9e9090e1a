/**
 * Where the configuration of an agent becomes an agent.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import { Context, Effect, Layer } from "effect"
import { TokenStore } from "../services/TokenStore.ts"
import * as AgentConfigFile from "./AgentConfigFile.ts"
import type { AgentHostOptions } from "./AgentHost.ts"
import { AgentWorkspace } from "./AgentWorkspace.ts"
import type { Host } from "./ConfigPlaces.ts"

/** The agent's commands on this machine. */
export const layer = (
  options: Host & AgentHostOptions
): Layer.Layer<AgentWorkspace, never, FileSystem.FileSystem> =>
  Layer.effect(
    AgentWorkspace,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      load: (explicit) =>
        AgentConfigFile.load(explicit, options).pipe(Effect.provideService(FileSystem.FileSystem, fs)),
      // what serves would make every start of the program slower
      tokens: ({ stateDir }) =>
        Effect.promise(() => import("./TokenStoreFile.ts")).pipe(
          Effect.flatMap((module) => Layer.build(module.layer({ stateDir }))),
          Effect.map(Context.get(TokenStore))
        ),
      serve: (config) =>
        Effect.flatMap(Effect.promise(() => import("./AgentHost.ts")), ({ serve }) => serve(config, options)),
      serveEngine: (config) =>
        Effect.flatMap(Effect.promise(() => import("./AgentEngine.ts")), ({ serve }) => serve(config, options))
    }))
  )
