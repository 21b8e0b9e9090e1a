/**
 * The command line of a vzdump. No word of it is read by a shell, and none that comes from a configuration begins with
 * a dash.
 */
import { Either, ParseResult, Schema } from "effect"
import type { RunId } from "../../domain/RunId.ts"
import { VzdumpConfig } from "../../domain/VzdumpConfig.ts"
import type { GuestConfig } from "./guestConfig.ts"

/** What is backed up, where to and how. */
export interface VzdumpOptions extends VzdumpConfig {
  /** For people. vzdump puts in `{{guestname}}`, `{{vmid}}`, `{{node}}` and `{{cluster}}`. Default: `{{guestname}}`. */
  readonly notes?: string | undefined
  /** In KiB/s. */
  readonly bandwidthLimit?: number | undefined
}

const decode = Schema.decodeUnknownEither(
  Schema.extend(
    VzdumpConfig,
    Schema.Struct({ bandwidthLimit: Schema.optional(Schema.NonNegativeInt), notes: Schema.optional(Schema.String) })
  )
)

/** What is wrong with the options, in words. */
export const check = (options: VzdumpOptions): Either.Either<VzdumpOptions, string> =>
  Either.mapLeft(
    decode(options),
    (error) =>
      ParseResult.ArrayFormatter.formatErrorSync(error).map(({ message, path }) => `${path.join(".")}: ${message}`)
        .join("; ")
  )

/**
 * Notes as vzdump takes them: one line of at most 1024 characters, where a backslash and a double brace have a meaning
 * of their own, and an unknown variable is an error.
 */
const template = (notes: string) =>
  notes.trim().slice(0, 400)
    .replaceAll("\\", "\\\\")
    .replaceAll(/\r?\n/g, "\\n")
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/gu, " ")
    .replaceAll(/\{(?=\{)(?!\{(?:cluster|guestname|node|vmid)\}\})/g, "{ ")
    .replace(/^[-\s]+/, "")

/** The notes of the backup, which name the run. */
export const notesOf = ({ notes = "" }: Pick<VzdumpOptions, "notes">, runId: RunId): string =>
  `${template(notes) || "{{guestname}}"} (quiesce run ${runId})`

/** The words of the command, after its options were checked. */
export const argv = (
  vzdump: string,
  options: VzdumpOptions,
  guest: Pick<GuestConfig, "type">,
  runId: RunId
): readonly [string, ...ReadonlyArray<string>] => {
  const { bandwidthLimit, fleecingStorage } = options
  const compress = options.compress ?? "zstd"
  return [
    vzdump,
    `${options.vmid}`,
    "--mode",
    options.mode ?? "snapshot",
    "--storage",
    options.storage,
    "--remove",
    options.prune === true ? "1" : "0",
    // a wait would be one with the app down
    "--lockwait",
    "0",
    "--compress",
    compress === "none" ? "0" : compress,
    "--notes-template",
    notesOf(options, runId),
    ...options.protected === true ? ["--protected", "1"] : [],
    ...bandwidthLimit === undefined ? [] : ["--bwlimit", `${bandwidthLimit}`],
    // containers have none
    ...fleecingStorage === undefined || guest.type === "lxc"
      ? []
      : ["--fleecing", `enabled=1,storage=${fleecingStorage}`]
  ]
}
