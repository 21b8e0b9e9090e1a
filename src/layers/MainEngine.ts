/**
 * What takes the backups of a guest of an agent, as its configuration says it.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import * as Path from "node:path"
import * as SnapshotEngine from "../internal/agent/snapshotEngine.ts"
import * as StateDir from "../internal/stateDir.ts"
import type { VzdumpHost } from "../internal/vzdump/host.ts"
import type { Engine } from "../services/Engine.ts"
import { Snapshotter } from "../services/Snapshotter.ts"
import { Transfer } from "../services/Transfer.ts"
import type { ResolvedGuest } from "./AgentConfigFile.ts"
import * as EngineVzdump from "./EngineVzdump.ts"
import * as MainSource from "./MainSource.ts"

/** Everything under the state directory that belongs to one guest alone. */
export const ofGuest = (stateDir: string, name: string): string => Path.join(stateDir, "guests", name)

/** Where the engine of a guest keeps its things. */
export interface EnginePlaces {
  /** Of a vzdump. */
  readonly runs: string
  /** Of a snapshot and its transfer. */
  readonly own: string
  /** Where the host has its things, when it is not as Proxmox VE has them. */
  readonly vzdumpHost?: Partial<VzdumpHost> | undefined
}

/** The engine of the guest. */
export const make = Effect.fnUntraced(function*(
  { engine }: ResolvedGuest,
  { own, runs, vzdumpHost }: EnginePlaces
): Effect.fn.Return<Engine, StateDir.StateDirError, Scope.Scope> {
  if (engine._tag === "Vzdump") {
    return yield* EngineVzdump.make({ ...engine.vzdump, stateDir: runs, host: vzdumpHost })
  }
  yield* Effect.forEach([Path.dirname(own), own], StateDir.ensure, { discard: true })
  const services = yield* Layer.build(MainSource.layer(engine, own))
  return yield* SnapshotEngine.make({
    source: engine.source,
    stateDir: own,
    transferDelay: "500 millis",
    snapshotter: Context.get(services, Snapshotter),
    transfer: Context.get(services, Transfer)
  })
})
