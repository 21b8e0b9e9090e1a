/**
 * The agent of a host, as its configuration describes it: an engine and a journal for each guest, and the servers.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Certificate from "../internal/agent/certificate.ts"
import * as Jobs from "../internal/agent/jobs.ts"
import * as SnapshotEngine from "../internal/agent/snapshotEngine.ts"
import { reasonOf } from "../internal/durable.ts"
import { tryLock } from "../internal/flock.ts"
import * as StateDir from "../internal/stateDir.ts"
import type { VzdumpHost } from "../internal/vzdump/host.ts"
import * as HookServer from "../internal/vzdump/hookServer.ts"
import type { Engine } from "../services/Engine.ts"
import { JobStore } from "../services/JobStore.ts"
import { Snapshotter } from "../services/Snapshotter.ts"
import { TokenStore } from "../services/TokenStore.ts"
import { Transfer } from "../services/Transfer.ts"
import type { ResolvedAgentFile, ResolvedGuest, ResolvedListen } from "./AgentConfigFile.ts"
import * as AgentServer from "./AgentServer.ts"
import { AgentFailed, type Serving } from "./AgentWorkspace.ts"
import * as EngineVzdump from "./EngineVzdump.ts"
import * as JobStoreFile from "./JobStoreFile.ts"
import * as MainSource from "./MainSource.ts"
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

/** Everything under the state directory that belongs to one guest alone. */
const ofGuest = (stateDir: string, name: string) => Path.join(stateDir, "guests", name)

const engineOf = Effect.fnUntraced(function*(
  { engine, name }: ResolvedGuest,
  stateDir: string,
  vzdumpHost: AgentHostOptions["vzdumpHost"]
): Effect.fn.Return<Engine, AgentFailed, Scope.Scope> {
  if (engine._tag === "Vzdump") return yield* EngineVzdump.make({ ...engine.vzdump, stateDir, host: vzdumpHost })
  const own = ofGuest(stateDir, name)
  yield* failed(Effect.forEach([Path.dirname(own), own], StateDir.ensure, { discard: true }))
  const services = yield* Layer.build(MainSource.layer(engine, own))
  return yield* SnapshotEngine.make({
    source: engine.source,
    stateDir: own,
    transferDelay: "500 millis",
    snapshotter: Context.get(services, Snapshotter),
    transfer: Context.get(services, Transfer)
  })
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

/** One agent at a time in a state directory: two would both go on with the same backups. */
const takeTheLock = Effect.fnUntraced(function*(stateDir: string) {
  yield* failed(StateDir.ensure(stateDir))
  if (yield* failed(tryLock(Path.join(stateDir, "lock")))) return
  return yield* new AgentFailed({ reason: `another agent uses the state directory ${stateDir}`, busy: true })
})

/** Serves until the scope closes. Backups of vzdump go on by themselves then; those of the agent's own engines end. */
export const serve = Effect.fn("AgentHost.serve")(function*(
  config: ResolvedAgentFile,
  options: AgentHostOptions
): Effect.fn.Return<Serving, AgentFailed, Scope.Scope> {
  const { connections, requestsPerMinute, stateDir } = config
  yield* takeTheLock(stateDir)
  const stores = yield* Layer.build(
    Layer.merge(JobStoreFile.layer({ stateDir }), TokenStoreFile.layer({ stateDir }))
  )
  const slots = yield* Effect.makeSemaphore(config.jobs)
  const guests = yield* Effect.forEach(config.guests, (guest) =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.make({
        guest: guest.name,
        engine: yield* engineOf(guest, stateDir, options.vzdumpHost),
        store: Context.get(stores, JobStore),
        slots,
        readyTimeout: config.readyTimeout,
        cancelLate: false
      })
      return { jobs, vmid: guest.engine._tag === "Vzdump" ? guest.engine.vzdump.vmid : undefined, name: guest.name }
    }))

  const byVmid = new Map(guests.flatMap(({ jobs, vmid }) => vmid === undefined ? [] : [[vmid, jobs] as const]))
  if (byVmid.size > 0) {
    yield* failed(HookServer.serve({
      socket: Path.join(stateDir, "hook.sock"),
      guests: byVmid,
      host: options.vzdumpHost
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
        ...connections === undefined ? {} : { connections, connectionsPerAddress: connections }
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
