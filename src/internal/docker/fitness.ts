/**
 * What makes a stack unfit to be held: each reason says which container it is, and the way out.
 */
import { Effect } from "effect"
import { findCycle } from "../../domain/Order.ts"
import { edgesOf, isAwaitedJob } from "./edges.ts"
import type { Endpoint } from "./endpoint.ts"
import { type Member, StackUnfit } from "./members.ts"
import { label } from "./settings.ts"

/** What a stack is held by, and from where. */
export interface Place {
  readonly endpoint: Endpoint
  /** The id of the container that this process runs in. */
  readonly own: string | undefined
}

const way = `label it ${label.stop}=none`

/**
 * The engine may be reached by way of a container of the stack, as behind a socket proxy: by a name or an address that
 * it has in its networks, or by a port that it has on the machine, which nobody else can have there.
 */
const carriesUs = ({ compose, container: { NetworkSettings }, name }: Member, { endpoint }: Place) => {
  if (endpoint._tag === "Unix") return false
  const { hostname, port } = new URL(endpoint.origin)
  const networks = Object.values(NetworkSettings.Networks)
  const names = [
    name,
    compose?.service,
    ...networks.flatMap(({ Aliases }) => Aliases),
    ...networks.flatMap(({ DNSNames }) => DNSNames),
    ...networks.map(({ IPAddress }) => IPAddress),
    ...networks.map(({ GlobalIPv6Address }) => `[${GlobalIPv6Address}]`)
  ]
  const ports = Object.values(NetworkSettings.Ports).flatMap((published) => published ?? [])
  return names.includes(hostname) || ports.some(({ HostPort }) => HostPort === port)
}

/** One that shares the network of another container has the host files of that one, by which we know ours. */
const mayBeUs = ({ container: { HostConfig, Id } }: Member, { own }: Place) =>
  own !== undefined && (Id === own || HostConfig.NetworkMode === `container:${own}`)

const against = (member: Member, all: ReadonlyArray<Member>, place: Place): string | undefined => {
  const { container: { Config, HostConfig }, name } = member
  if (Config.Labels["com.docker.swarm.service.id"] !== undefined) {
    return `${name} is a task of a Swarm service: Swarm starts another one when it is stopped; scale the service instead`
  }
  if (HostConfig.AutoRemove) {
    return `${name} is removed when it stops (--rm, AutoRemove), so it could not be started again; ` +
      `make it without that, or ${way}`
  }
  if (mayBeUs(member, place)) return `quiesce itself runs in ${name}, and would stop itself; ${way}`
  if (carriesUs(member, place)) {
    return `the Docker engine is reached by way of ${name} (${place.endpoint.host}), which could not be started again ` +
      `once it is stopped; ${way}`
  }
  if (isAwaitedJob(member, all)) {
    return `${name} is at work, and others wait for its completion (service_completed_successfully); ` +
      "a run begins when it is over"
  }
  return undefined
}

/** Passes when every container that would be held can be, and be brought back. */
export const check = (all: ReadonlyArray<Member>, place: Place): Effect.Effect<void, StackUnfit> => {
  const held = all.filter(({ container, settings }) => settings.how !== "none" && container.State.Status === "running")
  for (const member of held) {
    const reason = against(member, all, place)
    if (reason !== undefined) return new StackUnfit({ reason })
  }
  const units = all.filter(({ settings }) => settings.how !== "none")
  const cycle = findCycle(units.map((member) => ({ id: member.unit, after: edgesOf(member, units) })))
  return cycle === undefined
    ? Effect.void
    : new StackUnfit({
      reason: `its containers wait for each other in a circle: ${cycle.join(" -> ")}; ` +
        `change depends_on or ${label.order}`
    })
}
