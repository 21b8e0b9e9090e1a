/**
 * Stacks in memory, that behave as badly as they are told: for tests of programs and of embedding apps.
 */
import { Context, Duration, Effect, Layer, Ref } from "effect"
import { StackName, type Unit, UnitId, type UnitState } from "../domain/Stack.ts"
import { StackControl, StackControlError, StackNotFound } from "../services/StackControl.ts"
import { Journal } from "./Journal.ts"

/** How one call behaves. */
export interface Behaviour {
  /** How long the call takes. Default: no time. */
  readonly takes?: Duration.DurationInput | undefined
  /** How the call ends. Default: `succeed`. A `hang` never ends. */
  readonly result?: "succeed" | "fail" | "die" | "hang" | undefined
  /** Whether the unit really changes its state. Default: as the result says. */
  readonly effective?: boolean | undefined
  /** When, after the call was sent, the unit changes its state, also if nobody waits any more. Default: `takes`. */
  readonly lands?: Duration.DurationInput | undefined
  /** For a stop: whether it was clean. Default: true. */
  readonly clean?: boolean | undefined
}

/** A stack of the memory world. The nth call uses the nth behaviour, later calls the last one. */
export interface MemoryStack {
  readonly stack: string
  /** In stop order. Default: one unit with the stack's name. */
  readonly units?: ReadonlyArray<string> | undefined
  /** Default: `running`. */
  readonly initially?: UnitState | undefined
  readonly stop?: ReadonlyArray<Behaviour> | undefined
  readonly start?: ReadonlyArray<Behaviour> | undefined
  readonly prepare?: ReadonlyArray<Behaviour> | undefined
  /** Milliseconds; default 30 000. */
  readonly stopTimeoutMs?: number | undefined
  /** Milliseconds; default 60 000. */
  readonly startTimeoutMs?: number | undefined
  /** A stop under way is not seen: the unit looks `running` until it is down. Default: it looks `changing`. */
  readonly opaque?: boolean | undefined
  /** Not in the configuration: known only to markers. */
  readonly unlisted?: boolean | undefined
}

/** The world behind the control, for a test to look at and to meddle with as a user would. */
export class StackWorld extends Context.Tag("quiesce/layers/StackControlMemory/StackWorld")<StackWorld, {
  readonly state: (stack: string, unit?: string) => Effect.Effect<UnitState>
  /** All units that are not running, as `stack/unit`. */
  readonly down: Effect.Effect<ReadonlyArray<string>>
  /** Somebody else starts or stops a unit. */
  readonly meddle: (state: "running" | "stopped", stack: string, unit?: string) => Effect.Effect<void>
}>() {}

interface Cell {
  readonly state: UnitState
  readonly generation: number
  readonly stopping: number
}

const key = (stack: string, unit: string) => `${stack}/${unit}`

const isEffective = (what: Behaviour) => what.effective ?? (what.result ?? "succeed") === "succeed"

