/**
 * The agent of a host, as its configuration describes it: an engine and a journal for each guest, and the servers.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Certificate from "../internal/agent/certificate.ts"
import * as Jobs from "../internal/agent/jobs.ts"
import { reasonOf } from "../internal/durable.ts"
import * as StateDir from "../internal/stateDir.ts"
import type { VzdumpHost } from "../internal/vzdump/host.ts"
import * as HookServer from "../internal/vzdump/hookServer.ts"
import { JobStore } from "../services/JobStore.ts"
import { TokenStore } from "../services/TokenStore.ts"
import type { ResolvedAgentFile, ResolvedGuest, ResolvedListen } from "./AgentConfigFile.ts"
import * as AgentLock from "./AgentLock.ts"
import * as AgentServer from "./AgentServer.ts"
import { AgentFailed, type Serving } from "./AgentWorkspace.ts"
import * as EngineSocket from "./EngineSocket.ts"
import * as JobStoreFile from "./JobStoreFile.ts"
import * as MainEngine from "./MainEngine.ts"
import * as TokenStoreFile from "./TokenStoreFile.ts"

/** What of this process and host the agent cannot know from its configuration. */
export interface AgentHostOptions {
  readonly version: string
  /** Where the host has its things, when it is not as Proxmox VE has them. */
  readonly vzdumpHost?: Partial<VzdumpHost> | undefined
}

const failed = Effect.mapError((error: { readonly message: string }) =>
  new AgentFailed({ reason: error.message, busy: false })
)

/** The engine of a guest: in this process, or beyond the socket of a divided agent, where its tasks are looked for too. */
const engineOf = Effect.fnUntraced(function*(
  guest: ResolvedGuest,
  { division, stateDir }: ResolvedAgentFile,
  vzdumpHost: AgentHostOptions["vzdumpHost"]
) {
  if (division === undefined) {
    const engine = yield* failed(
      MainEngine.make(guest, { runs: stateDir, own: MainEngine.ofGuest(stateDir, guest.name), vzdumpHost })
    )
    return { engine, task: undefined }
  }
  const survives = guest.engine._tag === "Vzdump"
  return yield* EngineSocket.make({ socket: division.socket, guest: guest.name, survives })
})

const readPem = (file: string) =>
  Effect.tryPromise({
    try: () => Fs.readFile(file, "utf8"),
    catch: (error) => new AgentFailed({ reason: `${file}: ${reasonOf(error)}`, busy: false })
  })

const certificateOf = Effect.fnUntraced(function*({ certificate }: ResolvedListen, stateDir: string) {
  if (certificate === undefined) return yield* failed(Certificate.own({ stateDir }))
  const given = { cert: yield* readPem(certificate.certificate), key: yield* readPem(certificate.key) }
  return yield* failed(Certificate.check(given, { cert: certificate.certificate, key: certificate.key }))
})

/** Serves until the scope closes. Backups of vzdump go on by themselves then; those of the agent's own engines end. */
export const serve = Effect.fn("AgentHost.serve")(function*(
  config: ResolvedAgentFile,
  options: AgentHostOptions
): Effect.fn.Return<Serving, AgentFailed, Scope.Scope> {
  const { connections, requestsPerMinute, stateDir } = config
  yield* AgentLock.take(stateDir)
  if (config.division !== undefined && process.geteuid?.() === 0) {
    yield* Effect.logWarning("this side of a divided agent needs no root, and has it: run it as a user of its own")
  }
  const stores = yield* Layer.build(
    Layer.merge(JobStoreFile.layer({ stateDir }), TokenStoreFile.layer({ stateDir }))
  )
  const slots = yield* Effect.makeSemaphore(config.jobs)
  const guests = yield* Effect.forEach(config.guests, (guest) =>
    Effect.gen(function*() {
      const { engine, task } = yield* engineOf(guest, config, options.vzdumpHost)
      const jobs = yield* Jobs.make({
        guest: guest.name,
        engine,
        store: Context.get(stores, JobStore),
        slots,
        readyTimeout: config.readyTimeout,
        cancelLate: false
      })
      const vmid = guest.engine._tag === "Vzdump" ? guest.engine.vzdump.vmid : undefined
      return { jobs, task, vmid, name: guest.name }
    }))

  const byVmid = new Map(guests.flatMap(({ jobs, vmid }) => vmid === undefined ? [] : [[vmid, jobs] as const]))
  const tasks = new Map(guests.flatMap(({ name, task }) => task === undefined ? [] : [[name, task] as const]))
  if (byVmid.size > 0) {
    yield* failed(HookServer.serve({
      socket: Path.join(stateDir, "hook.sock"),
      guests: byVmid,
      host: options.vzdumpHost,
      ...config.division === undefined ? {} : { task: (guest: string) => tasks.get(guest) ?? Effect.succeedNone }
    }))
  }
  if (config.sockets !== undefined) yield* failed(StateDir.ensure(config.sockets))
  const { listen, sockets } = config
  const certificate = listen === undefined ? undefined : yield* certificateOf(listen, stateDir)
  const server = yield* failed(Layer.build(
    AgentServer.layer({
      guests: new Map(guests.map(({ jobs, name }) => [name, jobs])),
      listeners: [
        ...listen === undefined || certificate === undefined
          ? []
          : [{ host: listen.host, port: listen.port, tls: { cert: certificate.cert, key: certificate.key } }],
        ...sockets === undefined
          ? []
          : guests.map(({ name }) => ({ socket: Path.join(sockets, `${name}.sock`), guest: name }))
      ],
      version: options.version,
      limits: {
        ...requestsPerMinute === undefined ? {} : { requestsPerMinute },
        // one address alone must not keep the others out
        ...connections === undefined
          ? {}
          : { connections, connectionsPerAddress: Math.max(1, Math.floor(connections / 2)) }
      }
    }).pipe(Layer.provide(Layer.succeed(TokenStore, Context.get(stores, TokenStore))))
  ))
  const tokens = Context.get(stores, TokenStore)
  const withoutToken = listen === undefined ? [] : yield* Effect.filter(
    guests.map(({ name }) => name),
    (name) => Effect.map(failed(tokens.list(name)), (found) => found.length === 0)
  )
  return {
    urls: Context.get(server, AgentServer.AgentServer).urls,
    fingerprint: certificate?.fingerprint,
    withoutToken
  }
})
