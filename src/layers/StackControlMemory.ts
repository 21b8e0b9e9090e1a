/**
 * Stacks in memory, that behave as badly as they are told: for tests of programs and of embedding apps.
 */
import { Clock, Context, Duration, Effect, Exit, Layer, Ref } from "effect"
import { type DataPlace, type Dependency, StackName, type Unit, UnitId, type UnitState } from "../domain/Stack.ts"
import { type Interference, StackControl, StackControlError, StackNotFound } from "../services/StackControl.ts"
import { Journal, type JournalEntry } from "./Journal.ts"

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
  /** For a stop: the unit is down, but it was not shut down. Default: false. */
  readonly frozen?: boolean | undefined
  /** For a start: how long after its landing the unit still looks `changing` before it is up. Default: no time. */
  readonly healthyAfter?: Duration.DurationInput | undefined
  /** For a start without effect: it is seen that the unit stays down. Default: false. */
  readonly ended?: boolean | undefined
  /** For a stop: its answer says what was seen after it. Default: false. */
  readonly seen?: boolean | undefined
  /** For a failure: it says that nothing is under way any more. Default: false. */
  readonly settled?: boolean | undefined
}

/** What one question for interference is answered. */
export interface InterferenceAnswer extends Pick<Behaviour, "result" | "takes"> {
  /** Default: nothing. */
  readonly found?: ReadonlyArray<Interference> | undefined
}

/** A stack of the memory world. The nth call uses the nth behaviour, later calls the last one. */
export interface MemoryStack {
  readonly stack: string
  /** In stop order. Default: one unit with the stack's name. */
  readonly units?: ReadonlyArray<string> | undefined
  /** What each unit comes after. Default: each unit comes after the next one in the list, until that is up. */
  readonly after?:
    | Readonly<Record<string, ReadonlyArray<{ readonly unit: string; readonly until: Dependency["until"] }>>>
    | undefined
  /** Default: `running`. */
  readonly initially?: UnitState | undefined
  /** The units that are not in the state of the others at first. */
  readonly unitsInitially?: Readonly<Record<string, UnitState>> | undefined
  /** What is down at first was not shut down. Default: false. */
  readonly frozen?: boolean | undefined
  readonly stop?: ReadonlyArray<Behaviour> | undefined
  readonly start?: ReadonlyArray<Behaviour> | undefined
  /** The units that behave otherwise than the others. */
  readonly perUnit?: Readonly<Record<string, Pick<MemoryStack, "start" | "stop">>> | undefined
  readonly prepare?: ReadonlyArray<Behaviour> | undefined
  /** Where it keeps data. */
  readonly data?: ReadonlyArray<DataPlace> | undefined
  /** Default: nothing interferes, and the journal does not tell that it was asked. */
  readonly interference?: ReadonlyArray<InterferenceAnswer> | undefined
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
  /**
   * What the journal has of stops and starts, and also when each call ended: `start web/db`, `up web/db`, `start web/db
   * succeeded`. One that died, or that nobody waited for any more, has `failed`.
   */
  readonly trace: Effect.Effect<ReadonlyArray<JournalEntry>>
  /** Somebody else starts or stops a unit. */
  readonly meddle: (state: "running" | "stopped", stack: string, unit?: string) => Effect.Effect<void>
}>() {}

interface Cell {
  readonly state: UnitState
  readonly generation: number
  readonly stopping: number
  /** Started, and not up yet. */
  readonly starting: boolean
  readonly frozen: boolean
  readonly ended: boolean
}

const key = (stack: string, unit: string) => `${stack}/${unit}`

const isEffective = (what: Behaviour) => what.effective ?? (what.result ?? "succeed") === "succeed"

