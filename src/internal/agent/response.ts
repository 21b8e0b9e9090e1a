/**
 * What every answer of the agent is made of, and that no answer says more than it must: of a request that cannot be read
 * nothing is said back, and what does not exist looks the same everywhere.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Cause, Effect } from "effect"
import { oneLine } from "../oneLine.ts"

const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" }

const unreadable = HttpServerResponse.unsafeJson(
  { _tag: "HttpApiDecodeError", issues: [], message: "the request cannot be read" },
  { status: 400 }
)

const notFound = HttpServerResponse.unsafeJson({ _tag: "NotFound" }, { status: 404 })

const plain = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  switch (response.status) {
    case 400:
      return unreadable
    case 401:
      return HttpServerResponse.setHeader(response, "www-authenticate", "Bearer")
    case 404:
      return notFound
    default:
      return response
  }
}

const ofCause = <E>(cause: Cause.Cause<E>) =>
  Effect.gen(function*() {
    const [response] = yield* HttpServerError.causeResponse(cause)
    if (response.status >= 500 && !Cause.isInterruptedOnly(cause)) {
      yield* Effect.logError(oneLine(`a request has failed within: ${Cause.pretty(cause)}`))
    }
    return response
  })

/** The app, with answers of this kind. While the agent ends, no connection is kept. */
export const finished = <R>(
  app: HttpApp.Default<never, R>,
  stopping: Effect.Effect<boolean>
): HttpApp.Default<never, R> =>
  Effect.gen(function*() {
    const response = yield* Effect.catchAllCause(app, ofCause)
    return HttpServerResponse.setHeaders(plain(response), {
      ...headers,
      ...(yield* stopping) ? { connection: "close" } : {}
    })
  })
