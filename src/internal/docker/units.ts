/**
 * Containers as units of a stack.
 */
import { Duration } from "effect"
import { longest } from "../../domain/DurationText.ts"
import { longestTimeLimit, type Unit } from "../../domain/Stack.ts"
import { edgesOf } from "./edges.ts"
import * as Health from "./health.ts"
import type { Hook, Identity } from "./identity.ts"
import type { Member } from "./members.ts"

/** What the configuration of a stack says for all of its containers. */
export interface StackLimits {
  /** Before SIGKILL. Default: each container's own. */
  readonly stopTimeout?: Duration.Duration | undefined
  /** From the start to being up. Default: a minute, or what the health check of the container allows. */
  readonly startTimeout?: Duration.Duration | undefined
}

/** Seconds that the engine gives a container which says nothing. */
const defaultGrace = 10

/** Seconds, for a container that would be waited for without end. */
const longestGrace = 60

/**
 * Less than 0: the engine would wait without end. 0: it would kill at once, which is never a clean end; Podman's
 * compatible API writes 0 where nothing was said.
 */
const safeGrace = (own: number | undefined) =>
  own === undefined || own > 0 ? undefined : own < 0 ? longestGrace : defaultGrace

/** For the engine's own work around a stop and a kill. */
const stopMargin = 10_000

const plainStart = Duration.minutes(1)
const shortestStart = 10_000

const limited = (millis: number) => Math.min(millis, longestTimeLimit)

const seconds = (duration: Duration.Duration | undefined) =>
  duration === undefined ? undefined : Math.ceil(Duration.toSeconds(duration))

const hook = (argv: ReadonlyArray<string> | undefined, timeout: Duration.Duration): Hook | undefined =>
  argv === undefined ? undefined : { argv, timeoutMs: Duration.toMillis(timeout) }

/** What somebody has paused stays so, and is never stopped or started: it is down in the way of a pause. */
const howOf = ({ container, settings }: Member): Identity["how"] =>
  container.State.Status === "paused" ? "pause" : settings.how === "none" ? "stop" : settings.how

/** The unit of a member among all that are held or may be. */
export const unitOf = (
  member: Member,
  all: ReadonlyArray<Member>,
  limits: StackLimits,
  engine: string
): Unit => {
  const { compose, container, name, settings } = member
  const own = container.Config.StopTimeout
  const asked = seconds(settings.stopTimeout ?? limits.stopTimeout) ?? safeGrace(own)
  const gate = Health.gateOf(container, settings.health)
  const check = container.Config.Healthcheck
  const start = limits.startTimeout ?? (gate === "running" || check === undefined
    ? plainStart
    : Duration.min(longest, Math.max(shortestStart, Health.budgetMs(check))))
  const freeze = hook(settings.freeze, settings.execTimeout)
  const thaw = hook(settings.thaw, settings.execTimeout)
  const identity: Identity = {
    engine,
    id: container.Id,
    name,
    how: howOf(member),
    gate,
    ...all.some((other) => edgesOf(other, all).some((edge) => edge.unit === member.unit && edge.until === "up"))
      ? { awaited: true }
      : {},
    ...asked === undefined ? {} : { grace: asked },
    ...freeze === undefined ? {} : { freeze },
    ...thaw === undefined ? {} : { thaw },
    ...compose === undefined ? {} : { compose }
  }
  return {
    id: member.unit,
    stopTimeoutMs: limited(
      Math.min(asked ?? own ?? defaultGrace, Duration.toSeconds(longest)) * 1000 + stopMargin + (freeze?.timeoutMs ?? 0)
    ),
    startTimeoutMs: limited(Duration.toMillis(start) + (thaw?.timeoutMs ?? 0)),
    after: edgesOf(member, all),
    identity: { ...identity }
  }
}
