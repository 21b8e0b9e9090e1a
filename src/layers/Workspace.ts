/**
 * What the commands need of the outside: the configuration, and the services that it describes.
 */
import { Context, type Effect, type Scope } from "effect"
import type { AgentClient } from "../services/AgentClient.ts"
import type { DeadMan } from "../services/DeadMan.ts"
import type { LiveStatus } from "../services/LiveStatus.ts"
import type { MarkerStore } from "../services/MarkerStore.ts"
import type { ReportStore } from "../services/ReportStore.ts"
import type { RunLock } from "../services/RunLock.ts"
import type { StackControl } from "../services/StackControl.ts"
import type { WatchStore } from "../services/WatchStore.ts"
import type { ResolvedConfig } from "./ConfigFile.ts"
import type { ConfigFileError } from "./ConfigFileError.ts"

/** All that a command may call. */
export type Services =
  | StackControl
  | AgentClient
  | MarkerStore
  | RunLock
  | DeadMan
  | ReportStore
  | LiveStatus
  | WatchStore

/** Turns the configuration file into services. */
export class Workspace extends Context.Tag("quiesce/layers/Workspace")<Workspace, {
  /** Finds and reads the configuration file; `explicit` is what `--config` says. */
  readonly load: (explicit: string | undefined) => Effect.Effect<ResolvedConfig, ConfigFileError>
  /** The services of a configuration. */
  readonly services: (config: ResolvedConfig) => Effect.Effect<Context.Context<Services>, never, Scope.Scope>
  /**
   * The services that a recovery needs when there is no readable configuration any more: the markers say what to start.
   * Without a directory, the one that the broken file names, or the default one.
   */
  readonly rescue: (options: {
    readonly explicit: string | undefined
    readonly stateDir: string | undefined
  }) => Effect.Effect<
    { readonly stateDir: string; readonly services: Context.Context<Services> },
    never,
    Scope.Scope
  >
}>() {}
