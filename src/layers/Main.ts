/**
 * Where configuration becomes layers.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import { Effect, Layer } from "effect"
import * as NodePath from "node:path"
import * as ConfigFile from "./ConfigFile.ts"
import type { Host } from "./ConfigPlaces.ts"
import * as DeadManShell from "./DeadManShell.ts"
import * as LiveStatusFile from "./LiveStatusFile.ts"
import * as MainAgents from "./MainAgents.ts"
import * as MainStacks from "./MainStacks.ts"
import * as MarkerStoreFile from "./MarkerStoreFile.ts"
import * as ReportStoreFile from "./ReportStoreFile.ts"
import * as RunLockFlock from "./RunLockFlock.ts"
import * as WatchStoreFile from "./WatchStoreFile.ts"
import { Workspace } from "./Workspace.ts"

/** What the binary knows of this process. */
export interface MainOptions extends Host {
  /** What starts this program, as an argv: the dead-man runs it with `recover`. */
  readonly self: readonly [string, ...ReadonlyArray<string>]
}

const state = (stateDir: string, recover: DeadManShell.DeadManShellOptions["command"]) =>
  Layer.mergeAll(
    MarkerStoreFile.layer({ stateDir }),
    ReportStoreFile.layer({ stateDir }),
    LiveStatusFile.layer({ stateDir }),
    RunLockFlock.layer({ stateDir }),
    WatchStoreFile.layer({ stateDir }),
    DeadManShell.layer({ command: recover, logFile: NodePath.join(stateDir, "dead-man.log") })
  )

/** The commands' workspace on this machine: files, processes, the embedded agent. */
export const layer = (options: MainOptions): Layer.Layer<Workspace, never, FileSystem.FileSystem> => {
  const recover = (...words: ReadonlyArray<string>) => [...options.self, "recover", ...words] as const
  const within = (stateDir: string) => NodePath.resolve(options.cwd, stateDir)
  return Layer.effect(
    Workspace,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      load: (explicit) => ConfigFile.load(explicit, options).pipe(Effect.provideService(FileSystem.FileSystem, fs)),
      services: (found) => {
        const config = { ...found, stateDir: within(found.stateDir) }
        const { file, stateDir } = config
        return Layer.build(Layer.mergeAll(
          state(stateDir, recover("--config", file, "--state-dir", stateDir)),
          MainStacks.layer({ stateDir, config }),
          MainAgents.layer(config)
        ))
      },
      rescue: Effect.fnUntraced(function*({ explicit, stateDir: wanted }) {
        const stateDir = within(
          wanted ?? (yield* ConfigFile.salvageStateDir(explicit, options).pipe(
            Effect.provideService(FileSystem.FileSystem, fs)
          ))
        )
        const services = yield* Layer.build(Layer.mergeAll(
          state(stateDir, recover("--state-dir", stateDir)),
          MainStacks.layer({ stateDir, config: undefined }),
          MainAgents.none("the configuration cannot be read")
        ))
        return { stateDir, services }
      })
    }))
  )
}
