/**
 * Who asks: the guest of the token, or of the UNIX socket; and how often it may.
 */
import { appendPreResponseHandler } from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Context, Effect, Option, Redacted, Ref, type Scope } from "effect"
import { Authentication, TooManyRequests, Unauthorized } from "../../protocol/AgentApi.ts"
import type { TokenStore } from "../../services/TokenStore.ts"
import { originOf } from "../http/origin.ts"
import type { Audit } from "./audit.ts"
import * as Buckets from "./buckets.ts"
import * as Tokens from "./tokens.ts"

/** Where a request came in. A socket says whose it is; elsewhere a token must. */
export class Channel extends Context.Reference<Channel>()("quiesce/internal/agent/Channel", {
  defaultValue: (): { readonly guest?: string | undefined } => ({})
}) {}

export interface AdmissionOptions {
  /** The names of the guests that are served. */
  readonly guests: ReadonlySet<string>
  readonly tokens: TokenStore["Type"]
  readonly audit: Audit
  /** Requests of one guest in a minute. */
  readonly requestsPerMinute: number
  /** Requests of one guest that are not answered yet: a question that waits is one. */
  readonly requestsAtOnce: number
  /** Failed authentications from one address in a minute, before they are not even looked at. */
  readonly failuresPerMinute: number
}

const tooMany = (seconds: number) =>
  Effect.zipRight(
    appendPreResponseHandler((_, response) =>
      Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(seconds)))
    ),
    new TooManyRequests({ retryAfterSeconds: seconds })
  )

/** The middleware of the protocol that lets guests in. */
export const make = Effect.fnUntraced(function*(options: AdmissionOptions) {
  const { audit, guests, tokens } = options
  const requests = yield* Buckets.make({ perMinute: options.requestsPerMinute, keys: guests.size + 1 })
  const failures = yield* Buckets.make({ perMinute: options.failuresPerMinute, keys: 4096 })
  const open = yield* Ref.make<ReadonlyMap<string, number>>(new Map())

  const count = (guest: string, by: number) =>
    Ref.updateAndGet(open, (all) => new Map([...all, [guest, (all.get(guest) ?? 0) + by]]))

  const proved = Effect.fnUntraced(function*(token: Redacted.Redacted<string>) {
    const { guest: own } = yield* Channel
    if (own !== undefined && Redacted.value(token) === "") return own
    const guest = yield* tokens.verify(token)
    if (Option.isSome(guest) && guests.has(guest.value) && (own ?? guest.value) === guest.value) return guest.value
    const { remoteAddress } = yield* HttpServerRequest.HttpServerRequest
    const address = Option.getOrElse(remoteAddress, () => `the socket of guest ${own}`)
    const claimed = Option.filter(Tokens.claimed(token), (name) => guests.has(name))
    yield* audit.denied({ guest: Option.getOrUndefined(claimed), address })
    const wait = yield* failures.take(originOf(address))
    return yield* wait > 0 ? tooMany(wait) : new Unauthorized()
  })

  /** Counts the request as open until its scope closes. */
  const enter = (guest: string): Effect.Effect<void, TooManyRequests, Scope.Scope> =>
    Effect.gen(function*() {
      const wait = yield* requests.take(guest)
      const all = yield* Effect.acquireRelease(count(guest, 1), () => count(guest, -1))
      const crowded = (all.get(guest) ?? 0) > options.requestsAtOnce
      if (wait === 0 && !crowded) return
      yield* audit.declined(guest, crowded ? "too many requests at once" : "too many requests a minute")
      return yield* tooMany(Math.max(1, wait))
    })

  return Authentication.of({
    bearer: (token) =>
      Effect.gen(function*() {
        const guest = yield* proved(token)
        yield* enter(guest)
        return { guest }
      })
  })
})
