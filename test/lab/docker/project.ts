/**
 * A Compose project without Compose: its containers carry the names and labels that Docker Compose v2 would give them.
 */
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import { LabError } from "../postgresInstall.ts"
import type { Engine } from "./engine.ts"
import type { Inspect, Listed } from "./engineTypes.ts"
import { imageName } from "./images.ts"
import { isAsNeeded, levels } from "./projectOrder.ts"
import { containerName, containerSpec, dependencies, type Home, labels, namedVolumes } from "./service.ts"
import { type Service, sharedNetwork, volumeLabels, type Which } from "./service.ts"

export interface Project {
  readonly name: string
  readonly home: Home
  /** Creates the containers, in the order of their dependencies; starts none. */
  readonly create: Effect.Effect<void, LabError>
  /** Creates what is not there, and starts all in the order of their dependencies, waiting as these say. */
  readonly up: Effect.Effect<void, LabError>
  /** Removes all containers and volumes of the project. */
  readonly down: Effect.Effect<void, LabError>
  /** The id of a container of the service: the one that is there now. */
  readonly id: (service: string, number?: number) => Effect.Effect<string, LabError>
  readonly inspect: (service: string, number?: number) => Effect.Effect<Inspect, LabError>
  /** `State.Status` by `service-number`, without those of `docker compose run`. */
  readonly states: Effect.Effect<Readonly<Record<string, string>>, LabError>
  /** As `docker compose run -d`: answers with the id. */
  readonly oneOff: (service: string, command?: ReadonlyArray<string>) => Effect.Effect<string, LabError>
  /**
   * As `docker compose up --force-recreate`, with changes to the service where some are given: a new container with a
   * new id takes the name, and is started. Containers that share the network of the old one are left as they are.
   */
  readonly recreate: (service: string, changes?: Partial<Service>) => Effect.Effect<string, LabError>
  /** Removes the containers of the service, also while they run. */
  readonly remove: (service: string) => Effect.Effect<void, LabError>
}

export interface Options {
  readonly services: Readonly<Record<string, Service>>
  readonly workingDir?: string
  /** `compose.yaml` in the working directory, where nothing is said. Absolute paths; they need not exist. */
  readonly configFiles?: ReadonlyArray<string>
}

const isOneOff = (container: Listed) => container.Labels[labels.oneOff] === "True"

/** The handle of a project. Nothing is created yet. */
export const project = (engine: Engine, name: string, options: Options): Project => {
  const services: Record<string, Service> = { ...options.services }
  const workingDir = options.workingDir ?? `/srv/${name}`
  const home: Home = { project: name, workingDir, configFiles: options.configFiles ?? [`${workingDir}/compose.yaml`] }
  const own = (service: string) => services[service] ?? {}
  const all = (service?: string) =>
    engine.list([`${labels.project}=${name}`, ...(service === undefined ? [] : [`${labels.service}=${service}`])])

  const found = (service: string, number: number) =>
    Effect.map(
      all(service),
      (list) => list.find((each) => !isOneOff(each) && each.Labels[labels.number] === String(number))?.Id
    )
  const id = Effect.fnUntraced(function*(service: string, number: number = 1) {
    const there = yield* found(service, number)
    return there ?? (yield* new LabError({ message: `${name} has no container ${service}-${number}` }))
  })
  const createOne = Effect.fnUntraced(function*(
    service: string,
    definition: Service,
    which: Which,
    replacing?: { readonly name: string; readonly label: string }
  ) {
    for (const volume of namedVolumes(definition)) {
      const spec = { Name: `${name}_${volume}`, Labels: volumeLabels(home, volume) }
      yield* engine.call("POST", "/volumes/create", [201], spec)
    }
    const image = yield* engine.call("GET", `/images/${imageName(definition.image ?? "bb")}/json`, [200])
    const network = sharedNetwork(definition)
    const spec = containerSpec(home, service, definition, which, {
      image: image.json<{ readonly Id: string }>().Id,
      network: network === undefined ? undefined : yield* id(network),
      replaces: replacing?.label
    })
    return yield* engine.create(replacing?.name ?? containerName(home, service, definition, which), spec)
  })

  const numbers = (service: string) => Array.from({ length: own(service).scale ?? 1 }, (_, index) => index + 1)
  const inOrder = (act: (service: string) => Effect.Effect<unknown, LabError>) =>
    Effect.suspend(() =>
      Effect.forEach(levels(services), (group) => Effect.forEach(group, act, { concurrency: "unbounded" }), {
        discard: true
      })
    )
  const create = inOrder((service) =>
    Effect.forEach(numbers(service), (number) =>
      Effect.flatMap(
        found(service, number),
        (there) => there === undefined ? createOne(service, own(service), { number }) : Effect.succeed(there)
      ))
  )
  const startAll = inOrder(Effect.fnUntraced(function*(service) {
    for (const [on, how] of Object.entries(dependencies(own(service)))) {
      const what = `as ${service} needs it (${how.condition ?? "service_started"})`
      for (const number of numbers(on)) yield* engine.until(yield* id(on, number), what, isAsNeeded(how))
    }
    for (const number of numbers(service)) yield* engine.start(yield* id(service, number))
  }))
  const removeAll = (containers: ReadonlyArray<Listed>) =>
    Effect.forEach(containers, ({ Id }) => engine.remove(Id), { concurrency: "unbounded", discard: true })

  return {
    name,
    home,
    create,
    up: Effect.zipRight(create, startAll),
    down: Effect.gen(function*() {
      yield* removeAll(yield* all())
      for (const volume of new Set(Object.values(services).flatMap(namedVolumes))) {
        yield* engine.call("DELETE", `/volumes/${name}_${volume}`, [204, 404])
      }
    }),
    id,
    inspect: (service, number) => Effect.flatMap(id(service, number), engine.inspect),
    states: Effect.map(all(), (list) => {
      const numbered = list.filter((container) => !isOneOff(container))
      const states = numbered.map(({ Labels, State }) => [`${Labels[labels.service]}-${Labels[labels.number]}`, State])
      return Object.fromEntries(states.sort())
    }),
    oneOff: Effect.fn("Project.oneOff")(function*(service, command) {
      const definition = { ...own(service), ...(command !== undefined && { command }) }
      const created = yield* createOne(service, definition, { slug: Crypto.randomBytes(32).toString("hex") })
      yield* engine.start(created)
      return created
    }),
    recreate: Effect.fn("Project.recreate")(function*(service, changes) {
      services[service] = { ...own(service), ...changes }
      const old = yield* id(service)
      const final = containerName(home, service, own(service), { number: 1 })
      const replacing = { name: `${old.slice(0, 12)}_${final}`, label: `${service}-1` }
      const created = yield* createOne(service, own(service), { number: 1 }, replacing)
      yield* engine.stop(old)
      yield* engine.remove(old)
      yield* engine.rename(created, final)
      yield* engine.start(created)
      return created
    }),
    remove: (service) => Effect.flatMap(all(service), removeAll)
  }
}
