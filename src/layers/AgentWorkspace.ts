/**
 * What the commands of an agent need of the outside: its configuration, its tokens, and the agent itself.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { TokenStore } from "../services/TokenStore.ts"
import type { ResolvedAgentFile } from "./AgentConfigFile.ts"
import type { ConfigFileError } from "./ConfigFileError.ts"

/** The agent cannot serve. */
export class AgentFailed extends Schema.TaggedError<AgentFailed>()("AgentFailed", {
  reason: Schema.String,
  /** Another agent uses the same state directory. */
  busy: Schema.Boolean
}) {
  override get message(): string {
    return this.reason
  }
}

/** An agent that serves its guests. */
export interface Serving {
  readonly urls: ReadonlyArray<string>
  /** What the guests know it by, where it is on the network. */
  readonly fingerprint: string | undefined
  /** Guests of whom no token is good: they cannot ask for anything over the network. */
  readonly withoutToken: ReadonlyArray<string>
}

/** Turns the configuration file of an agent into an agent. */
export class AgentWorkspace extends Context.Tag("quiesce/layers/AgentWorkspace")<AgentWorkspace, {
  /** Finds and reads the configuration file; `explicit` is what `--config` says. */
  readonly load: (explicit: string | undefined) => Effect.Effect<ResolvedAgentFile, ConfigFileError>
  readonly tokens: (config: ResolvedAgentFile) => Effect.Effect<TokenStore["Type"], never, Scope.Scope>
  /** Serves until the scope closes. */
  readonly serve: (config: ResolvedAgentFile) => Effect.Effect<Serving, AgentFailed, Scope.Scope>
  /** The side of a divided agent that has root. Serves until the scope closes. */
  readonly serveEngine: (
    config: ResolvedAgentFile
  ) => Effect.Effect<{ readonly socket: string }, AgentFailed, Scope.Scope>
}>() {}
