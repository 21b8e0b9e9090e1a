/**
 * What the failure of a request that has no answer means, whatever the transport calls it.
 */
import { Predicate } from "effect"

/** `untrusted`: the other end is not who it should be. `garbage`: it speaks no HTTP, or too much of it. */
export interface Failure {
  readonly kind: "untrusted" | "garbage" | "broken"
  readonly reason: string
}

/** The codes with which Node tells that a certificate does not verify. */
const untrusted =
  /^(CERT_|SELF_SIGNED_CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)_|ERR_TLS_CERT_)/

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there (ECONNREFUSED)",
  ECONNRESET: "the connection was cut (ECONNRESET)",
  EPIPE: "the connection was cut (EPIPE)",
  ENOENT: "there is no such socket (ENOENT)",
  EACCES: "this user may not connect to the socket (EACCES)",
  ENOTFOUND: "the name of the host is not known (ENOTFOUND)",
  EAI_AGAIN: "the name of the host could not be looked up (EAI_AGAIN)",
  UND_ERR_CONNECT_TIMEOUT: "it does not take the connection in time",
  UND_ERR_SOCKET: "the connection was cut"
}

/** What the cause of a failed request means. */
export const classify = (cause: unknown): Failure => {
  const code = Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : ""
  const message = cause instanceof Error ? cause.message : "the connection failed"
  if (code === "CERT_FINGERPRINT") return { kind: "untrusted", reason: message }
  if (untrusted.test(code)) return { kind: "untrusted", reason: `its certificate does not verify (${code})` }
  if (code === "UND_ERR_RES_EXCEEDED_MAX_SIZE") return { kind: "garbage", reason: "it is too large" }
  if (code === "UND_ERR_HEADERS_OVERFLOW") return { kind: "garbage", reason: "its headers are too large" }
  if (cause instanceof Error && cause.name === "HTTPParserError") {
    return { kind: "garbage", reason: `it is no HTTP (${message})` }
  }
  return { kind: "broken", reason: words[code] ?? (code === "" || code.startsWith("UND_") ? message : code) }
}
