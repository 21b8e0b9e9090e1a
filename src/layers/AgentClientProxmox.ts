/**
 * Proxmox VE itself as the agent: asked by its API, with a token, without anything of ours on the host.
 */
import { type Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import type { VzdumpConfig } from "../domain/VzdumpConfig.ts"
import * as Jobs from "../internal/agent/jobs.ts"
import * as Client from "../internal/http/client.ts"
import { Fingerprint } from "../internal/http/fingerprint.ts"
import * as Proxmox from "../internal/proxmox/client.ts"
import * as Engine from "../internal/proxmox/engine.ts"
import { toAgent } from "../internal/proxmox/meaning.ts"
import * as Patience from "../internal/proxmox/patience.ts"
import { offer } from "../internal/proxmox/preflight.ts"
import { AgentClient, AgentRefused } from "../services/AgentClient.ts"
import * as JobStoreMemory from "./JobStoreMemory.ts"

/** Which node is asked, and for which backup. */
export interface AgentClientProxmoxOptions extends VzdumpConfig {
  /** `https://host:8006`. */
  readonly url: string
  readonly node: string
  /** `USER@REALM!TOKENID=SECRET`. */
  readonly token: Redacted.Redacted<string>
  /** SHA-256 of the one certificate that is accepted: `AA:BB:...`. */
  readonly fingerprint?: string | undefined
  /** How long `status` waits for a change. Default: 1 second. */
  readonly statusWait?: Duration.DurationInput | undefined
  /** How long a backup that nobody says `quiesced` to stays begun. Default: 10 minutes. */
  readonly readyTimeout?: Duration.DurationInput | undefined
}

const local = new Set(["localhost", "127.0.0.1", "[::1]"])

/** A token must not cross a network in the clear. */
const isSafe = (text: string) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === "https:" || (url?.protocol === "http:" && local.has(url.hostname))
}

const flawOf = ({ fingerprint, token, url }: AgentClientProxmoxOptions): string | undefined => {
  if (!isSafe(url)) return "its address is none: expected https://host:8006, or http:// for this machine alone"
  if (!Proxmox.tokenForm.test(Redacted.value(token))) return "the token is none: expected USER@REALM!TOKENID=SECRET"
  return fingerprint === undefined || Schema.is(Fingerprint)(fingerprint)
    ? undefined
    : "the fingerprint is none: expected 32 pairs of hexadecimal digits with colons"
}

const make = Effect.fnUntraced(function*(options: AgentClientProxmoxOptions) {
  const { fingerprint, node, readyTimeout, statusWait, token, url, ...config } = options
  const flaw = flawOf(options)
  const http = yield* Client.make({
    fingerprint: flaw === undefined ? fingerprint : undefined,
    maxResponse: Proxmox.maxResponse
  })
  const proxmox = Proxmox.make(http, { url, node, token, fingerprint })
  const patience = yield* Patience.make
  const jobs = yield* Jobs.make({
    guest: String(config.vmid),
    engine: Engine.make(proxmox, config, patience),
    // it dies with its controller, whose marker says what is to be done then
    store: yield* JobStoreMemory.make(),
    readyTimeout: readyTimeout ?? "10 minutes",
    cancelLate: false
  })
  const checked = flaw === undefined ? Effect.void : new AgentRefused({ reason: flaw })

  /** A status that stands still because nobody answers is no status. */
  const known = Effect.flatMap(
    patience.trouble,
    Option.match({ onNone: () => Effect.void, onSome: (error) => Effect.fail(toAgent(error)) })
  )

  return AgentClient.of({
    preflight: offer(proxmox, config).pipe(
      Effect.mapError((error) =>
        error._tag === "EngineRefused" ? new AgentRefused({ reason: error.message }) : toAgent(error)
      ),
      (preflight) => Effect.zipRight(checked, preflight),
      Effect.withSpan("AgentClientProxmox.preflight")
    ),
    request: Effect.fn("AgentClientProxmox.request")((runId) => Effect.zipRight(checked, jobs.request(runId))),
    prepare: jobs.prepare,
    quiesced: jobs.quiesced,
    status: (runId, after) =>
      Effect.flatMap(
        jobs.status(runId, after, statusWait ?? "1 second"),
        (status) => status.revision === after ? Effect.as(known, status) : Effect.succeed(status)
      ),
    cancel: Effect.fn("AgentClientProxmox.cancel")((runId) =>
      Effect.catchTag(jobs.cancel(runId), "BackupUnknown", () => Effect.void)
    ),
    asked: Effect.never,
    // what a dead run left is a task of the host, which ends by itself
    sweep: Effect.succeed([])
  })
})

/**
 * A client of one node, for the backups of one guest. Nothing is asked before it is used. A backup that was begun goes on
 * when the scope closes.
 */
export const layer = (options: AgentClientProxmoxOptions): Layer.Layer<AgentClient> =>
  Layer.scoped(AgentClient, make(options))
