/**
 * What else runs beside a stack: who could write into its data, and who has taken the place of one of its containers.
 */
import { Effect } from "effect"
import type { Unit } from "../../domain/Stack.ts"
import type { Interference } from "../../services/StackControl.ts"
import * as Compose from "./compose.ts"
import * as Data from "./data.ts"
import type { Engine } from "./engine.ts"
import type { EngineError } from "./errors.ts"
import type { Summary } from "./schemas.ts"

/** What was there at the last look, which may have come after the plan. */
export interface Known {
  /** All containers of the stack and of its projects, also those that are left alone. */
  readonly ids: ReadonlySet<string>
  /** The containers that a run can hold. */
  readonly units: ReadonlySet<string>
  /** The container that this process runs in. */
  readonly own: string | undefined
  readonly projects: ReadonlySet<string>
  /** Where the units write, and what the agent reads. */
  readonly paths: ReadonlyArray<string>
}

/** Older versions of Podman list containers without their mounts. */
const mountsOf = (engine: Engine, { Id, Mounts }: Summary) =>
  Mounts === undefined
    ? engine.inspect(Id).pipe(
      Effect.map(({ Mounts }) => Mounts),
      // it is gone, and writes no more
      Effect.catchTag("ContainerNotFound", () => Effect.succeed([]))
    )
    : Effect.succeed(Mounts)

/** What speaks against the claim in one of the containers that run now. */
const against = Effect.fnUntraced(function*(
  engine: Engine,
  known: Known,
  planned: ReadonlySet<unknown>,
  other: Summary
): Effect.fn.Return<ReadonlyArray<Interference>, EngineError> {
  if (planned.has(other.Id) || other.Id === known.own) return []
  const name = Compose.nameOf(other.Names)
  const project = Compose.membership(other.Labels)?.project
  const isNew = project !== undefined && known.projects.has(project) && !known.ids.has(other.Id)
  if (isNew || known.units.has(other.Id)) {
    const of = project === undefined ? "" : ` of project ${project}`
    return [{ reason: "restarted-in-window", detail: `${name}${of} has come up since the plan` }]
  }
  const paths = yield* Effect.flatMap(mountsOf(engine, other), Data.writablePaths)
  const path = Data.shared(paths, known.paths)
  return path === undefined ? [] : [{ reason: "shared-data", detail: `${name} runs and can write into ${path}` }]
})

/** What speaks against the claim among the containers that run now. */
export const interference = (
  engine: Engine,
  known: Known,
  /** The units of the plan, held or down. */
  units: ReadonlyArray<Pick<Unit, "identity">>,
  running: ReadonlyArray<Summary>
): Effect.Effect<ReadonlyArray<Interference>, EngineError> => {
  const planned = new Set(units.map(({ identity }) => identity["id"]))
  return Effect.map(
    Effect.forEach(running, (other) => against(engine, known, planned, other)),
    (found) => found.flat()
  )
}
