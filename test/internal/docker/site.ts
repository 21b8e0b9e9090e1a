/**
 * One real engine, with a proxy in front of it, for all live tests of a file.
 */
import { Effect, Exit, Schedule, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import { StackName, type Unit } from "../../../src/domain/Stack.ts"
import * as StackControlDocker from "../../../src/layers/StackControlDocker.ts"
import type { StackControl } from "../../../src/services/StackControl.ts"
import * as Dockerd from "../../lab/docker/dockerd.ts"
import type { Engine } from "../../lab/docker/engine.ts"
import { images } from "../../lab/docker/images.ts"
import * as Podman from "../../lab/docker/podman.ts"
import { type Options, type Project, project } from "../../lab/docker/project.ts"
import * as Proxy from "../../lab/docker/proxy.ts"
import { type Need, unmet } from "../../support/live.ts"

export interface Site<Lab> {
  readonly lab: Lab
  readonly engine: Engine
  /** Of the engine itself. */
  readonly host: string
  readonly root: string
  readonly proxy: Proxy.Proxy
}

/** Of the lab's engines. */
type Lab = Pick<Dockerd.Dockerd, "engine" | "host" | "root" | "socket">

const shared = <L extends Lab, E>(needs: ReadonlyArray<Need>, lab: Effect.Effect<L, E, Scope.Scope>) => {
  const scope = Effect.runSync(Scope.make())
  let site: Site<L> | undefined
  const make = Effect.gen(function*() {
    const made = yield* lab
    const { engine, host, root, socket } = made
    yield* images(engine, ["bb"])
    return { lab: made, engine, host, root, proxy: yield* Proxy.make(socket, `${root}/proxy.sock`) }
  })
  beforeAll(async () => {
    if (unmet(needs).length > 0) return
    site = await Effect.runPromise(Scope.extend(make, scope))
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)
  return Effect.suspend(() => site === undefined ? Effect.dieMessage("there is no site") : Effect.succeed(site))
}

/** A Docker for all tests of a file. */
export const docker = (): Effect.Effect<Site<Dockerd.Dockerd>> => shared(["docker"], Dockerd.make())

/** A Podman for all tests of a file. */
export const podman = (): Effect.Effect<Site<Podman.Podman>> => shared(["podman"], Podman.make())

/** A project that is up, and removed at the end of the scope. */
export const up = (engine: Engine, name: string, services: Options["services"], more: Partial<Options> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => project(engine, name, { ...more, services })),
    (made: Project) => Effect.orDie(made.down)
  ).pipe(Effect.tap((made) => made.up))

export const stack = StackName.make("app")

type Control = StackControl["Type"]

/** A control over one stack, made of a project. */
export const controlOf = (
  host: string,
  name: string,
  more: Partial<StackControlDocker.DockerStack> & Pick<StackControlDocker.StackControlDockerOptions, "source"> = {}
): Effect.Effect<Control, never, Scope.Scope> => {
  const { source, ...limits } = more
  return StackControlDocker.make({
    host,
    source,
    stacks: [{ stack, selector: { _tag: "Project", project: name }, ...limits }]
  })
}

/** The units of the stack, by name. */
export const unitsOf = (control: Control) =>
  Effect.map(
    control.inspect(stack),
    ({ units }): Readonly<Record<string, Unit>> => Object.fromEntries(units.units.map((unit) => [unit.id, unit]))
  )

/** One unit that must be there. */
export const unitOf = (control: Control, name: string) =>
  Effect.flatMap(unitsOf(control), (units) => {
    const unit = units[name]
    return unit === undefined ? Effect.dieMessage(`there is no unit '${name}'`) : Effect.succeed(unit)
  })

/** Looks until it is so; what was seen last, after 20 seconds. */
export const until = (control: Control, unit: Unit, state: string) =>
  control.observe(stack, unit).pipe(
    Effect.repeat({
      until: (seen) => seen.state === state,
      schedule: Schedule.zipRight(
        Schedule.spaced("50 millis"),
        Schedule.identity<
          Effect.Effect.Success<
            ReturnType<Control["observe"]>
          >
        >()
      )
    }),
    Effect.timeoutTo({
      duration: "20 seconds",
      onSuccess: Effect.succeed,
      onTimeout: () => control.observe(stack, unit)
    }),
    Effect.flatten
  )

/** Busybox, which does not end on SIGTERM. */
export const stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"] as const

/** How long it took, in milliseconds. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, (answer) => [answer, performance.now() - began] as const)
  })

/** How it failed. What has not failed is told in a few words: a runner that prints a whole answer takes minutes. */
export const failureOf = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<E, never, R> =>
  Effect.matchEffect(effect, {
    onFailure: Effect.succeed,
    onSuccess: () => Effect.dieMessage("it did not fail")
  })

/** Why it failed, for people. */
export const reasonOf = <E extends { readonly message: string }, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.map(failureOf(effect), ({ message }) => message)
