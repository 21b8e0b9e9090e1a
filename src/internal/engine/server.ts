/**
 * The engine's side of a divided agent: does what the front asks for, of what its own configuration has.
 */
import { Effect, FiberSet, Option, type Scope } from "effect"
import * as Net from "node:net"
import type { RunId } from "../../domain/RunId.ts"
import type { Upid } from "../../domain/Upid.ts"
import { type Engine, EngineFailed, type EngineJob } from "../../services/Engine.ts"
import * as Buckets from "../agent/buckets.ts"
import * as Job from "../agent/job.ts"
import * as Place from "../http/place.ts"
import * as Exchange from "./exchange.ts"
import * as Protocol from "./protocol.ts"

/** What there is of a guest. */
export interface Served {
  readonly engine: Engine
  /** The vzdump that runs on the host. */
  readonly task: Effect.Effect<Option.Option<Upid>>
}

export interface EngineServerOptions {
  readonly socket: string
  /** The id of the group of the front. */
  readonly group?: number | undefined
  /** By their names. No other guest can be spoken of. */
  readonly guests: ReadonlyMap<string, Served>
  /** How often the front is told that nothing hangs. */
  readonly beat?: `${number} ${"millis" | "seconds"}` | undefined
}

/** A request is said at once. */
const requestLimit = "5 seconds"
/** Characters of a reason; it may hold what a tool has printed. */
const longestReason = 10_000
/** Lines a minute for what the front should never cause. */
const warningsPerMinute = 12

const cut = (reason: string) => reason.slice(0, longestReason)

const jobOf = (runId: RunId, { ask, isCancelled, tell }: Exchange.Exchange): Effect.Effect<EngineJob> =>
  Effect.map(Job.throttled((progress) => tell({ _tag: "Report", progress })), (progressed) => {
    const asked = (...[to, question]: Parameters<typeof ask>) =>
      Effect.flatMap(
        ask(to, question),
        (verdict) => verdict._tag === "Yes" ? Effect.void : new EngineFailed({ reason: verdict.reason })
      )
    return {
      runId,
      report: ({ effectiveMode, phase, progress }) =>
        Effect.zipRight(
          phase === undefined && effectiveMode === undefined
            ? Effect.void
            : tell({
              _tag: "Report",
              ...phase === undefined ? {} : { phase },
              ...effectiveMode === undefined ? {} : { effectiveMode }
            }),
          progress === undefined ? Effect.void : progressed(progress)
        ),
      ready: (effectiveMode) =>
        asked("ready", { _tag: "Ready", ...effectiveMode === undefined ? {} : { effectiveMode } }),
      // an engine of ours finds its work by the run alone
      remember: () => asked("remember", { _tag: "Remember" }),
      cancelled: isCancelled
    }
  })

/** What the request asks for, done: the last answer. */
const done = Effect.fnUntraced(function*(
  request: Protocol.Request,
  { engine, permit, task }: Served & { readonly permit: Effect.Semaphore },
  exchange: Exchange.Exchange
): Effect.fn.Return<Protocol.Answer> {
  const refused = ({ message }: { readonly message: string }): Protocol.Answer => ({
    _tag: "Refused",
    reason: cut(message)
  })
  switch (request._tag) {
    case "Preflight":
      return yield* Effect.match(engine.preflight, {
        onFailure: refused,
        onSuccess: ({ mode, notes, snapshotter }): Protocol.Answer => ({
          _tag: "Offer",
          ...mode === undefined ? {} : { mode },
          ...snapshotter === undefined ? {} : { snapshotter },
          notes
        })
      })
    case "Prepare":
      return yield* Effect.match(engine.prepare, {
        onFailure: refused,
        onSuccess: (): Protocol.Answer => ({ _tag: "Prepared" })
      })
    case "Sweep":
      return yield* permit.withPermits(1)(engine.sweep).pipe(
        Effect.match({ onFailure: refused, onSuccess: (removed): Protocol.Answer => ({ _tag: "Swept", removed }) })
      )
    case "Task":
      return yield* Effect.map(task, (upid): Protocol.Answer => ({
        _tag: "Task",
        ...Option.isSome(upid) ? { upid: upid.value } : {}
      }))
    case "Run":
    case "Resume": {
      const { runId } = request
      const job = yield* jobOf(runId, exchange)
      const work = request._tag === "Run" ? engine.run(job) : engine.resume(job, request.handle)
      const ended = yield* permit.withPermits(1)(
        Effect.zipRight(
          Effect.logInfo(`guest ${request.guest}: ${request._tag === "Run" ? "begins" : "goes on with"} run ${runId}`),
          Effect.scoped(work)
        )
      ).pipe(
        Effect.match({
          onFailure: ({ message }): Protocol.Answer => ({ _tag: "Failed", reason: cut(message) }),
          onSuccess: (artifact): Protocol.Answer => ({ _tag: "Done", artifact })
        })
      )
      yield* Effect.logInfo(
        `guest ${request.guest}: run ${runId} has ${ended._tag === "Done" ? "ended well" : "failed"}`
      )
      return ended
    }
  }
})