const make = Effect.fnUntraced(function*(stacks: ReadonlyArray<MemoryStack>) {
  const journal = yield* Journal
  const unitsOf = (stack: MemoryStack): ReadonlyArray<Unit> =>
    (stack.units ?? [stack.stack]).map((id) => ({
      id: UnitId.make(id),
      stopTimeoutMs: stack.stopTimeoutMs ?? 30_000,
      startTimeoutMs: stack.startTimeoutMs ?? 60_000,
      identity: { memory: id }
    }))
  const cells = yield* Ref.make<ReadonlyMap<string, Cell>>(
    new Map(
      stacks.flatMap((stack) =>
        unitsOf(stack).map(({ id }) =>
          [key(stack.stack, id), { state: stack.initially ?? "running", generation: 1, stopping: 0 }] as const
        )
      )
    )
  )
  const calls = yield* Ref.make<ReadonlyMap<string, number>>(new Map())
  const update = (at: string, f: (cell: Cell) => Partial<Cell>) =>
    Ref.update(cells, (all) => {
      const cell = all.get(at)
      return cell === undefined ? all : new Map([...all, [at, { ...cell, ...f(cell) }]])
    })
  const find = (name: string) => stacks.find(({ stack }) => stack === name)
  const cell = (at: string) => Effect.map(Ref.get(cells), (all) => all.get(at))

  const behaviour = (list: ReadonlyArray<Behaviour> | undefined, call: string) =>
    Ref.modify(calls, (all) => {
      const n = all.get(call) ?? 0
      return [list?.[Math.min(n, list.length - 1)] ?? {}, new Map([...all, [call, n + 1]])]
    })

  /** The part that goes on by itself once it was sent, as a daemon's work does. */
  const land = (what: Behaviour, change: Effect.Effect<void>) => {
    if (!isEffective(what)) return Effect.void
    const delay = Duration.decode(what.lands ?? what.takes ?? 0)
    return Duration.toMillis(delay) === 0
      ? change
      : Effect.asVoid(Effect.forkDaemon(Effect.interruptible(Effect.delay(change, delay))))
  }

  const answer = <A>(what: Behaviour, operation: StackControlError["operation"], stack: StackName, value: A) => {
    const result = what.result ?? "succeed"
    const end = result === "succeed"
      ? Effect.succeed(value)
      : result === "hang"
      ? Effect.never
      : result === "die"
      ? Effect.die(`${operation} of '${stack}' died`)
      : Effect.fail(new StackControlError({ stack, operation, reason: "told to fail" }))
    return Duration.toMillis(what.takes ?? 0) === 0 ? end : Effect.delay(end, what.takes ?? 0)
  }

  const stopped = (at: string) =>
    Effect.zipRight(
      update(at, ({ stopping }) => ({ state: "stopped", stopping: Math.max(0, stopping - 1) })),
      journal.record(`down ${at}`)
    )
  const started = (at: string) =>
    Effect.flatMap(cell(at), (now) =>
      now === undefined || now.state === "running"
        ? Effect.void
        : Effect.zipRight(
          update(at, ({ generation }) => ({ state: "running", generation: generation + 1 })),
          journal.record(`up ${at}`)
        ))

  const observe = (stack: StackName, unit: Unit) =>
    Effect.map(cell(key(stack, unit.id)), (now) => {
      if (now === undefined) return { unit, state: "unknown" as const, detail: "no such unit" }
      const hidden = now.stopping > 0 && now.state === "running" && find(stack)?.opaque !== true
      return { unit, state: hidden ? "changing" as const : now.state, stamp: String(now.generation) }
    })

  const control = StackControl.of({
    stacks: Effect.succeed(
      stacks.filter(({ unlisted }) => unlisted !== true).map(({ stack }) => StackName.make(stack))
    ),
    inspect: Effect.fnUntraced(function*(stack) {
      const found = find(stack)
      if (found === undefined || found.unlisted === true) {
        return yield* new StackNotFound({ stack, known: stacks.map(({ stack }) => StackName.make(stack)) })
      }
      const units = unitsOf(found)
      return {
        units: { stack, control: "memory", units },
        observations: yield* Effect.forEach(units, (unit) => observe(stack, unit))
      }
    }),
    observe,
    prepare: Effect.fnUntraced(function*(stack) {
      yield* journal.record(`prepare ${stack}`)
      const what = yield* behaviour(find(stack)?.prepare, `prepare ${stack}`)
      return yield* answer(what, "prepare", stack, undefined)
    }),
    stop: Effect.fnUntraced(function*(stack, unit) {
      const at = key(stack, unit.id)
      yield* journal.record(`stop ${at}`)
      const what = yield* behaviour(find(stack)?.stop, `stop ${at}`)
      if (isEffective(what)) yield* update(at, ({ stopping }) => ({ stopping: stopping + 1 }))
      yield* land(what, stopped(at))
      return yield* answer(what, "stop", stack, { clean: what.clean ?? true })
    }),
    start: Effect.fnUntraced(function*(stack, unit) {
      const at = key(stack, unit.id)
      yield* journal.record(`start ${at}`)
      const what = yield* behaviour(find(stack)?.start, `start ${at}`)
      const now = yield* cell(at)
      // as a container engine answers "already running" while a stop is under way, and the stop then lands
      if (now?.state !== "running") yield* land(what, started(at))
      return yield* answer(what, "start", stack, undefined)
    })
  })

  const world = StackWorld.of({
    state: (stack, unit) => Effect.map(cell(key(stack, unit ?? stack)), (now) => now?.state ?? "unknown"),
    down: Effect.map(
      Ref.get(cells),
      (all) => [...all].filter(([, { state }]) => state !== "running").map(([at]) => at)
    ),
    meddle: (state, stack, unit) => {
      const at = key(stack, unit ?? stack)
      return Effect.zipRight(
        journal.record(`meddle ${state} ${at}`),
        update(at, ({ generation }) => ({ state, generation: state === "running" ? generation + 1 : generation }))
      )
    }
  })
  return Context.make(StackControl, control).pipe(Context.add(StackWorld, world))
})

/** A control over these stacks, and the world behind it. */
export const layer = (
  stacks: ReadonlyArray<MemoryStack>
): Layer.Layer<StackControl | StackWorld, never, Journal> => Layer.effectContext(make(stacks))
