/**
 * Where configuration becomes layers.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import { Duration, Effect, Layer } from "effect"
import * as NodePath from "node:path"
import { AgentClient, AgentUnavailable } from "../services/AgentClient.ts"
import * as AgentClientLocal from "./AgentClientLocal.ts"
import * as ConfigFile from "./ConfigFile.ts"
import type { Host } from "./ConfigPlaces.ts"
import * as DeadManShell from "./DeadManShell.ts"
import * as LiveStatusFile from "./LiveStatusFile.ts"
import * as MainStacks from "./MainStacks.ts"
import * as MarkerStoreFile from "./MarkerStoreFile.ts"
import * as ReportStoreFile from "./ReportStoreFile.ts"
import * as RunLockFlock from "./RunLockFlock.ts"
import * as SnapshotterAuto from "./SnapshotterAuto.ts"
import * as SnapshotterBtrfs from "./SnapshotterBtrfs.ts"
import * as SnapshotterCopy from "./SnapshotterCopy.ts"
import * as SnapshotterNone from "./SnapshotterNone.ts"
import * as SnapshotterReflink from "./SnapshotterReflink.ts"
import * as TransferArchive from "./TransferArchive.ts"
import * as TransferCommand from "./TransferCommand.ts"
import { Workspace } from "./Workspace.ts"

/** What the binary knows of this process. */
export interface MainOptions extends Host {
  /** What starts this program, as an argv: the dead-man runs it with `recover`. */
  readonly self: readonly [string, ...ReadonlyArray<string>]
}

const snapshotters = {
  auto: SnapshotterAuto.layer,
  btrfs: SnapshotterBtrfs.layer,
  reflink: SnapshotterReflink.layer,
  copy: SnapshotterCopy.layer,
  none: SnapshotterNone.layer
}

/** What the archives' names begin with: the name of the source, in the letters that a file name should have. */
const archiveName = (source: string) => {
  const name = NodePath.basename(source).replaceAll(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(
    0,
    100
  )
  return name === "" ? "data" : name
}

const agent = ({ agent, policy, stateDir }: ConfigFile.ResolvedConfig) => {
  const { source, snapshot, transfer } = agent
  return AgentClientLocal.layer({
    source,
    stateDir,
    // it holds its slot for as long as the prepares may take
    readyTimeout: Duration.sum(policy.prepareTimeout, "10 minutes")
  }).pipe(
    Layer.provide(snapshotters[snapshot]({ source, stateDir })),
    Layer.provide(
      transfer._tag === "Archive"
        ? TransferArchive.layer({ to: transfer.to, name: archiveName(source), stateDir, source })
        : TransferCommand.layer({ command: transfer.argv, cwd: transfer.cwd, stateDir })
    )
  )
}

/** No agent is known: there is nothing to sweep, and nothing else is asked for. */
const noAgent = () => {
  const unavailable = new AgentUnavailable({ reason: "the configuration cannot be read" })
  return Layer.succeed(AgentClient, {
    preflight: unavailable,
    request: () => unavailable,
    prepare: () => unavailable,
    quiesced: () => unavailable,
    status: () => unavailable,
    cancel: () => unavailable,
    asked: unavailable,
    sweep: Effect.succeed([])
  })
}

const state = (stateDir: string, recover: DeadManShell.DeadManShellOptions["command"]) =>
  Layer.mergeAll(
    MarkerStoreFile.layer({ stateDir }),
    ReportStoreFile.layer({ stateDir }),
    LiveStatusFile.layer({ stateDir }),
    RunLockFlock.layer({ stateDir }),
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
          agent(config)
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
          noAgent()
        ))
        return { stateDir, services }
      })
    }))
  )
}
