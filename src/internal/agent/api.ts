/**
 * The protocol, answered from the backups of each guest.
 */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type * as HttpApp from "@effect/platform/HttpApp"
import type { HttpRouter } from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { type Context, Deferred, Duration, Effect, Layer, Option } from "effect"
import { BackupStatus, isFinal } from "../../domain/Backup.ts"
import type { RunId } from "../../domain/RunId.ts"
import { AgentApi, Authentication, Busy, NotFound, Principal, Refused } from "../../protocol/AgentApi.ts"
import type { AgentOffer } from "../../services/AgentClient.ts"
import type { Audit } from "./audit.ts"
import * as Job from "./job.ts"
import type { Jobs } from "./jobs.ts"
import * as Response from "./response.ts"

export interface ApiOptions {
  readonly guests: ReadonlyMap<string, Jobs>
  readonly authentication: Authentication["Type"]
  readonly audit: Audit
  readonly version: string
  /** Done when the agent ends: nobody waits any longer. */
  readonly stopping: Deferred.Deferred<void>
}

/** How long a cancel waits for the end. */
const cancelWait = Duration.seconds(10)

const BackupUnknown = () => new NotFound()
const AgentRefused = ({ reason }: { readonly reason: string }) => new Refused({ reason })
const AgentBusy = ({ reason }: { readonly reason: string }) => new Busy({ reason })

const offered = ({ mode, notes, snapshotter }: AgentOffer) => ({
  ...mode === undefined ? {} : { mode },
  ...snapshotter === undefined ? {} : { snapshotter },
  notes
})

const accepted = HttpServerResponse.schemaJson(BackupStatus)

/** The application, for any number of servers. */
export const make = Effect.fnUntraced(
  function*(options: ApiOptions): Effect.fn.Return<HttpApp.Default> {
    const { audit, guests, stopping, version } = options

    const mine = Effect.flatMap(Principal, ({ guest }) => {
      const jobs = guests.get(guest)
      return jobs === undefined ? Effect.die("a guest that is not served was let in") : Effect.succeed(jobs)
    })

    /** Waits for as long as asked, but not beyond the end of the agent. */
    const waiting = <A, E>(
      wait: Duration.Duration | undefined,
      ask: (wait: Duration.Duration) => Effect.Effect<A, E>
    ) =>
      wait === undefined
        ? ask(Duration.zero)
        : Effect.raceFirst(ask(wait), Effect.zipRight(Deferred.await(stopping), ask(Duration.zero)))

    const declined = (what: string) => <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.tapError(effect, (error) =>
        Effect.flatMap(Principal, ({ guest }) =>
          audit.declined(
            guest,
            `${what}: ${error instanceof Busy || error instanceof Refused ? error.reason : error._tag}`
          )))

    const cancel = Effect.fnUntraced(function*(jobs: Jobs, runId: RunId) {
      yield* jobs.cancel(runId).pipe(Effect.disconnect, Effect.timeoutOption(cancelWait))
      const status = yield* jobs.status(runId, -1, Duration.zero)
      return isFinal(Job.phaseOf(status.phase)) ? status : yield* Effect.orDie(accepted(status, { status: 202 }))
    })

    const backups = HttpApiBuilder.group(AgentApi, "backups", (handlers) =>
      handlers
        .handle("list", () => Effect.flatMap(mine, ({ list }) => list))
        .handle("request", ({ payload: { runId } }) =>
          Effect.flatMap(mine, (jobs) =>
            Effect.tap(jobs.request(runId), (status) => audit.asked(jobs, status))).pipe(
              Effect.catchTags({ AgentBusy, AgentRefused }),
              declined(`the backup of run ${runId} was not begun`)
            ))
        .handle("status", ({ path: { runId }, urlParams: { after = -1, wait } }) =>
          Effect.flatMap(mine, (jobs) =>
            waiting(wait, (wait) =>
              jobs.status(runId, after, wait))).pipe(
              Effect.catchTags({ BackupUnknown })
            ))
        .handle("prepare", ({ path: { runId } }) =>
          Effect.flatMap(mine, (jobs) =>
            jobs.prepare(runId)).pipe(Effect.catchTags({ AgentRefused, BackupUnknown })))
        .handle("quiesced", ({ path: { runId } }) =>
          Effect.flatMap(mine, (jobs) =>
            jobs.quiesced(runId)).pipe(
              Effect.catchTags({ BackupUnknown }),
              declined(`'quiesced' of run ${runId} was not taken`)
            ))
        .handle("cancel", ({ path: { runId } }) =>
          Effect.flatMap(mine, (jobs) =>
            cancel(jobs, runId)).pipe(
              Effect.catchTags({ AgentRefused, BackupUnknown }),
              declined(`the backup of run ${runId} was not cancelled`)
            )))

    const host = HttpApiBuilder.group(AgentApi, "host", (handlers) =>
      handlers
        .handle("health", () =>
          Effect.flatMap(mine, ({ guest, preflight }) =>
            Effect.map(preflight, (offer) => ({ version, guest, offer: offered(offer) }))).pipe(
              Effect.catchTags({ AgentRefused })
            ))
        .handle("requests", ({ urlParams: { wait } }) =>
          Effect.map(
            Effect.flatMap(mine, (jobs) =>
              waiting(wait, jobs.asked)),
            (asked) => ({ requests: Option.toArray(asked).map((runId) => ({ runId })) })
          )))

    const live = HttpApiBuilder.middlewareOpenApi({ path: "/v1/openapi.json" }).pipe(
      Layer.provideMerge(HttpApiBuilder.api(AgentApi)),
      Layer.provide([backups, host]),
      Layer.provide(Layer.succeed(Authentication, options.authentication)),
      Layer.provideMerge(Layer.merge(HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer))
    )
    const app = yield* Effect.provide(HttpApiBuilder.httpApp, yield* Effect.scoped(Layer.build(live)))
    // its file system is none: a request has no business with files. Nothing else may be in it: the scope of the agent
    // in place of the request's own would keep all that requests hold
    const services: Context.Context<HttpRouter.DefaultServices> = yield* Effect.scoped(
      Layer.build(HttpServer.layerContext)
    )
    return Response.finished(Effect.provide(app, services), Deferred.isDone(stopping))
  }
)
