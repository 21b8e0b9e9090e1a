/**
 * What must be up before a container is started, from everything that says so.
 */
import type { Dependency } from "../../domain/Stack.ts"
import * as Compose from "./compose.ts"
import type { Member } from "./members.ts"

/** `container:<id or name>`, as in network_mode, ipc and pid. Compose writes its `service:` so. */
const containerIn = (mode: string) => mode.startsWith("container:") ? mode.slice("container:".length) : undefined

/** The other containers that this one lives in: they must be started first, or it cannot start. */
const hostsOf = ({ container: { HostConfig } }: Member): ReadonlyArray<string> => [
  ...[HostConfig.NetworkMode, HostConfig.IpcMode, HostConfig.PidMode].flatMap((mode) => containerIn(mode) ?? []),
  ...HostConfig.VolumesFrom.map((from) => from.split(":")[0] ?? "")
]

const refersTo = (reference: string, { container, name }: Member) =>
  reference !== "" && (container.Id === reference || name === reference ||
    (reference.length >= 12 && container.Id.startsWith(reference)))

const services = (member: Member, all: ReadonlyArray<Member>): ReadonlyArray<Dependency> =>
  Compose.dependsOn(member.container.Config.Labels).flatMap(({ condition, service }) =>
    all.filter(({ compose }) => compose?.service === service && compose.project === member.compose?.project)
      .map(({ unit }) => ({ unit, until: condition === "healthy" ? "up" : "started" }))
  )

/** The dependencies of one member on others of its stack; of two on the same unit the stricter one. */
export const edgesOf = (member: Member, all: ReadonlyArray<Member>): ReadonlyArray<Dependency> => {
  const others = all.filter((other) => other !== member)
  const hosts = hostsOf(member).flatMap((reference) => others.filter((other) => refersTo(reference, other)))
  const lower = others.filter(({ settings }) => settings.order < member.settings.order)
  const found: ReadonlyArray<Dependency> = [
    ...hosts.map(({ unit }): Dependency => ({ unit, until: "started" })),
    ...lower.map(({ unit }): Dependency => ({ unit, until: "up" })),
    ...services(member, others)
  ]
  const units = [...new Set(found.map(({ unit }) => unit))].sort()
  return units.map((unit) => ({
    unit,
    until: found.some((edge) => edge.unit === unit && edge.until === "up") ? "up" : "started"
  }))
}

/** Jobs that others wait for to be completed: to stop one in the middle would undo what they rely on. */
export const isAwaitedJob = (member: Member, all: ReadonlyArray<Member>): boolean =>
  member.compose !== undefined && all.some(({ compose, container }) =>
    compose?.project === member.compose?.project &&
    Compose.dependsOn(container.Config.Labels).some(({ condition, service }) =>
      condition === "completed" && service === member.compose?.service
    )
  )
