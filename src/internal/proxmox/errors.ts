/**
 * How the API of Proxmox VE does not do what it was asked: one error for each case that is treated differently.
 */
import { Schema } from "effect"

const asked = { host: Schema.String, route: Schema.String }

/** The API cannot be reached, or the connection has ended without an answer. */
export class ProxmoxUnreachable extends Schema.TaggedError<ProxmoxUnreachable>()("ProxmoxUnreachable", {
  ...asked,
  reason: Schema.String,
  /** Whether the request may have been carried out. */
  sent: Schema.Boolean
}) {
  override get message(): string {
    return `the Proxmox API at ${this.host} cannot be reached: ${this.reason} (${this.route})`
  }
}

/** The certificate is not the one that is expected. Nothing was sent. */
export class ProxmoxUntrusted extends Schema.TaggedError<ProxmoxUntrusted>()("ProxmoxUntrusted", {
  ...asked,
  reason: Schema.String
}) {
  override get message(): string {
    return `the Proxmox API at ${this.host} is not trusted: ${this.reason}. The right fingerprint is what ` +
      "`pvenode cert info` prints on the host, of pveproxy-ssl.pem or else of pve-ssl.pem: compare both, and put it " +
      "into the configuration as 'fingerprint'"
  }
}

/** No answer in time. It may still do what it was asked. */
export class ProxmoxTimeout extends Schema.TaggedError<ProxmoxTimeout>()("ProxmoxTimeout", {
  ...asked,
  after: Schema.String
}) {
  override get message(): string {
    return `the Proxmox API at ${this.host} did not answer ${this.route} within ${this.after}`
  }
}

/** An error status. */
export class ProxmoxRefused extends Schema.TaggedError<ProxmoxRefused>()("ProxmoxRefused", {
  ...asked,
  status: Schema.Number,
  reason: Schema.String
}) {
  override get message(): string {
    return `the Proxmox API at ${this.host} answered ${this.status} to ${this.route}: ${this.reason}`
  }
}

/** An answer that is none: not HTTP, not JSON, too large, or without what must be in it. */
export class ProxmoxAnswerInvalid extends Schema.TaggedError<ProxmoxAnswerInvalid>()("ProxmoxAnswerInvalid", {
  ...asked,
  reason: Schema.String
}) {
  override get message(): string {
    return `the answer of ${this.host} to ${this.route} is not that of the Proxmox API: ${this.reason}`
  }
}

/** Every way in which the API does not do what it was asked. */
export type ProxmoxError =
  | ProxmoxUnreachable
  | ProxmoxUntrusted
  | ProxmoxTimeout
  | ProxmoxRefused
  | ProxmoxAnswerInvalid
