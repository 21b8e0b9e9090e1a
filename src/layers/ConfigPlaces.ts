/**
 * Where the configuration file and the state directory are.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import { Chunk, Config, Effect, Option, Stream } from "effect"
import * as NodePath from "node:path"
import { ConfigUnreadable } from "./ConfigFileError.ts"

/** What of this process decides where files are: the boundary gives it. */
export interface Host {
  readonly cwd: string
  /** The home directory of the user. */
  readonly home: string
  readonly isRoot: boolean
}

/** A configuration is a page of text; what is larger is something else. */
const maxBytes = 1024 * 1024

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
export const places = Effect.fn("ConfigPlaces.places")(function*(explicit: string | undefined, host: Host) {
  const at = (...segments: ReadonlyArray<string>) => NodePath.resolve(host.cwd, ...segments)
  if (explicit !== undefined) return { files: [at(explicit)], namedBy: "--config" }
  const named = yield* variable("QUIESCE_CONFIG")
  if (named !== undefined) return { files: [at(named)], namedBy: "$QUIESCE_CONFIG" }
  const user = NodePath.join(yield* xdg("XDG_CONFIG_HOME", NodePath.join(host.home, ".config")), "quiesce")
  const files = [
    at("quiesce.yaml"),
    ...[user, "/etc/quiesce"].flatMap((directory) => [
      NodePath.join(directory, "config.yaml"),
      NodePath.join(directory, "quiesce.yaml")
    ])
  ]
  return { files, namedBy: undefined }
})

/** `$STATE_DIRECTORY` (systemd; the first of its list), for root `/var/lib/quiesce`, else in the XDG state directory. */
export const defaultStateDir = Effect.fn("ConfigPlaces.defaultStateDir")(function*(host: Host) {
  const systemd = (yield* variable("STATE_DIRECTORY"))?.split(":").find((directory) => directory !== "")
  if (systemd !== undefined) return NodePath.resolve(host.cwd, systemd)
  if (host.isRoot) return "/var/lib/quiesce"
  return NodePath.join(yield* xdg("XDG_STATE_HOME", NodePath.join(host.home, ".local", "state")), "quiesce")
})

const errnoText: Record<string, string> = {
  PermissionDenied: "it cannot be read: permission denied; give this user the right to read it",
  BadResource: "it cannot be read: it is not a file"
}

/** The text of the file, or none when there is no such file. */
export const readText = (file: string) =>
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
      return yield* new ConfigUnreadable({ file, reason: "it is larger than 1 MiB; is it the right file?" })
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
