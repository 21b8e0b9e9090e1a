/**
 * How a Docker Engine does not do what it was asked: one error for each case that is treated differently.
 */
import { Schema } from "effect"

const asked = { host: Schema.String, route: Schema.String }

/** Nothing answers at the address: the daemon is down, or may not be asked. */
export class EngineUnreachable extends Schema.TaggedError<EngineUnreachable>()("EngineUnreachable", {
  ...asked,
  /** The `errno` name or the message of the transport. */
  code: Schema.String
}) {
  override get message(): string {
    switch (this.code) {
      case "ENOENT":
        return `there is no Docker engine at ${this.host}: start it, or name another address with DOCKER_HOST`
      case "ECONNREFUSED":
        return `the Docker engine at ${this.host} does not answer (connection refused): is it running?`
      case "EACCES":
        return `this user may not use the Docker engine at ${this.host} (permission denied): run as root, or as a member of the group docker`
      default:
        return `the Docker engine at ${this.host} cannot be reached: ${this.code} (${this.route})`
    }
  }
}

/** No answer in time. The engine may still do what it was asked. */
export class EngineTimeout extends Schema.TaggedError<EngineTimeout>()("EngineTimeout", {
  ...asked,
  after: Schema.String
}) {
  override get message(): string {
    return `the Docker engine at ${this.host} did not answer ${this.route} within ${this.after}`
  }
}

/** There is no such container (404). */
export class ContainerNotFound extends Schema.TaggedError<ContainerNotFound>()("ContainerNotFound", {
  ...asked,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** The state of the container does not allow it (409). */
export class EngineConflict extends Schema.TaggedError<EngineConflict>()("EngineConflict", {
  ...asked,
  reason: Schema.String
}) {
  override get message(): string {
    return `the Docker engine cannot do this now: ${this.reason}`
  }
}

/** Another error status. */
export class EngineRefused extends Schema.TaggedError<EngineRefused>()("EngineRefused", {
  ...asked,
  status: Schema.Number,
  reason: Schema.String
}) {
  override get message(): string {
    return `the Docker engine answered ${this.status} to ${this.route}: ${this.reason}`
  }
}

/** An answer that is none: not HTTP, not JSON, or without what must be in it. */
export class EngineAnswerInvalid extends Schema.TaggedError<EngineAnswerInvalid>()("EngineAnswerInvalid", {
  ...asked,
  reason: Schema.String
}) {
  override get message(): string {
    return `the answer of ${this.host} to ${this.route} is not that of a Docker engine: ${this.reason}`
  }
}

/** Every way in which an engine does not do what it was asked. */
export type EngineError =
  | EngineUnreachable
  | EngineTimeout
  | ContainerNotFound
  | EngineConflict
  | EngineRefused
  | EngineAnswerInvalid