const make = Effect.fnUntraced(function*(stacks: ReadonlyArray<MemoryStack>) {
  const journal = yield* Journal
  const afterOf = ({ after }: MemoryStack, id: string, next: string | undefined) =>
    after !== undefined ? after[id] ?? [] : next === undefined ? [] : [{ unit: next, until: "up" as const }]
  const unitsOf = (stack: MemoryStack): ReadonlyArray<Unit> =>
    (stack.units ?? [stack.stack]).map((id, index, all) => ({
      id: UnitId.make(id),
      after: afterOf(stack, id, all[index + 1]).map(({ unit, until }) => ({ unit: UnitId.make(unit), until })),
      stopTimeoutMs: stack.stopTimeoutMs ?? 30_000,
      startTimeoutMs: stack.startTimeoutMs ?? 60_000,
      identity: { memory: id }
    }))
  const cells = yield* Ref.make<ReadonlyMap<string, Cell>>(
    new Map(
      stacks.flatMap((stack) =>
        unitsOf(stack).map(({ id }) => {
          const state = stack.unitsInitially?.[id] ?? stack.initially ?? "running"
          const frozen = state === "stopped" && stack.frozen === true
          return [key(stack.stack, id), {
            state,
            generation: 1,
            stopping: 0,
            starting: false,
            frozen,
            ended: false
          }] as const
        })
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

  const behaviour = <A>(list: ReadonlyArray<A> | undefined, call: string) =>
    Ref.modify(calls, (all) => {
      const n = all.get(call) ?? 0
      return [list?.[Math.min(n, list.length - 1)], new Map([...all, [call, n + 1]])]
    })
  const traced = yield* Ref.make<ReadonlyArray<JournalEntry>>([])
  const trace = (what: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => Ref.update(traced, (all) => [...all, { at, what }]))
  const tell = (what: string) => Effect.zipRight(trace(what), journal.record(what))

  /** The part that goes on by itself once it was sent, as a daemon's work does. */
  const land = (what: Behaviour, change: Effect.Effect<void>) => {
    if (!isEffective(what)) return Effect.void
    const delay = Duration.decode(what.lands ?? what.takes ?? 0)
    return Duration.toMillis(delay) === 0
      ? change
      : Effect.asVoid(Effect.forkDaemon(Effect.interruptible(Effect.delay(change, delay))))
  }

  const answer = <A>(
    what: InterferenceAnswer & Pick<Behaviour, "settled">,
    operation: StackControlError["operation"],
    stack: StackName,
    value: Effect.Effect<A>,
    first: Effect.Effect<void> = Effect.void
  ) => {
    const result = what.result ?? "succeed"
    const settled = what.settled === undefined ? {} : { settled: what.settled }
    const end = result === "succeed"
      ? value
      : result === "hang"
      ? Effect.never
      : result === "die"
      ? Effect.die(`${operation} of '${stack}' died`)
      : Effect.fail(new StackControlError({ stack, operation, reason: "told to fail", ...settled }))
    const answered = Effect.zipRight(first, end)
    return Duration.toMillis(what.takes ?? 0) === 0 ? answered : Effect.delay(answered, what.takes ?? 0)
  }

  const stopped = (at: string, frozen: boolean) =>
    Effect.zipRight(
      update(at, ({ stopping }) => ({
        state: "stopped",
        stopping: Math.max(0, stopping - 1),
        starting: false,
        frozen
      })),
      tell(`down ${at}`)
    )
  const started = Effect.fnUntraced(function*(at: string, healthyAfter: Duration.DurationInput) {
    const now = yield* cell(at)
    if (now === undefined || now.state === "running" || now.starting) return
    yield* update(at, ({ generation }) => ({ starting: true, frozen: false, ended: false, generation: generation + 1 }))
    const up = Effect.zipRight(update(at, () => ({ state: "running", starting: false })), tell(`up ${at}`))
    if (Duration.toMillis(healthyAfter) === 0) return yield* up
    yield* Effect.whenEffect(up, Effect.map(cell(at), (later) => later?.starting === true)).pipe(
      Effect.delay(healthyAfter),
      Effect.interruptible,
      Effect.forkDaemon
    )
  })

  const observe = (stack: StackName, unit: Unit) =>
    Effect.map(cell(key(stack, unit.id)), (now) => {
      if (now === undefined) return { unit, state: "unknown" as const, detail: "no such unit" }
      const hidden = now.stopping > 0 && now.state === "running" && find(stack)?.opaque !== true
      const state = now.starting || hidden ? "changing" as const : now.state
      return {
        unit,
        state,
        stamp: String(now.generation),
        ...(state === "stopped" ? { frozen: now.frozen, ended: now.ended } : {})
      }
    })

  /** A stop or start, from its sending to its end. `send` answers with what it changes when it lands. */
  const call = Effect.fnUntraced(function*<A>(
    operation: "start" | "stop",
    stack: StackName,
    unit: Unit,
    send: (what: Behaviour, at: string) => Effect.Effect<Effect.Effect<void>>,
    value: (what: Behaviour) => Effect.Effect<A>
  ) {
    const at = key(stack, unit.id)
    const found = find(stack)
    const list = found?.perUnit?.[unit.id]?.[operation] ?? found?.[operation]
    yield* tell(`${operation} ${at}`)
    const what = (yield* behaviour(list, `${operation} ${at}`)) ?? {}
    const change = yield* Effect.flatMap(send(what, at), Effect.once)
    yield* land(what, change)
    // an answer that comes at the same time as the change comes after it
    const first = isEffective(what) && what.lands === undefined ? change : Effect.void
    return yield* Effect.onExit(
      answer(what, operation, stack, value(what), first),
      (exit) => trace(`${operation} ${at} ${Exit.isSuccess(exit) ? "succeeded" : "failed"}`)
    )
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
        observations: yield* Effect.forEach(units, (unit) => observe(stack, unit)),
        data: found.data
      }
    }),
    observe,
    prepare: Effect.fnUntraced(function*(stack) {
      yield* journal.record(`prepare ${stack}`)
      const what = yield* behaviour(find(stack)?.prepare, `prepare ${stack}`)
      return yield* answer(what ?? {}, "prepare", stack, Effect.void)
    }),
    stop: (stack, unit) =>
      call(
        "stop",
        stack,
        unit,
        (what, at) =>
          update(at, ({ stopping }) => ({ stopping: isEffective(what) ? stopping + 1 : stopping })).pipe(
            Effect.as(stopped(at, what.frozen ?? false))
          ),
        ({ clean = true, seen = false }) =>
          seen ? Effect.map(observe(stack, unit), (seen) => ({ clean, seen })) : Effect.succeed({ clean })
      ),
    start: (stack, unit) =>
      call(
        "start",
        stack,
        unit,
        (what, at) =>
          Effect.map(Effect.zipRight(update(at, () => ({ ended: what.ended ?? false })), cell(at)), (now) =>
            // as a container engine answers "already running" while a stop is under way, and the stop then lands
            now?.state === "running" ? Effect.void : started(at, what.healthyAfter ?? 0)),
        () => Effect.void
      ),
    interference: Effect.fnUntraced(function*(stack, units) {
      const what = yield* behaviour(find(stack)?.interference, `interference ${stack}`)
      if (what === undefined) return []
      yield* journal.record(`interference ${stack}: ${units.map(({ id }) => id).join(" ")}`)
      return yield* answer(what, "inspect", stack, Effect.succeed(what.found ?? []))
    })
  })

  const world = StackWorld.of({
    state: (stack, unit) => Effect.map(cell(key(stack, unit ?? stack)), (now) => now?.state ?? "unknown"),
    down: Effect.map(
      Ref.get(cells),
      (all) => [...all].filter(([, { state }]) => state !== "running").map(([at]) => at)
    ),
    trace: Ref.get(traced),
    meddle: (state, stack, unit) => {
      const at = key(stack, unit ?? stack)
      return Effect.zipRight(
        tell(`meddle ${state} ${at}`),
        update(at, ({ generation }) => ({
          state,
          starting: false,
          frozen: false,
          generation: state === "running" ? generation + 1 : generation
        }))
      )
    }
  })
  return Context.make(StackControl, control).pipe(Context.add(StackWorld, world))
})

/** A control over these stacks, and the world behind it. */
export const layer = (
  stacks: ReadonlyArray<MemoryStack>
): Layer.Layer<StackControl | StackWorld, never, Journal> => Layer.effectContext(make(stacks))
