/**
 * The engine of a divided agent, as its front sees it: what needs root is done by `quiesce agent engine`, which is asked
 * over a UNIX socket.
 */
import { type Duration, Effect, Exit, Option, Schema } from "effect"
import type { RunId } from "../domain/RunId.ts"
import { Upid } from "../domain/Upid.ts"
import * as Connection from "../internal/engine/connection.ts"
import * as Protocol from "../internal/engine/protocol.ts"
import { type Engine, EngineFailed, type EngineJob, EngineRefused } from "../services/Engine.ts"
import type { Artifact } from "../services/Transfer.ts"

/** Which guest of which socket. */
export interface EngineSocketOptions {
  readonly socket: string
  readonly guest: string
  /** Whether the guest's engine over there survives. */
  readonly survives: boolean
  /** How long the other side may say nothing before it counts as gone. Default: 30 seconds; it speaks every 5. */
  readonly silence?: Duration.DurationInput | undefined
}

/** What there is of one guest over there. */
export interface EngineSocket {
  readonly engine: Engine
  /** The vzdump that runs on the host. */
  readonly task: Effect.Effect<Option.Option<Upid>, EngineRefused>
}

/** Until a restart of the other side is over. The app is up while a backup waits to begin, and may be down later. */
const patience = { run: "1 minute", resume: "10 seconds", again: "1 day" } as const

/** How long the end of a backup over there is waited for: of one that is cancelled, and when this side ends. */
const limits = { cancelled: "2 minutes", left: "30 seconds" } as const

/** Questions of one guest at once; the other side has a limit. */
const atOnce = 2

const failed = Effect.mapError(({ message }: { readonly message: string }) => new EngineFailed({ reason: message }))
const refused = Effect.mapError(({ message }: { readonly message: string }) => new EngineRefused({ reason: message }))

const isUpid = Schema.is(Upid)

/** What is known of a backup when its connection is lost. */
interface Progress {
  isRemembered: boolean
  isPointTaken: boolean
}

