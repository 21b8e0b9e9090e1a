/**
 * Stacks that are containers: a Compose project, containers by name, or all that ask for it by a label.
 */
import { Effect, Layer, Predicate, Ref, Schema, type Scope } from "effect"
import type { StackName, Unit } from "../domain/Stack.ts"
import { detached } from "../internal/detached.ts"
import * as Container from "../internal/docker/container.ts"
import * as Endpoint from "../internal/docker/endpoint.ts"
import * as Engines from "../internal/docker/engines.ts"
import { Identity } from "../internal/docker/identity.ts"
import { ownContainer } from "../internal/docker/self.ts"
import { type DockerStack, type Survey, survey } from "../internal/docker/survey.ts"
import * as Witness from "../internal/docker/witness.ts"
import { StackControl, StackControlError, StackNotFound } from "../services/StackControl.ts"

export type { Selector } from "../internal/docker/members.ts"
export type { DockerStack } from "../internal/docker/survey.ts"

/** The stacks, and where their engine is. */
export interface StackControlDockerOptions {
  readonly stacks: ReadonlyArray<DockerStack>
  /** Default: DOCKER_HOST, or the socket of this machine. */
  readonly host?: string | undefined
  /** The directory that the agent backs up, where it is known: data outside of it is told. */
  readonly source?: string | undefined
}

type Operation = StackControlError["operation"]

/**
 * What the engine may still be doing although it has not said so. Also after an error of its own: it answers so when the
 * end of a container takes long, and what stands before it answers so when it is tired of waiting.
 */
const isOpen = (error: unknown) =>
  Predicate.isTagged(error, "EngineUnreachable") ||
  Predicate.isTagged(error, "EngineTimeout") ||
  Predicate.isTagged(error, "EngineAnswerInvalid") ||
  (Predicate.isTagged(error, "EngineRefused") && Predicate.hasProperty(error, "status") && Number(error.status) >= 500)

const failed = (operation: Operation, stack: StackName, unit?: Unit) =>
  Effect.mapError((error: { readonly message: string }) =>
    new StackControlError({
      stack,
      operation,
      reason: error.message,
      settled: !isOpen(error),
      ...unit === undefined ? {} : { unit: unit.id }
    })
  )

const decodeIdentity = Schema.decodeUnknown(Identity)

/** The control itself, for a layer that has several. Its connections are closed with the scope. */
export const make = Effect.fnUntraced(function*(
  options: StackControlDockerOptions
): Effect.fn.Return<StackControl["Type"], never, Scope.Scope> {
  const { source, stacks } = options
  const configured = new Map(stacks.map((stack) => [stack.stack, stack]))
  const host = options.host ?? (yield* Endpoint.hostFromEnvironment)
  const engineAt = yield* Engines.make
  const own = yield* ownContainer
  const memory = yield* Container.makeMemory
  const surveys = yield* Ref.make<ReadonlyMap<StackName, Survey>>(new Map())

  const look = Effect.fnUntraced(function*(operation: Operation, stack: StackName) {
    const found = configured.get(stack)
    if (found === undefined) return yield* new StackNotFound({ stack, known: [...configured.keys()] })
    const seen = yield* engineAt(host).pipe(
      Effect.flatMap((connected) => detached(survey(connected, found, { own, source, stacks }))),
      failed(operation, stack)
    )
    yield* Ref.update(surveys, (all) => new Map([...all, [stack, seen]]))
    return seen
  })

  /** What the last plan has seen. */
  const lastLook = (operation: Operation, stack: StackName) =>
    Effect.flatMap(Ref.get(surveys), (all) => {
      const seen = all.get(stack)
      return seen === undefined ? look(operation, stack) : Effect.succeed(seen)
    })

  const onUnit = <A, E extends { readonly message: string }>(
    operation: Operation,
    stack: StackName,
    unit: Unit,
    act: (handle: Container.Handle) => Effect.Effect<A, E>
  ): Effect.Effect<A, StackControlError> =>
    decodeIdentity(unit.identity).pipe(
      // the marker may name another engine than the configuration
      Effect.flatMap((identity) =>
        Effect.flatMap(engineAt(identity.engine), ({ engine }) => act({ engine, memory, unit, identity }))
      ),
      failed(operation, stack, unit)
    )

  const prepare = Effect.fn("StackControl.prepare")(function*(stack: StackName) {
    const { members } = yield* lastLook("prepare", stack)
    const { engine } = yield* failed("prepare", stack)(engineAt(host))
    const each = members.flatMap(({ container, settings: { execTimeout, how, prepare }, unit }) =>
      prepare === undefined || how === "none" || container.State.Status !== "running" ? [] : [
        Effect.filterOrFail(
          engine.exec(container.Id, prepare, execTimeout),
          ({ exitCode }) => exitCode === 0,
          ({ exitCode, output }) => ({ message: `${unit}: '${prepare.join(" ")}' ended with ${exitCode}: ${output}` })
        )
      ]
    )
    yield* detached(Effect.all(each, { concurrency: "unbounded", discard: true })).pipe(failed("prepare", stack))
  })

  const interference = Effect.fn("StackControl.interference")(
    function*(stack: StackName, units: ReadonlyArray<Unit>) {
      const { engine } = yield* engineAt(host)
      const { known } = yield* lastLook("inspect", stack)
      return yield* Witness.interference(engine, known, units, yield* engine.list({}))
    },
    (effect, stack) => failed("inspect", stack)(effect)
  )

  return {
    stacks: Effect.sync(() => [...configured.keys()]),
    inspect: (stack) => Effect.map(look("inspect", stack), ({ inspection }) => inspection),
    observe: (stack, unit) => onUnit("inspect", stack, unit, Container.observe),
    prepare,
    stop: (stack, unit) => onUnit("stop", stack, unit, Container.stop),
    start: (stack, unit) => onUnit("start", stack, unit, Container.start),
    interference
  }
})

/**
 * The control `docker`, over the Engine API of Docker or Podman: one unit for each container that may be held. Containers
 * say by labels how (`quiesce.*`); the order is that of Compose.
 */
export const layer = (options: StackControlDockerOptions): Layer.Layer<StackControl> =>
  Layer.scoped(StackControl, make(options))