/** What a first line asks for, of a guest that there is; nothing else is looked at. */
export const admit = <A>(
  line: string,
  guests: ReadonlyMap<string, A>
): Option.Option<{ readonly request: Protocol.Request; readonly served: A }> =>
  Option.flatMap(
    Protocol.decodeRequest(line),
    (request) => Option.map(Option.fromNullable(guests.get(request.guest)), (served) => ({ request, served }))
  )

/** Listens until the scope closes; then backups of vzdump go on by themselves, and those of the agent's own end. */
export const serve = Effect.fnUntraced(function*(
  options: EngineServerOptions
): Effect.fn.Return<void, Place.ListenFailed, Scope.Scope> {
  const { beat = "5 seconds", group, socket } = options
  const warnings = yield* Buckets.make({ perMinute: warningsPerMinute, keys: 1 })
  const guests = new Map(
    yield* Effect.forEach(
      options.guests,
      ([name, served]) => Effect.map(Effect.makeSemaphore(1), (permit) => [name, { ...served, permit }] as const)
    )
  )
  const warn = Effect.whenEffect(
    Effect.logWarning("the front has said something that this side does not do: is it of another version?"),
    Effect.map(warnings.take(""), (wait) => wait === 0)
  )

  const converse = (connection: Net.Socket) =>
    Effect.gen(function*() {
      let isRejected = false
      const exchange = yield* Exchange.make(connection, () => void (isRejected = true))
      const line = Option.flatten(yield* Effect.timeoutOption(exchange.request, requestLimit))
      const admitted = Option.flatMap(line, (text) => admit(text, guests))
      if (Option.isNone(admitted)) {
        if (Option.isSome(line) || isRejected) yield* warn
        const reason = "this line is no request, or there is no such guest in the configuration of this side"
        return yield* exchange.end(isRejected ? undefined : { _tag: "Rejected", reason })
      }
      const { request, served } = admitted.value
      const alive = Effect.forever(Effect.delay(exchange.tell({ _tag: "Alive" }), beat))
      const answer = yield* done(request, served, exchange).pipe(
        Effect.catchAllDefect((defect) =>
          Effect.as(
            Effect.logError("a call of the front has failed", defect),
            { _tag: "Failed", reason: "internal error of the engine's side; its log has more" } as const
          )
        ),
        Effect.raceFirst(alive),
        // what the call holds is gone when this returns
        Effect.raceFirst(Effect.as(exchange.stopped, { _tag: "Failed", reason: "cancelled" } as const))
      )
      if (isRejected) yield* warn
      yield* exchange.end(answer)
    }).pipe(Effect.ensuring(Effect.sync(() => connection.destroy())))

  const fork = yield* FiberSet.makeRuntime<never>()
  const connections = new Set<Net.Socket>()
  // its half is closed when the front has none any more, and the call has ended
  const server = Net.createServer({ allowHalfOpen: true }, (connection) => {
    connections.add(connection)
    connection.once("close", () => connections.delete(connection))
    fork(converse(connection))
  })
  server.maxConnections = 16 + 8 * guests.size
  yield* Place.bindSocket(server, { socket, mode: 0o660, group })
  server.on("error", () => undefined)
  yield* Effect.addFinalizer(() =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      for (const connection of connections) connection.destroy()
    })
  )
})
