/**
 * Tells the failures of the transport, and the error statuses of the API, from one another.
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Option, Predicate, Schema } from "effect"
import { classify } from "../http/failure.ts"
import { ProxmoxAnswerInvalid, ProxmoxRefused, ProxmoxUnreachable, ProxmoxUntrusted } from "./errors.ts"
import { Problem } from "./schemas.ts"

/** What was asked. */
export interface Asked {
  readonly host: string
  readonly route: string
  /** The fingerprint that is wanted. */
  readonly fingerprint: string | undefined
  /** Takes the secret out of what the other end has said. */
  readonly hidden: (text: string) => string
}

/** With these there has been no connection. */
const unsent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"])

/** One line of printable text, as long as an error may be. */
export const line = ({ hidden }: Pick<Asked, "hidden">, text: string) =>
  hidden(text).replace(/[\s\p{Cc}]+/gu, " ").trim().slice(0, 500)

/** The failure of a request that has no answer, or of which the answer could not be read. */
export const failureOf = (asked: Asked, cause: unknown) => {
  const { fingerprint, host, route } = asked
  const { kind, reason: said } = classify(cause)
  const reason = line(asked, said)
  if (kind === "untrusted") {
    return new ProxmoxUntrusted({
      host,
      route,
      reason: fingerprint === undefined ? `${reason}, and no fingerprint is configured` : `${reason} (${fingerprint})`
    })
  }
  if (kind === "garbage") return new ProxmoxAnswerInvalid({ host, route, reason })
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  return new ProxmoxUnreachable({ host, route, reason, sent: typeof code !== "string" || !unsent.has(code) })
}

/** Older versions say why in the status line alone, which the interface of the response does not have. */
const statusLine = (response: HttpClientResponse.HttpClientResponse) =>
  Predicate.hasProperty(response, "source") && Predicate.hasProperty(response.source, "statusText")
    ? String(response.source.statusText)
    : ""

/** The error that an answer with an error status is. */
export const problemOf = (asked: Asked, response: HttpClientResponse.HttpClientResponse, text: string) => {
  const problem = Option.getOrElse(
    Schema.decodeUnknownOption(Schema.parseJson(Problem))(text),
    () => ({ message: "", errors: {} })
  )
  const fields = Object.entries(problem.errors).map(([name, wrong]) => `${name}: ${wrong}`)
  const said = [line(asked, problem.message) || line(asked, statusLine(response)), ...fields]
  const reason = line(asked, said.filter((part) => part !== "").join("; "))
  return new ProxmoxRefused({
    host: asked.host,
    route: asked.route,
    status: response.status,
    reason: reason === "" ? "no reason is given" : reason
  })
}
