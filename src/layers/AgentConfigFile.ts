/**
 * Reads and resolves the configuration file of an agent.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import { Duration, Effect, Either } from "effect"
import * as NodePath from "node:path"
import { AgentFile } from "../domain/AgentConfig.ts"
import type { VzdumpConfig } from "../domain/VzdumpConfig.ts"
import { decode } from "../internal/yamlIssues.ts"
import { type ResolvedSource, resolveSource } from "./ConfigAgents.ts"
import { type ConfigFileError, ConfigInvalid } from "./ConfigFileError.ts"
import { agentEngineFile, agentFile, defaultStateDir, find, type Host } from "./ConfigPlaces.ts"

/** What takes the backups of a guest. */
export type ResolvedEngine =
  | { readonly _tag: "Vzdump"; readonly vzdump: VzdumpConfig }
  | ({ readonly _tag: "Source" } & ResolvedSource)

/** A guest by its name. */
export interface ResolvedGuest {
  readonly name: string
  readonly engine: ResolvedEngine
}

/** The TCP port of an agent. */
export interface ResolvedListen {
  readonly host: string
  readonly port: number
  /** PEM files. Without them the agent makes its own. */
  readonly certificate: { readonly certificate: string; readonly key: string } | undefined
}

/** The division of an agent into two processes. */
export interface ResolvedDivision {
  readonly socket: string
  /** A name or a number. */
  readonly group: string | undefined
  /** Of the side that has root. */
  readonly stateDir: string
}

/** The configuration with every default and path filled in; all paths are absolute. */
export interface ResolvedAgentFile {
  readonly file: string
  readonly stateDir: string
  readonly listen: ResolvedListen | undefined
  readonly sockets: string | undefined
  readonly division: ResolvedDivision | undefined
  readonly jobs: number
  readonly readyTimeout: Duration.Duration
  readonly requestsPerMinute: number | undefined
  readonly connections: number | undefined
  readonly guests: ReadonlyArray<ResolvedGuest>
}

/** Decodes the text of a file and resolves what it means. */
export const parse = Effect.fn("AgentConfigFile.parse")(function*(text: string, file: string, host: Host) {
  const decoded = decode(AgentFile, text)
  if (Either.isLeft(decoded)) return yield* new ConfigInvalid({ file, issues: decoded.left })
  const { document, value: config } = decoded.right
  const absolute = (path: string) => NodePath.resolve(NodePath.dirname(file), path)
  const { certificate, key } = config.listen ?? {}
  const guests = yield* Effect.forEach(
    Object.entries(config.guests),
    ([name, { local, vzdump }]) =>
      Effect.gen(function*(): Effect.fn.Return<ResolvedGuest, ConfigInvalid> {
        if (vzdump !== undefined) return { name, engine: { _tag: "Vzdump", vzdump } }
        if (local === undefined) return yield* Effect.dieMessage("the schema lets no other engine pass")
        const source = yield* resolveSource(local, { file, document, path: ["guests", name, "local"] })
        return { name, engine: { _tag: "Source", ...source } }
      })
  )
  const { engineGroup, engineSocket, engineStateDir } = config
  // two users of the system, whose homes say nothing: the same places whoever calls
  const places = engineSocket === undefined ? host : { ...host, isRoot: true }
  const resolved: ResolvedAgentFile = {
    file,
    stateDir: config.stateDir === undefined ? yield* defaultStateDir(agentFile, places) : absolute(config.stateDir),
    division: engineSocket === undefined ? undefined : {
      socket: absolute(engineSocket),
      group: engineGroup === undefined ? undefined : `${engineGroup}`,
      stateDir: engineStateDir === undefined
        ? yield* defaultStateDir(agentEngineFile, places)
        : absolute(engineStateDir)
    },
    // an agent that only has sockets is not on the network
    listen: config.listen === undefined && config.sockets !== undefined ? undefined : {
      host: config.listen?.host ?? "0.0.0.0",
      port: config.listen?.port ?? 8443,
      certificate: certificate === undefined || key === undefined
        ? undefined
        : { certificate: absolute(certificate), key: absolute(key) }
    },
    sockets: config.sockets === undefined ? undefined : absolute(config.sockets),
    jobs: config.jobs ?? 1,
    readyTimeout: config.readyTimeout ?? Duration.minutes(10),
    requestsPerMinute: config.requestsPerMinute,
    connections: config.connections,
    guests
  }
  return resolved
})

/** Finds the file, reads it and resolves it. `explicit` is what `--config` says. */
export const load: (
  explicit: string | undefined,
  host: Host
) => Effect.Effect<ResolvedAgentFile, ConfigFileError, FileSystem.FileSystem> = Effect.fn("AgentConfigFile.load")(
  function*(explicit: string | undefined, host: Host) {
    const { file, text } = yield* find(agentFile, explicit, host)
    return yield* parse(text, file, host)
  }
)
