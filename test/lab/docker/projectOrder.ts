/**
 * What comes before what in a Compose project.
 */
import type { Inspect } from "./engineTypes.ts"
import { dependencies, type Dependency, type Service } from "./service.ts"

/** The services in groups: each depends on nothing but what is in the groups before it. */
export const levels = (services: Readonly<Record<string, Service>>): ReadonlyArray<ReadonlyArray<string>> => {
  const depth = (name: string): number => {
    const service = services[name]
    return service === undefined ? 0 : 1 + Math.max(0, ...Object.keys(dependencies(service)).map(depth))
  }
  const groups: Array<Array<string>> = []
  for (const name of Object.keys(services)) (groups[depth(name) - 1] ??= []).push(name)
  return groups.filter(Boolean)
}

/** Whether a container is as a dependant waits for it to be. */
export const isAsNeeded = ({ condition }: Dependency) => ({ State }: Inspect): boolean => {
  switch (condition) {
    case "service_healthy":
      return State.Health?.Status === "healthy"
    case "service_completed_successfully":
      return State.Status === "exited" && State.ExitCode === 0
    default:
      return State.Running
  }
}
