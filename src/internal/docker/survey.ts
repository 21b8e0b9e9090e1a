/**
 * Everything that is known of a stack of containers before it is held.
 */
import { Effect, Option } from "effect"
import { among, startOrder } from "../../domain/Order.ts"
import type { DataPlace, StackInspection, StackName, UnitObservation } from "../../domain/Stack.ts"
import { isWithin } from "../disk.ts"
import * as Compose from "./compose.ts"
import * as Data from "./data.ts"
import type { Connected } from "./engines.ts"
import type { EngineError } from "./errors.ts"
import * as Fitness from "./fitness.ts"
import * as Members from "./members.ts"
import * as Notes from "./notes.ts"
import type { Container, Summary } from "./schemas.ts"
import * as Self from "./self.ts"
import type { LabelInvalid } from "./settings.ts"
import * as State from "./state.ts"
import { type StackLimits, unitOf } from "./units.ts"
import type * as Witness from "./witness.ts"

/** One stack, as the configuration has it. */
export interface DockerStack extends StackLimits {
  readonly stack: StackName
  readonly selector: Members.Selector
}

/** Where this process is, and what is backed up. */
export interface Surroundings {
  /** All stacks of the engine: a container belongs to one. */
  readonly stacks: ReadonlyArray<DockerStack>
  readonly own: Self.Own | undefined
  readonly source: string | undefined
}

/** What a survey finds. */
export interface Survey {
  readonly inspection: StackInspection
  readonly members: ReadonlyArray<Members.Member>
  readonly known: Witness.Known
}

/** Two stacks with the same container would stop and start it against each other. */
const refuseShared = (stack: DockerStack, chosen: ReadonlyArray<Summary>, stacks: ReadonlyArray<DockerStack>) => {
  for (const other of stacks) {
    if (other.stack === stack.stack) continue
    const both = chosen.find((container) => Members.belongs(other.stack, other.selector, container))
    if (both === undefined) continue
    return new Members.StackUnfit({
      reason: `${Compose.nameOf(both.Names)} is also in stack '${other.stack}'; a container belongs to one stack`
    })
  }
  return Effect.void
}

/** Whether a path of this process is the same path for the engine: not so in a container, or on another machine. */
const seesPaths = ({ endpoint }: Connected, own: Self.Own | undefined) =>
  own === undefined &&
  (endpoint._tag === "Unix" || /^(localhost|127\..*|\[::1\])$/.test(new URL(endpoint.origin).hostname))

const placesOf = (
  members: ReadonlyArray<Members.Member>,
  source: string | undefined,
  pathOf: (source: string) => Effect.Effect<string>
) =>
  Effect.forEach(
    members.flatMap(({ container, unit }) => container.Mounts.filter(Data.hasData).map((mount) => ({ mount, unit }))),
    ({ mount, unit }) =>
      Effect.map(pathOf(mount.Source), (path): DataPlace => ({
        unit,
        kind: mount.Type,
        path,
        target: mount.Destination,
        writable: mount.RW,
        covered: source === undefined ? undefined : isWithin(path, source)
      }))
  )

const inspectOwn = ({ engine }: Connected, own: Self.Own | undefined): Effect.Effect<Container | undefined> =>
  own === undefined ? Effect.succeed(undefined) : Effect.map(
    // it may be one of another engine
    Effect.orElseSucceed(engine.inspect(own.id), () => undefined),
    (found) => found !== undefined && Self.isOwn(own, found) ? found : undefined
  )

/** Looks at a stack, and refuses what cannot be held or brought back. */
export const survey = Effect.fnUntraced(function*(
  connected: Connected,
  stack: DockerStack,
  { own, source, stacks }: Surroundings
): Effect.fn.Return<Survey, EngineError | LabelInvalid | Members.StackUnfit> {
  const { endpoint, engine } = connected
  const all = yield* engine.list({ all: true })
  const chosen = yield* Members.select(endpoint.host, stack.stack, stack.selector, all)
  yield* refuseShared(stack, chosen, stacks)
  const members = yield* Members.describe(engine, chosen)
  yield* Fitness.check(members, { endpoint, own: own?.id })

  const holdable = members.filter(({ settings }) => settings.how !== "none")
  const containers = new Map(holdable.map(({ container, unit }) => [unit, container]))
  // what waits for one that is left alone waits for what that one waits for
  const everyone = members.map((member) => unitOf(member, members, stack, endpoint.host))
  const units = startOrder(among(everyone.filter(({ id }) => containers.has(id)), everyone)).toReversed()
  const observations = units.flatMap((unit): ReadonlyArray<UnitObservation> => {
    const container = containers.get(unit.id)
    if (container === undefined) return []
    return [{ unit, stamp: State.stampOf(container), ...State.plain(container) }]
  })

  const us = yield* inspectOwn(connected, own)
  const pathOf = seesPaths(connected, own) ? Data.real : Effect.succeed
  const backedUp = source === undefined
    ? undefined
    : us !== undefined
    ? yield* Data.onEngine(source, us)
    : seesPaths(connected, own)
    ? yield* Data.real(source)
    : undefined
  const data = yield* placesOf(holdable, backedUp, pathOf)
  const running = all.filter(({ State }) => State === "running")
  const projects = new Set(members.flatMap(({ compose }) => compose?.project ?? []))
  const known: Witness.Known = {
    ids: new Set(
      all.filter(({ Id, Labels }) =>
        members.some(({ container }) => container.Id === Id) || projects.has(Compose.projectOf(Labels) ?? "")
      ).map(({ Id }) => Id)
    ),
    units: new Set(holdable.map(({ container }) => container.Id)),
    own: us?.Id,
    projects,
    paths: [
      ...yield* Data.writablePaths(holdable.flatMap(({ container }) => container.Mounts)),
      ...backedUp === undefined ? [] : [backedUp]
    ]
  }
  // a socket proxy may keep it to itself
  const about = yield* Effect.option(engine.describe)
  const notes = [
    ...Option.match(about, { onNone: () => [], onSome: (what) => [`held by way of ${what} at ${endpoint.host}`] }),
    ...yield* Notes.notesOn(members, running)
  ]
  return {
    members,
    known,
    inspection: { units: { stack: stack.stack, control: "docker", units }, observations, notes, data }
  }
})
