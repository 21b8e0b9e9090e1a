/**
 * Where the configuration file and the state directory are.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import { Chunk, Config, Effect, Option, Stream } from "effect"
import * as NodePath from "node:path"
import { ConfigNotFound, ConfigUnreadable } from "./ConfigFileError.ts"

/** A configuration file by what it is for. */
export interface FileKind {
  /** The variable of the environment that can name it. */
  readonly variable: string
  /** Its name in the working directory. */
  readonly local: string
  /** Its names in the directories of configuration files. */
  readonly names: ReadonlyArray<string>
  /** The name of the state directory that belongs to it. */
  readonly state: string
}

/** The file of a controller: what is stopped, and what takes the backup. */
export const controllerFile: FileKind = {
  variable: "QUIESCE_CONFIG",
  local: "quiesce.yaml",
  names: ["config.yaml", "quiesce.yaml"],
  state: "quiesce"
}

/** The file of an agent: whom it serves, and where. */
export const agentFile: FileKind = {
  variable: "QUIESCE_AGENT_CONFIG",
  local: "agent.yaml",
  names: ["agent.yaml"],
  state: "quiesce-agent"
}

/** The same file, read by the side of a divided agent that has root: it keeps its things elsewhere. */
export const agentEngineFile: FileKind = { ...agentFile, state: "quiesce-agent-engine" }

/** What of this process decides where files are: the boundary gives it. */
export interface Host {
  readonly cwd: string
  /** The home directory of the user. */
  readonly home: string
  readonly isRoot: boolean
}

/** A configuration is a page of text; what is larger is something else. */
const maxBytes = 256 * 1024

/** A variable that is set to nothing counts as not set, as in a shell's `${X:-}`. */
const variable = (name: string) =>
  Config.option(Config.string(name)).pipe(
    Effect.orElseSucceed(() => Option.none<string>()),
    Effect.map((value) => Option.getOrUndefined(Option.filter(value, (text) => text !== "")))
  )

/** The XDG base directory specification: a relative path in the variable is to be ignored. */
const xdg = (name: string, fallback: string) =>
  Effect.map(variable(name), (value) => value !== undefined && NodePath.isAbsolute(value) ? value : fallback)

/** The places where a file is looked for, in order; `namedBy` when the user named the one place. */
const places = Effect.fnUntraced(function*(kind: FileKind, explicit: string | undefined, host: Host) {
  const at = (...segments: ReadonlyArray<string>) => NodePath.resolve(host.cwd, ...segments)
  if (explicit !== undefined) return { files: [at(explicit)], namedBy: "--config" }
  const named = yield* variable(kind.variable)
  if (named !== undefined) return { files: [at(named)], namedBy: `$${kind.variable}` }
  const user = NodePath.join(yield* xdg("XDG_CONFIG_HOME", NodePath.join(host.home, ".config")), "quiesce")
  const files = [
    at(kind.local),
    ...[user, "/etc/quiesce"].flatMap((directory) => kind.names.map((name) => NodePath.join(directory, name)))
  ]
  return { files, namedBy: undefined }
})

/** `$STATE_DIRECTORY` (systemd; the first of its list), for root one in `/var/lib`, else in the XDG state directory. */
export const defaultStateDir = Effect.fn("ConfigPlaces.defaultStateDir")(function*(kind: FileKind, host: Host) {
  const systemd = (yield* variable("STATE_DIRECTORY"))?.split(":").find((directory) => directory !== "")
  if (systemd !== undefined) return NodePath.resolve(host.cwd, systemd)
  if (host.isRoot) return `/var/lib/${kind.state}`
  return NodePath.join(yield* xdg("XDG_STATE_HOME", NodePath.join(host.home, ".local", "state")), kind.state)
})

const errnoText: Record<string, string> = {
  PermissionDenied: "it cannot be read: permission denied; give this user the right to read it",
  BadResource: "it cannot be read: it is not a file"
}

/** The text of the file, or none when there is no such file. */
const readText = (file: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const info = yield* fs.stat(file)
    if (info.type === "Directory") {
      return yield* new ConfigUnreadable({ file, reason: "it is a directory; name the file in it" })
    }
    if (info.type !== "File") {
      return yield* new ConfigUnreadable({
        file,
        reason: "it is not a regular file; recover must be able to read it again later"
      })
    }
    const chunks = yield* Stream.runCollect(fs.stream(file, { bytesToRead: maxBytes + 1 }))
    const bytes = Buffer.concat(Chunk.toReadonlyArray(chunks))
    if (bytes.length > maxBytes) {
      return yield* new ConfigUnreadable({ file, reason: "it is larger than 256 KiB; is it the right file?" })
    }
    const text = yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () => new ConfigUnreadable({ file, reason: "it is not UTF-8 text; is it the right file?" })
    })
    return Option.some(text)
  }).pipe(
    Effect.catchTags({
      SystemError: (error) =>
        error.reason === "NotFound"
          ? Effect.succeedNone
          : Effect.fail(
            new ConfigUnreadable({
              file,
              reason: errnoText[error.reason] ?? `it cannot be read: ${error.description ?? error.message}`
            })
          ),
      BadArgument: (error) => Effect.fail(new ConfigUnreadable({ file, reason: error.message }))
    })
  )

/** The first file that is there, with its text. */
export const find = Effect.fn("ConfigPlaces.find")(function*(kind: FileKind, explicit: string | undefined, host: Host) {
  const { files, namedBy } = yield* places(kind, explicit, host)
  for (const file of files) {
    const text = yield* readText(file)
    if (Option.isSome(text)) return { file, text: text.value }
  }
  const { variable } = kind
  return yield* new ConfigNotFound(
    namedBy === undefined ? { places: files, variable } : { places: files, namedBy, variable }
  )
})