/** A client for one guest. */
export const make = Effect.fn("EngineSocket.make")(function*(
  { guest, silence = "30 seconds", socket, survives }: EngineSocketOptions
): Effect.fn.Return<EngineSocket> {
  const turns = yield* Effect.makeSemaphore(atOnce)

  const ask = (request: { readonly _tag: "Preflight" | "Prepare" | "Sweep" | "Task"; readonly guest: string }) =>
    turns.withPermits(1)(Effect.acquireUseRelease(
      Connection.connect({ socket, silence, patience: 0 }, Protocol.request(request)),
      ({ next }) => Effect.repeat(next, { until: (answer) => Option.isNone(answer) || answer.value._tag !== "Alive" }),
      ({ destroy }) => destroy
    )).pipe(
      refused,
      Effect.flatMap(Option.match({
        onNone: () => new EngineRefused({ reason: "the engine's side has ended without an answer" }),
        onSome: (answer) =>
          answer._tag === "Refused" || answer._tag === "Rejected" || answer._tag === "Failed"
            ? new EngineRefused({ reason: answer.reason })
            : Effect.succeed(answer)
      }))
    )
  const unexpected = new EngineRefused({ reason: "the engine's side has answered another question" })

  /** Does what the other side asks for until it has its end; none when it has gone without one. */
  const converse = Effect.fnUntraced(function*(
    job: EngineJob,
    { next, say }: Connection.Connection,
    progress: Progress
  ) {
    /** While the answer to a question takes its time. */
    const still = failed(next).pipe(
      Effect.repeat({ until: (answer) => Option.isNone(answer) || answer.value._tag !== "Alive" }),
      Effect.zipRight(new EngineFailed({ reason: "the engine's side has ended in the middle of this backup" }))
    )
    const answered = (to: Protocol.Question, doing: Effect.Effect<void, EngineFailed>) =>
      Effect.matchEffect(doing, {
        onFailure: ({ message }) => say({ _tag: "No", to, reason: message.slice(0, 500) }),
        onSuccess: () => say({ _tag: "Yes", to })
      })
    for (;;) {
      const answer = yield* failed(next)
      if (Option.isNone(answer)) return Option.none<Artifact>()
      switch (answer.value._tag) {
        case "Alive":
          break
        case "Report": {
          const { _tag, ...change } = answer.value
          if (change.phase === "snapshotted") progress.isPointTaken = true
          yield* job.report(change)
          break
        }
        case "Ready":
          yield* Effect.raceFirst(answered("ready", job.ready(answer.value.effectiveMode)), still)
          break
        case "Remember":
          yield* answered(
            "remember",
            Effect.zipRight(
              job.remember(Protocol.own),
              Effect.sync(() => {
                progress.isRemembered = true
              })
            )
          )
          break
        case "Done":
          return Option.some(answer.value.artifact)
        case "Failed":
        case "Refused":
        case "Rejected":
          return yield* new EngineFailed({ reason: answer.value.reason })
        default:
          return yield* new EngineFailed({ reason: unexpected.reason })
      }
    }
  })

  /** One connection, to its end over there too: what the other side holds is gone when this returns. */
  const session = (job: EngineJob, request: string, progress: Progress, patience: Duration.DurationInput) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const connection = yield* failed(Connection.connect({ socket, silence, patience }, request))
        const exit = yield* Effect.exit(restore(converse(job, connection, progress)))
        if (Exit.isInterrupted(exit)) {
          const isCancelled = yield* job.cancelled
          if (isCancelled) yield* connection.say({ _tag: "Cancel" })
          yield* connection.leave.pipe(
            Effect.interruptible,
            Effect.disconnect,
            Effect.timeoutOption(isCancelled ? limits.cancelled : limits.left)
          )
        }
        yield* connection.destroy
        return yield* exit
      })
    )

  const lost = new EngineFailed({ reason: "the engine's side has ended in the middle of this backup" })

  /**
   * The other side was lost. Before the point in time the app waits for what may never come: then this backup has failed.
   * After it, a backup that goes on by itself is followed again as soon as there is somebody who can.
   */
  const again = (job: EngineJob, handle: Protocol.Handle, progress: Progress): Effect.Effect<Artifact, EngineFailed> =>
    Effect.gen(function*() {
      if (!survives || !progress.isRemembered || !progress.isPointTaken) return yield* lost
      yield* Effect.logWarning(`guest ${guest}: the engine's side was lost; run ${job.runId} is followed again`)
      yield* Effect.sleep("1 second")
      const found = yield* session(job, resumeOf(job.runId, handle), progress, patience.again)
      return yield* Option.match(found, { onNone: () => again(job, handle, progress), onSome: Effect.succeed })
    })

  const resumeOf = (runId: RunId, handle: Protocol.Handle | undefined) =>
    Protocol.request({ _tag: "Resume", guest, runId, ...handle === undefined ? {} : { handle } })

  const run = Effect.fn("EngineSocket.run")(function*(job: EngineJob) {
    const progress = { isRemembered: false, isPointTaken: false }
    const request = Protocol.request({ _tag: "Run", guest, runId: job.runId })
    const found = yield* session(job, request, progress, patience.run)
    return yield* Option.match(found, { onNone: () => again(job, Protocol.own, progress), onSome: Effect.succeed })
  })

  const resume = Effect.fn("EngineSocket.resume")(function*(job: EngineJob, handle: string | undefined) {
    const known = handle === undefined ? undefined : isUpid(handle) ? handle : Protocol.own
    const progress = { isRemembered: known !== undefined, isPointTaken: false }
    const found = yield* session(job, resumeOf(job.runId, known), progress, patience.resume)
    return yield* Option.match(found, {
      onNone: () => known === undefined ? lost : again(job, known, progress),
      onSome: Effect.succeed
    })
  })

  return {
    engine: {
      survives,
      preflight: Effect.flatMap(ask({ _tag: "Preflight", guest }), (answer) =>
        answer._tag === "Offer"
          ? Effect.succeed({ mode: answer.mode, snapshotter: answer.snapshotter, notes: answer.notes })
          : unexpected),
      prepare: Effect.flatMap(
        ask({ _tag: "Prepare", guest }),
        (answer) => answer._tag === "Prepared" ? Effect.void : unexpected
      ),
      run,
      resume,
      sweep: Effect.flatMap(
        ask({ _tag: "Sweep", guest }),
        (answer) => answer._tag === "Swept" ? Effect.succeed(answer.removed) : unexpected
      )
    },
    task: Effect.flatMap(
      ask({ _tag: "Task", guest }),
      (answer) => answer._tag === "Task" ? Effect.succeed(Option.fromNullable(answer.upid)) : unexpected
    )
  }
})
