/**
 * A server that is made of answers alone: no socket, no time. What it has said last it says no more.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Clock, Effect, type Either } from "effect"
import type { Random } from "./random.ts"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Base64. */
  readonly body: string
}

const withoutBody = new Set([204, 205, 304])

/** What a client reads of a response. A whole one has streams, and costs more than all that is made of it. */
const light = (status: number, headers: Readonly<Record<string, string>>, body: Buffer): Response => {
  const bytes = withoutBody.has(status) ? Buffer.alloc(0) : body
  let isRead = false
  // as with a real one, what was read is gone
  const read = <A>(as: () => A) => {
    if (isRead) return Promise.reject(new TypeError("the body was read before"))
    isRead = true
    return Promise.resolve(as())
  }
  const response: Partial<Response> = {
    status,
    headers: new Headers(headers),
    // as the decoder of Node: a byte order mark is no part of the text
    text: () => read(() => new TextDecoder().decode(bytes)),
    arrayBuffer: () => read(() => Uint8Array.from(bytes).buffer)
  }
  return response as Response
}

export interface Server {
  readonly http: HttpClient.HttpClient
  /** From now on it says these answers one after the other, and then always this status. */
  readonly say: (answers: ReadonlyArray<Answer>, atLast: number) => void
}

export const server = (): Server => {
  let left: ReadonlyArray<Answer> = []
  let last = 404
  const http = HttpClient.make((request) =>
    Effect.sync(() => {
      const { body, headers, status } = left[0] ?? { status: last, headers: {}, body: "" }
      left = left.slice(1)
      return HttpClientResponse.fromWeb(request, light(status, headers, Buffer.from(body, "base64")))
    })
  )
  return {
    http,
    say: (answers, atLast) => {
      left = answers
      last = atLast
    }
  }
}

/** One that says no more than this. */
export const saying = (answers: ReadonlyArray<Answer>, atLast: number): HttpClient.HttpClient => {
  const made = server()
  made.say(answers, atLast)
  return made.http
}

const statuses = [
  200,
  200,
  200,
  200,
  200,
  202,
  204,
  304,
  400,
  401,
  403,
  404,
  409,
  409,
  418,
  429,
  500,
  503,
  595
] as const
const types = [
  "application/json",
  "application/json",
  "application/json",
  "application/json; charset=utf-8",
  "text/html",
  "",
  "application/jsonp"
] as const

/** An answer with this body. */
export const answer = (r: Random, body: string | Buffer, more: Readonly<Record<string, string>> = {}): Answer => ({
  status: r.chance(2) ? 200 : r.pick(statuses),
  headers: {
    "content-type": r.chance(4) ? r.pick(types) : "application/json",
    ...r.chance(20) ? { "retry-after": r.pick(["0", "1", "-1", "1e9", "99999999", "x", "3600"]) } : {},
    ...more
  },
  body: (typeof body === "string" ? Buffer.from(body, "utf8") : body).toString("base64")
})

/** A clock without time: short pauses are over at once, and what would take long never is. */
const clock: Clock.Clock = {
  ...Clock.make(),
  unsafeCurrentTimeMillis: () => 0,
  unsafeCurrentTimeNanos: () => 0n,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanos: Effect.succeed(0n),
  sleep: (duration) =>
    Number((duration as { readonly value: { readonly millis?: number } }).value.millis ?? 1e9) < 10_000
      ? Effect.yieldNow()
      : Effect.never
}

/** The value, or the typed error; a defect throws. */
export const outcome = <A, E>(effect: Effect.Effect<A, E>): Promise<Either.Either<A, E>> =>
  Effect.runPromise(Effect.withClock(Effect.either(effect), clock))
