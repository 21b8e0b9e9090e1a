/**
 * Reads and resolves the configuration file.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import { Effect, Either, Option, Predicate } from "effect"
import * as NodePath from "node:path"
import { QuiesceConfig } from "../domain/Config.ts"
import { defaults, type RunPolicy, stackDefaults } from "../domain/Policy.ts"
import { StackName } from "../domain/Stack.ts"
import { decode } from "../internal/yamlIssues.ts"
import { read } from "../internal/yamlPositions.ts"
import { resolve, type ResolvedAgent } from "./ConfigAgents.ts"
import { type ConfigFileError, ConfigInvalid } from "./ConfigFileError.ts"
import { controllerFile, defaultStateDir, find, type Host } from "./ConfigPlaces.ts"
import * as ConfigStacks from "./ConfigStacks.ts"
import * as ConfigWatch from "./ConfigWatch.ts"

/** The configuration with every default and path filled in; all paths are absolute. */
export interface ResolvedConfig {
  readonly file: string
  readonly stateDir: string
  readonly policy: RunPolicy
  readonly stacks: ReadonlyArray<ConfigStacks.ResolvedStack>
  /** The address of the Docker engine, where the file names one. */
  readonly dockerHost: string | undefined
  readonly agent: ResolvedAgent
  readonly watch: ConfigWatch.ResolvedWatch
  /** Whether the file says something of the daemon. */
  readonly watched: boolean
}

/** Decodes the text of a file and resolves what it means. */
export const parse = Effect.fn("ConfigFile.parse")(function*(text: string, file: string, host: Host) {
  const decoded = decode(QuiesceConfig, text)
  if (Either.isLeft(decoded)) return yield* new ConfigInvalid({ file, issues: decoded.left })
  const { document, value: config } = decoded.right
  const cwd = NodePath.dirname(file)
  const absolute = (path: string) => NodePath.resolve(cwd, path)

  const stacks = Object.entries(config.stacks).map(([name, stack]) => ({ name: StackName.make(name), stack }))
  const resolved: ResolvedConfig = {
    file,
    stateDir: config.stateDir === undefined ? yield* defaultStateDir(controllerFile, host) : absolute(config.stateDir),
    policy: {
      ...defaults,
      ...config.limits,
      stacks: stacks.map(({ name, stack }) => ({
        stack: name,
        maxDowntime: stack.maxDowntime ?? config.maxDowntime ?? stackDefaults.maxDowntime,
        maxDowntimeWithoutSnapshot: stack.maxDowntimeWithoutSnapshot ?? config.maxDowntimeWithoutSnapshot ??
          stackDefaults.maxDowntimeWithoutSnapshot
      }))
    },
    stacks: stacks.flatMap(({ name, stack }) => ConfigStacks.resolve(name, stack, cwd)),
    dockerHost: config.docker?.host,
    agent: yield* resolve(config.agent, { file, document }),
    watch: ConfigWatch.resolve(config.watch),
    watched: config.watch !== undefined
  }
  return resolved
})

/** Finds the file, reads it and resolves it. `explicit` is what `--config` says. */
export const load: (
  explicit: string | undefined,
  host: Host
) => Effect.Effect<ResolvedConfig, ConfigFileError, FileSystem.FileSystem> = Effect.fn("ConfigFile.load")(
  function*(explicit: string | undefined, host: Host) {
    const { file, text } = yield* find(controllerFile, explicit, host)
    return yield* parse(text, file, host)
  }
)

/**
 * The state directory of a file that is not valid, if that much of it can be read; else the default one. For recover
 * only: an app that a run left down must not stay down because of a typing error.
 */
export const salvageStateDir = Effect.fn("ConfigFile.salvageStateDir")(
  function*(explicit: string | undefined, host: Host) {
    const found = yield* Effect.option(find(controllerFile, explicit, host))
    if (Option.isSome(found)) {
      const data = Either.map(read(found.value.text), (document) => document.data)
      if (Either.isRight(data) && Predicate.hasProperty(data.right, "stateDir")) {
        const { stateDir } = data.right
        if (typeof stateDir === "string" && stateDir !== "") {
          return NodePath.resolve(NodePath.dirname(found.value.file), stateDir)
        }
      }
    }
    return yield* defaultStateDir(controllerFile, host)
  }
)
