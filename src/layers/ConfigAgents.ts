/**
 * The agents of a configuration file, with every default and path filled in.
 */
import { Effect } from "effect"
import * as NodePath from "node:path"
import type { AgentConfig } from "../domain/Config.ts"
import type { Argv } from "../domain/ConfigWords.ts"
import type { SnapshotKind, SourceConfig } from "../domain/SourceConfig.ts"
import type { VzdumpConfig } from "../domain/VzdumpConfig.ts"
import type { YamlIssue } from "../internal/yamlIssues.ts"
import type { YamlDocument } from "../internal/yamlPositions.ts"
import { ConfigInvalid } from "./ConfigFileError.ts"

/** The transfer of an agent that carries its snapshots away itself. */
export type ResolvedTransfer =
  | { readonly _tag: "Archive"; readonly to: string }
  | { readonly _tag: "Command"; readonly argv: Argv; readonly cwd: string }

/** An agent that takes the snapshot itself. */
export interface ResolvedSource {
  readonly source: string
  readonly snapshot: SnapshotKind
  readonly transfer: ResolvedTransfer
}

/** A quiesce agent on another machine, or on this one through its socket. */
export interface ResolvedHttp {
  readonly address: { readonly url: string } | { readonly socketPath: string }
  readonly tokenFile: string | undefined
  readonly fingerprint: string | undefined
}

/** Proxmox VE itself. */
export interface ResolvedProxmox {
  readonly url: string
  readonly node: string
  readonly tokenFile: string
  readonly fingerprint: string | undefined
  readonly vzdump: VzdumpConfig
}

/** What takes the backup. All paths are absolute. */
export type ResolvedAgent =
  | ({ readonly _tag: "Local" } & ResolvedSource)
  | ({ readonly _tag: "Http" } & ResolvedHttp)
  | ({ readonly _tag: "Proxmox" } & ResolvedProxmox)

const isInside = (inner: string, outer: string) => {
  const relative = NodePath.relative(outer, inner)
  return relative === "" || (relative !== ".." && !relative.startsWith(`..${NodePath.sep}`))
}

/** Resolves the source at `path` of the file. */
export const resolveSource = Effect.fnUntraced(function*(
  config: SourceConfig,
  at: { readonly file: string; readonly document: YamlDocument; readonly path: ReadonlyArray<string> }
) {
  const cwd = NodePath.dirname(at.file)
  const absolute = (path: string) => NodePath.resolve(cwd, path)
  const source = absolute(config.source)
  const transfer: ResolvedTransfer | undefined = config.transfer.archive !== undefined
    ? { _tag: "Archive", to: absolute(config.transfer.archive.to) }
    : config.transfer.command !== undefined
    ? { _tag: "Command", argv: config.transfer.command, cwd }
    : undefined
  if (transfer === undefined) return yield* Effect.dieMessage("the schema lets no other transfer pass")
  if (transfer._tag === "Archive" && isInside(transfer.to, source)) {
    const path = [...at.path, "transfer", "archive", "to"]
    const issue: YamlIssue = {
      ...at.document.position(path, "value"),
      path: path.join("."),
      message: `expected a directory outside ${
        [...at.path, "source"].join(".")
      }; each archive would hold the ones before it`
    }
    return yield* new ConfigInvalid({ file: at.file, issues: [issue] })
  }
  return { source, snapshot: config.snapshot ?? "auto", transfer } satisfies ResolvedSource
})

/** Resolves what takes the backup. */
export const resolve = Effect.fnUntraced(function*(
  { http, local, proxmox }: AgentConfig,
  at: { readonly file: string; readonly document: YamlDocument }
): Effect.fn.Return<ResolvedAgent, ConfigInvalid> {
  const absolute = (path: string) => NodePath.resolve(NodePath.dirname(at.file), path)
  if (local !== undefined) {
    return { _tag: "Local", ...yield* resolveSource(local, { ...at, path: ["agent", "local"] }) }
  }
  if (http !== undefined) {
    return {
      _tag: "Http",
      address: http.url !== undefined ? { url: http.url } : { socketPath: absolute(http.socket ?? "") },
      tokenFile: http.tokenFile === undefined ? undefined : absolute(http.tokenFile),
      fingerprint: http.fingerprint
    }
  }
  if (proxmox === undefined) return yield* Effect.dieMessage("the schema lets no other agent pass")
  const { fingerprint, node, tokenFile, url, ...vzdump } = proxmox
  return { _tag: "Proxmox", url, node, tokenFile: absolute(tokenFile), fingerprint, vzdump }
})
