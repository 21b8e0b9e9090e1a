/**
 * What a failure of the API means for a backup.
 */
import { AgentAnswerInvalid, AgentRefused, AgentUnavailable } from "../../services/AgentClient.ts"
import type { ProxmoxError } from "./errors.ts"

/** It may go better later: the proxy could not reach the node (595), or is overloaded. */
const passing = (status: number) => status >= 500 || status === 408 || status === 429

/** Whether the same question may be answered later. */
export const isTransient = (error: ProxmoxError): boolean =>
  error._tag === "ProxmoxRefused" ? passing(error.status) : error._tag !== "ProxmoxUntrusted"

/** Whether what was asked for may have been done all the same. */
export const mayBeDone = (error: ProxmoxError): boolean =>
  error._tag === "ProxmoxUnreachable" ? error.sent : isTransient(error)

const wayOut = (status: number): string => {
  switch (status) {
    case 401:
      return "; is the token what `pveum user token add` has printed, as USER@REALM!TOKENID=SECRET, and not expired?"
    case 403:
      return "; both the user and its token need this privilege: pveum acl modify PATH -user/-token ... -role ..."
    default:
      return ""
  }
}

/** The error as an agent says it. */
export const toAgent = (error: ProxmoxError): AgentUnavailable | AgentAnswerInvalid | AgentRefused => {
  switch (error._tag) {
    case "ProxmoxUnreachable":
    case "ProxmoxTimeout":
      return new AgentUnavailable({ reason: error.message })
    case "ProxmoxAnswerInvalid":
      return new AgentAnswerInvalid({ reason: error.message })
    case "ProxmoxUntrusted":
      return new AgentRefused({ reason: error.message })
    case "ProxmoxRefused":
      return passing(error.status)
        ? new AgentUnavailable({ reason: error.message })
        : new AgentRefused({ reason: `${error.message}${wayOut(error.status)}` })
  }
}
