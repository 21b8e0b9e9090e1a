/**
 * The protocol between the controller in a guest and the agent on its host: HTTP and JSON.
 *
 * No request names a guest. The agent knows it by the credential, or by the UNIX socket, so a run of another guest is
 * one that does not exist.
 */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as OpenApi from "@effect/platform/OpenApi"
import { Context, Duration, Option, ParseResult, Schema } from "effect"
import { BackupStatus, EffectiveMode } from "../domain/Backup.ts"
import * as DurationText from "../domain/DurationText.ts"
import { GuestName } from "../domain/Guest.ts"
import { RunId } from "../domain/RunId.ts"

/** The longest time for which a question waits for an answer that is new. A longer `wait` means this one. */
export const maxWait: Duration.Duration = Duration.seconds(60)

const status = <A>(code: number, description: string) => HttpApiSchema.annotations<A>({ status: code, description })

/** Who asks is not known: no token, or one that is wrong, expired or revoked. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  {},
  status(401, "No token, or one that is wrong, expired or revoked")
) {}

/** This guest has no such backup. */
export class NotFound extends Schema.TaggedError<NotFound>()(
  "NotFound",
  {},
  status(404, "This guest has no such backup")
) {}

/** Another backup of this guest has not ended. */
export class Busy extends Schema.TaggedError<Busy>()(
  "Busy",
  { reason: Schema.String },
  status(409, "Another backup of this guest has not ended")
) {}

/** The agent will not do it until something is changed. */
export class Refused extends Schema.TaggedError<Refused>()(
  "Refused",
  { reason: Schema.String },
  status(409, "The agent will not do it until something is changed")
) {}

/** Too many requests. The header `Retry-After` says the same number. */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>()(
  "TooManyRequests",
  { retryAfterSeconds: Schema.NonNegativeInt },
  status(429, "Too many requests; the header Retry-After says when to ask again")
) {}

/** What an agent would do if it were asked now. */
export const Offer = Schema.Struct({
  mode: Schema.optionalWith(EffectiveMode, { exact: true }),
  snapshotter: Schema.optionalWith(Schema.String, { exact: true }),
  notes: Schema.Array(Schema.String)
}).annotations({ identifier: "Offer" })

/** The answer of an agent that could take a backup now. */
export const Health = Schema.Struct({
  version: Schema.String,
  guest: GuestName,
  offer: Offer
}).annotations({ identifier: "Health" })

/** The runs for which the host has begun a backup by itself, and now waits for the guest to be quiet. */
export const Requests = Schema.Struct({
  requests: Schema.Array(Schema.Struct({ runId: RunId }))
}).annotations({ identifier: "Requests" })

const readWait = (text: string) =>
  DurationText.parse(/^\d{1,9}$/.test(text) ? `${text}s` : text).pipe(Option.map(Duration.min(maxWait)))

/** How long a question waits: `30s`, `500ms`, or seconds. */
export const Wait: Schema.Schema<Duration.Duration, string> = Schema.transformOrFail(
  Schema.String.annotations({ description: "A time such as `30s` or `500ms`, or seconds; at most a minute" }),
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (text, _, ast) =>
      ParseResult.fromOption(readWait(text), () => new ParseResult.Type(ast, text, "expected a time, such as 30s")),
    encode: (duration) => ParseResult.succeed(DurationText.format(duration))
  }
)

const After = Schema.NumberFromString.pipe(
  Schema.int(),
  Schema.between(-1, Number.MAX_SAFE_INTEGER)
).annotations({ description: "The revision that is known; an answer with another one does not wait" })

const runId = HttpApiSchema.param("runId", RunId)

const Answer = BackupStatus.annotations({ identifier: "BackupStatus" })

/** Who has asked: the guest of the credential, or of the socket. */
export class Principal extends Context.Tag("quiesce/protocol/AgentApi/Principal")<Principal, {
  readonly guest: string
}>() {}

/** Every route needs a bearer token, but over the UNIX socket of a guest. */
export class Authentication extends HttpApiMiddleware.Tag<Authentication>()(
  "quiesce/protocol/AgentApi/Authentication",
  {
    failure: Schema.Union(Unauthorized, TooManyRequests),
    provides: Principal,
    security: { bearer: HttpApiSecurity.bearer }
  }
) {}

const describe = (description: string) => OpenApi.annotations({ description })

/** The backups of the guest that asks. */
export class Backups extends HttpApiGroup.make("backups")
  .add(
    HttpApiEndpoint.get("list", "/backups").addSuccess(Schema.Array(Answer))
      .annotateContext(describe("The backups that are remembered, the newest first"))
  )
  .add(
    HttpApiEndpoint.post("request", "/backups").setPayload(Schema.Struct({ runId: RunId })).addSuccess(Answer)
      .addError(Busy).addError(Refused)
      .annotateContext(describe("Asks for a backup. The same run id again is the same backup"))
  )
  .add(
    HttpApiEndpoint.get("status")`/backups/${runId}`
      .setUrlParams(Schema.Struct({
        after: Schema.optionalWith(After, { exact: true }),
        wait: Schema.optionalWith(Wait, { exact: true })
      }))
      .addSuccess(Answer).addError(NotFound)
      .annotateContext(describe("The present status: at once, or when its revision is not `after`, or after `wait`"))
  )
  .add(
    HttpApiEndpoint.post("prepare")`/backups/${runId}/prepare`.addSuccess(HttpApiSchema.NoContent)
      .addError(NotFound).addError(Refused)
      .annotateContext(describe("Makes the time to the snapshot short, with the app still up"))
  )
  .add(
    HttpApiEndpoint.post("quiesced")`/backups/${runId}/quiesced`.addSuccess(Answer).addError(NotFound)
      .annotateContext(describe("Says that everything is down: the snapshot may be taken"))
  )
  .add(
    HttpApiEndpoint.del("cancel")`/backups/${runId}`
      .addSuccess(Answer.annotations(status(200, "It has ended")))
      .addSuccess(Answer.annotations(status(202, "It will end")))
      .addError(NotFound).addError(Refused)
      .annotateContext(describe("Ends a backup whose snapshot does not exist yet"))
  )
{}

/** The host of the guest, and what it asks the guest for. */
export class Host extends HttpApiGroup.make("host", { topLevel: true })
  .add(
    HttpApiEndpoint.get("health", "/health").addSuccess(Health).addError(Refused)
      .annotateContext(describe("Whether a backup could be taken now, and how"))
  )
  .add(
    HttpApiEndpoint.get("requests", "/requests")
      .setUrlParams(Schema.Struct({ wait: Schema.optionalWith(Wait, { exact: true }) }))
      .addSuccess(Requests)
      .annotateContext(describe("The runs that the host waits for, within `wait`; none when there was none"))
  )
{}

/** The whole protocol, version 1. */
export class AgentApi extends HttpApi.make("quiesce-agent")
  .add(Backups)
  .add(Host)
  .addError(Unauthorized)
  .addError(TooManyRequests)
  .middleware(Authentication)
  .prefix("/v1")
  .annotateContext(OpenApi.annotations({ title: "quiesce agent", version: "1" }))
{}
