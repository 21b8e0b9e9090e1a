/**
 * One container that a run holds: found by its identity, looked at, stopped and started.
 */
import { Clock, Duration, Effect, Option, Predicate, Ref, Schedule, Schema } from "effect"
import type { Unit, UnitObservation } from "../../domain/Stack.ts"
import type { StopResult } from "../../services/StackControl.ts"
import * as Compose from "./compose.ts"
import type { Engine } from "./engine.ts"
import type { EngineError } from "./errors.ts"
import * as Health from "./health.ts"
import type { Hook, Identity } from "./identity.ts"
import type { Container } from "./schemas.ts"
import * as State from "./state.ts"

/** No container has this identity any more. */
export class ContainerGone extends Schema.TaggedError<ContainerGone>()("ContainerGone", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** A command in a container ended badly, or the container did not come up for it. */
export class HookFailed extends Schema.TaggedError<HookFailed>()("HookFailed", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** Why a container cannot be held or brought back. */
export type ContainerError = EngineError | ContainerGone | HookFailed

const goneReason = ({ compose, name }: Identity): string =>
  compose === undefined
    ? `there is no container ${name} any more; make it again`
    : `there is no container of service ${compose.service} (number ${compose.number}) of project ${compose.project} ` +
      `any more; make it again: ${Compose.upCommand(compose)}`

/** Another container may have taken its place: made again by Compose, or by hand with the same name. */
const successor = Effect.fnUntraced(function*(engine: Engine, identity: Identity) {
  const { compose, name } = identity
  const found = compose === undefined
    ? (yield* engine.list({ all: true })).find(({ Names }) => Names.includes(`/${name}`))
    : Compose.find(yield* engine.list({ all: true, labels: Compose.serviceFilter(compose) }), compose)
  return found === undefined
    ? yield* new ContainerGone({ reason: goneReason(identity) })
    : yield* engine.inspect(found.Id)
})

/** Does it to the container that has this identity now. The id is tried first, and is only a hint. */
const on = <A, E>(engine: Engine, identity: Identity, act: (id: string) => Effect.Effect<A, E | EngineError>) =>
  act(identity.id).pipe(
    Effect.catchIf(
      Predicate.isTagged("ContainerNotFound"),
      () => Effect.flatMap(successor(engine, identity), ({ Id }) => act(Id))
    )
  )

/** What the engine knows of it now. */
const inspect = (engine: Engine, identity: Identity) => on(engine, identity, engine.inspect)

/** What is known of a container beside the engine's answers. A life is the time from a start to an end. */
interface Remembered {
  /** How far this process got with its commands. */
  readonly hook?: "touched" | "frozen" | "thawed"
  /** The life in which it was frozen: the next one is not. */
  readonly frozenIn?: string
  /** When this process has started it, by `elapsed`. */
  readonly startedAt?: number
  /** The life that was seen to be up. */
  readonly upSince?: string
}

const lifeOf = ({ Id, State: { StartedAt } }: Container) => `${Id} ${StartedAt}`

/** What must be known beside the engine's answers, for as long as this process lives. */
export interface Memory {
  readonly get: (id: string) => Effect.Effect<Remembered>
  readonly set: (id: string, more: Remembered) => Effect.Effect<void>
}

/** Nothing is known yet. */
export const makeMemory: Effect.Effect<Memory> = Effect.map(
  Ref.make<ReadonlyMap<string, Remembered>>(new Map()),
  (ref) => ({
    get: (id) => Effect.map(Ref.get(ref), (all) => all.get(id) ?? {}),
    set: (id, more) => Ref.update(ref, (all) => new Map([...all, [id, { ...all.get(id), ...more }]]))
  })
)

/** A container, and what is needed to do something with it. */
export interface Handle {
  readonly engine: Engine
  readonly memory: Memory
  readonly unit: Unit
  readonly identity: Identity
}

const runHook = Effect.fnUntraced(function*({ engine, identity }: Handle, what: string, hook: Hook) {
  const { exitCode, output } = yield* on(engine, identity, (id) => engine.exec(id, hook.argv, hook.timeoutMs))
  if (exitCode === 0) return
  const said = output === "" ? "" : `: ${output.split("\n").slice(-3).join("\n")}`
  return yield* new HookFailed({ reason: `its ${what} command '${hook.argv.join(" ")}' ended with ${exitCode}${said}` })
})

/** Milliseconds that no setting of the machine's clock changes. */
const elapsed = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)

/**
 * How long, in milliseconds, a container that no other one waits for is left to itself: its test would take from the
 * machine what its start needs.
 */
const startingTime = 100

/** Whether a running container is up; why not, otherwise. A life that passed its test once is not tested again. */
const isUp = Effect.fnUntraced(function*({ engine, identity, memory }: Handle, container: Container) {
  const life = lifeOf(container)
  const { startedAt, upSince } = yield* memory.get(identity.id)
  if (upSince === life) return Option.none<string>()
  if (identity.gate === "exec" && identity.awaited !== true && startedAt !== undefined) {
    if ((yield* elapsed) - startedAt < startingTime) return Option.some("it was started a moment ago")
  }
  const not = yield* Health.isUp(engine, container, identity.gate)
  if (Option.isNone(not)) yield* memory.set(identity.id, { upSince: life })
  return not
})

/**
 * What is true of it. A running container whose thaw command this process has not run may still stand still, for all
 * that is known; a container with a health test is up only when that passes.
 */
const look = Effect.fnUntraced(function*(handle: Handle, container: Container): Effect.fn.Return<State.Seen> {
  const { identity, memory } = handle
  const now = State.held(container, identity.how)
  if (now.state !== "running") return now
  const { frozenIn, hook } = yield* memory.get(identity.id)
  if (identity.how === "exec" && hook === "frozen" && frozenIn === lifeOf(container)) {
    return { state: "stopped", detail: "held by its freeze command", frozen: true }
  }
  if (identity.thaw !== undefined && hook !== "thawed") {
    return { ...now, state: "unknown", detail: "running, but its thaw command was not seen to end well" }
  }
  return Option.match(yield* isUp(handle, container), {
    onNone: () => now,
    onSome: (detail) => ({ ...now, state: "changing", detail })
  })
})

const observation = (handle: Handle, container: Container): Effect.Effect<UnitObservation> =>
  Effect.map(look(handle, container), (seen) => ({ unit: handle.unit, stamp: State.stampOf(container), ...seen }))

/** The present state of a unit. */
export const observe = (handle: Handle): Effect.Effect<UnitObservation, EngineError | ContainerGone> =>
  Effect.flatMap(inspect(handle.engine, handle.identity), (container) => observation(handle, container))

const hold = ({ engine, identity, unit }: Handle): Effect.Effect<void, ContainerError> => {
  switch (identity.how) {
    case "exec":
      return Effect.void
    case "pause":
      return on(engine, identity, engine.pause)
    case "stop":
      return on(engine, identity, (id) => engine.stop(id, { grace: identity.grace, timeout: unit.stopTimeoutMs }))
  }
}

/** Holds it by what its labels say, and says how it was after that, and whether it ended as it should. */
export const stop = Effect.fnUntraced(function*(handle: Handle): Effect.fn.Return<StopResult, ContainerError> {
  const { engine, identity, memory } = handle
  yield* memory.set(identity.id, { hook: "touched" })
  if (identity.freeze !== undefined) {
    const frozenIn = lifeOf(yield* inspect(engine, identity))
    yield* runHook(handle, "freeze", identity.freeze)
    yield* memory.set(identity.id, { hook: "frozen", frozenIn })
  }
  yield* hold(handle)
  const container = yield* inspect(engine, identity)
  return {
    clean: identity.how !== "stop" || !State.wasKilled(container),
    seen: yield* observation(handle, container)
  }
})

const isRunningAndUp = (handle: Handle) =>
  Effect.flatMap(inspect(handle.engine, handle.identity), (container) =>
    State.plain(container).state === "running"
      ? Effect.map(isUp(handle, container), Option.isNone)
      : Effect.succeed(false))

/** A freeze command that was not waited for to its end may still be at work, also one of a process that has died. */
const isFreezing = ({ engine, identity }: Handle) =>
  identity.freeze === undefined
    ? Effect.succeed(false)
    : on(engine, identity, (id) => engine.isAtWork(id, identity.freeze?.argv ?? []))

/**
 * After its freeze command, which would have the last word else; and, where it has been started, once it is up: before
 * that it could not do what the command asks. But not without end: it may be the thaw that it needs to come up.
 */
const thaw = Effect.fnUntraced(function*(handle: Handle, hook: Hook, started: boolean) {
  const { identity, memory, unit } = handle
  yield* isFreezing(handle).pipe(
    Effect.flatMap((freezing) =>
      freezing ? Effect.succeed(false) : started ? isRunningAndUp(handle) : Effect.succeed(true)
    ),
    Effect.repeat({
      until: (ready) => ready,
      schedule: Schedule.identity<boolean>().pipe(Schedule.addDelay(() => "50 millis"))
    }),
    Effect.timeoutOption(Duration.millis(Math.max(1_000, unit.startTimeoutMs - hook.timeoutMs)))
  )
  yield* runHook(handle, "thaw", hook)
  if (yield* isFreezing(handle)) {
    return yield* new HookFailed({ reason: "its thaw command was run, but its freeze command has not ended yet" })
  }
  yield* memory.set(identity.id, { hook: "thawed" })
})

/** How long a container that the engine takes for running is looked at: a stop of somebody else may be under way. */
const settleTime = "1 second"

const startIt = Effect.fnUntraced(
  function*({ engine, identity, memory, unit }: Handle): Effect.fn.Return<boolean, ContainerError> {
    const start = on(engine, identity, (id) => engine.start(id, unit.startTimeoutMs)).pipe(
      Effect.zipLeft(Effect.flatMap(elapsed, (startedAt) => memory.set(identity.id, { startedAt })))
    )
    if (yield* start) return true
    const wentDown = yield* inspect(engine, identity).pipe(
      Effect.map((container) => State.plain(container).state === "stopped"),
      Effect.repeat({
        until: (down) => down,
        schedule: Schedule.identity<boolean>().pipe(Schedule.addDelay(() => "50 millis"))
      }),
      Effect.timeoutTo({ duration: settleTime, onSuccess: () => true, onTimeout: () => false })
    )
    return wentDown ? yield* start : false
  }
)

/** Answers whether it was started: what was only held by a pause or a command need not come up. */
const raise = Effect.fnUntraced(function*(handle: Handle): Effect.fn.Return<boolean, ContainerError> {
  const { engine, identity } = handle
  if (identity.how === "stop") return yield* startIt(handle)
  // it may have been stopped meanwhile: a restart of the engine stops what is paused
  const { Id, State: { Status } } = yield* inspect(engine, identity)
  if (Status === "paused") yield* engine.unpause(Id)
  return Status === "paused" || Status === "running" ? false : yield* startIt(handle)
})

/** Starts it, or what has taken its place. An engine that takes it for running may still be stopping it. */
export const start = Effect.fnUntraced(function*(handle: Handle): Effect.fn.Return<void, ContainerError> {
  const { identity, memory } = handle
  const started = yield* raise(handle)
  if (identity.thaw === undefined) return
  if (started) yield* memory.set(identity.id, { hook: "touched" })
  yield* thaw(handle, identity.thaw, started || identity.how === "stop")
})
