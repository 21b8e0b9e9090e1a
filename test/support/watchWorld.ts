/**
 * A small world in which the daemon lives in virtual time, for one life or several, and the oracle that reads what it
 * has done: what must never happen, whatever the case.
 */
import { Context, DateTime, Duration, Effect, Either, Exit, Fiber, Layer, Logger, LogLevel, Random, Ref } from "effect"
import type { AgentError } from "../../src/services/AgentClient.ts"
import type { RunPolicy } from "../../src/domain/Policy.ts"
import type { RunEvent } from "../../src/domain/Report.ts"
import type { WatchState } from "../../src/domain/Watch.ts"
import type { WatchEvent } from "../../src/domain/WatchEvent.ts"
import type { AgentScript } from "../../src/layers/AgentClientMemory.ts"
import type { MarkerStoreMemoryOptions } from "../../src/layers/MarkerStoreMemory.ts"
import type { MemoryStack } from "../../src/layers/StackControlMemory.ts"
import { snapshotAgent } from "./agents.ts"
import { VirtualTime } from "./virtualTime.ts"
import type { Modules } from "./world.ts"

type Span = readonly [from: Duration.DurationInput, to: Duration.DurationInput]

export interface WatchCase {
  readonly name: string
  /** When the world begins; all durations count from here. */
  readonly from: string
  readonly schedule?: ReadonlyArray<string>
  readonly zone?: string
  readonly jitter?: Duration.DurationInput
  readonly missed?: "run" | "skip"
  readonly window?: Duration.DurationInput
  readonly stacks?: ReadonlyArray<MemoryStack>
  readonly markers?: MarkerStoreMemoryOptions
  readonly agent?: AgentScript
  readonly policy?: Partial<Omit<RunPolicy, "stacks">>
  /** When the agent answers nothing. */
  readonly away?: ReadonlyArray<Span>
  /** When the agent hangs at every question. */
  readonly hangs?: ReadonlyArray<Span>
  /** When somebody else holds the run lock. */
  readonly locked?: ReadonlyArray<Span>
  /** When runs die of a defect instead. */
  readonly broken?: ReadonlyArray<Span>
  /** When the daemon lives: it is interrupted at the end of each span. Default: from the beginning on. */
  readonly lives?: ReadonlyArray<Span>
  /** The clock is put forward: at this time, by so much, with nothing noticed meanwhile. Negative: it is set back. */
  readonly clock?: { readonly at: Duration.DurationInput; readonly by: number }
  readonly store?: { readonly initially?: WatchState; readonly full?: boolean }
  readonly lasts: Duration.DurationInput
  /** What it must have told, as `month-day hour:minute event` in UTC, without `next`, `started`, `stopped`. */
  readonly tells: ReadonlyArray<string>
  /** Units that may be down at the end. */
  readonly downAtEnd?: ReadonlyArray<string>
  /** More that must be so. */
  readonly also?: (history: WatchHistory) => ReadonlyArray<string>
}

export interface WatchHistory {
  readonly told: ReadonlyArray<{ readonly at: number; readonly event: WatchEvent }>
  readonly events: ReadonlyArray<RunEvent>
  readonly lines: ReadonlyArray<{ readonly at: number; readonly what: string }>
  /** When each life was interrupted, and when it had ended. */
  readonly ends: ReadonlyArray<{ readonly asked: number; readonly ended: number }>
  readonly state: WatchState | undefined
  /** The units that were down when a run began. */
  readonly downAtRun: ReadonlyArray<string>
  readonly down: ReadonlyArray<string>
}

const within = (spans: ReadonlyArray<Span> | undefined, now: number) =>
  (spans ?? []).some(([from, to]) => Duration.toMillis(from) <= now && now < Duration.toMillis(to))

const words = (event: WatchEvent): ReadonlyArray<string> => {
  switch (event.event) {
    case "run":
      return [`run ${event.cause}`]
    case "ended":
      return [`ended ${event.outcome}`]
    case "waiting":
      return [`waiting ${event.because}`]
    case "recovered":
      return [`recovered ${event.recovered.map(({ unit }) => unit).join()}`]
    case "next":
    case "started":
    case "stopped":
      return []
    default:
      return [event.event]
  }
}

/** What was told, in the words of a case. */
export const tells = ({ told }: Pick<WatchHistory, "told">): ReadonlyArray<string> =>
  told.flatMap(({ event }) => words(event).map((text) => `${event.at.slice(5, 16).replace("T", " ")} ${text}`))

export const playWatch = (modules: Modules, scenario: WatchCase): Effect.Effect<WatchHistory> =>
  Effect.gen(function*() {
    const { AgentClient, AgentUnavailable } = modules.agentClient
    const time = yield* Effect.acquireRelease(
      Effect.sync(() => new VirtualTime(false)),
      (time) => Effect.sync(() => time.freeze())
    )
    const begin = Date.parse(scenario.from)
    yield* time.run(() => false, begin)
    const now = Effect.map(time.clock.currentTimeMillis, (at) => at - begin)

    const gone: Effect.Effect<never, AgentError> = new AgentUnavailable({ reason: "away" })
    const around = <A>(call: Effect.Effect<A, AgentError>) =>
      Effect.flatMap(
        now,
        (at): Effect.Effect<A, AgentError> =>
          within(scenario.away, at) ? gone : within(scenario.hangs, at) ? Effect.never : call
      )
    const leaves = Effect.flatMap(now, (at) => {
      const next = (scenario.away ?? []).map(([from]) => Duration.toMillis(from) - at).filter((left) => left > 0)
      return next.length === 0 ? Effect.never : Effect.zipRight(Effect.sleep(Math.min(...next)), gone)
    })
    const agent = Layer.effect(
      AgentClient,
      Effect.map(AgentClient, (client) => ({
        ...client,
        preflight: around(client.preflight),
        request: (runId) => around(client.request(runId)),
        quiesced: (runId) => around(client.quiesced(runId)),
        status: (runId, after) => around(client.status(runId, after)),
        cancel: (runId) => around(client.cancel(runId)),
        asked: around(Effect.raceFirst(client.asked, leaves))
      }))
    ).pipe(Layer.provide(modules.agent.layer(scenario.agent ?? snapshotAgent)))
    const stacks = scenario.stacks ?? [{ stack: "app" }]
    const context = yield* time.in(Layer.build(
      Layer.mergeAll(
        modules.control.layer(stacks),
        agent,
        modules.markers.layer(scenario.markers),
        modules.lock.layer,
        modules.deadMan.layer(),
        modules.watchStore.layer(scenario.store)
      ).pipe(Layer.provideMerge(modules.journal.layer))
    ))
    const world = Context.get(context, modules.control.StackWorld)
    const journal = Context.get(context, modules.journal.Journal)
    const lock = Context.get(context, modules.runLock.RunLock)
    const store = Context.get(context, modules.watchStoreService.WatchStore)
    const told = yield* Ref.make<WatchHistory["told"]>([])
    const events = yield* Ref.make<ReadonlyArray<RunEvent>>([])
    const downAtRun = yield* Ref.make<ReadonlyArray<string>>([])
    const ends = yield* Ref.make<WatchHistory["ends"]>([])

    const run: RunPolicy = {
      ...modules.policy.defaults,
      ...scenario.policy,
      stacks: stacks.filter(({ unlisted }) => unlisted !== true).map(({ stack }) => ({
        stack: modules.stack.StackName.make(stack),
        ...modules.policy.stackDefaults
      }))
    }
    const zone = DateTime.zoneUnsafeMakeNamed(scenario.zone ?? "UTC")
    const policy = {
      ...modules.watchDomain.defaults,
      schedule: (scenario.schedule ?? []).map((text) => Either.getOrThrow(modules.timetable.timetable(text, zone))),
      jitter: Duration.decode(scenario.jitter ?? 0),
      missed: scenario.missed ?? "run",
      retry: {
        ...modules.watchDomain.defaults.retry,
        ...scenario.window === undefined ? {} : { window: Duration.decode(scenario.window) }
      }
    } as const
    const daemon = modules.watch.watch(policy, run, {
      tell: (event) =>
        Effect.gen(function*() {
          const at = yield* now
          yield* Ref.update(told, (all) => [...all, { at, event }])
          if (event.event !== "run") return
          const down = yield* world.down
          yield* Ref.update(downAtRun, (all) => [...all, ...down])
        }),
      ...scenario.broken === undefined ? {} : {
        perform: (options) =>
          Effect.flatMap(
            now,
            (at) => within(scenario.broken, at) ? Effect.die("broken") : modules.quiesce.quiesce(run, options)
          )
      }
    }).pipe(
      Effect.provide(Context.add(context, modules.sink.EventSink, {
        emit: (event) => Ref.update(events, (all) => [...all, event])
      }))
    )
    const start = <A, E>(program: Effect.Effect<A, E>) =>
      time.in(Effect.forkDaemon(
        Logger.withMinimumLogLevel(program, LogLevel.None)
      ))

    for (const [from, to] of scenario.locked ?? []) {
      const held = Effect.scoped(
        Effect.zipRight(
          lock.acquire("somebody else"),
          Effect.sleep(Duration.toMillis(to) - Duration.toMillis(from))
        )
      )
      yield* start(Effect.delay(held, from))
    }
    if (scenario.clock !== undefined) {
      const { at, by } = scenario.clock
      yield* start(Effect.delay(Effect.sync(() => time.jump(by)), at))
    }
    for (const [from, to] of scenario.lives ?? [[0, Duration.infinity] as const]) {
      yield* start(
        Effect.gen(function*() {
          const fiber = yield* Effect.forkDaemon(
            Effect.withRandom(daemon, Random.make(`life at ${Duration.toMillis(from)}`))
          )
          yield* Effect.sleep(Duration.toMillis(to) - Duration.toMillis(from))
          const asked = yield* now
          yield* Fiber.interrupt(fiber)
          const ended = yield* now
          yield* Ref.update(ends, (all) => [...all, { asked, ended }])
        }).pipe(Effect.delay(from))
      )
    }
    yield* time.run(() => false, Duration.toMillis(scenario.lasts))
    return {
      told: yield* Ref.get(told),
      events: yield* Ref.get(events),
      lines: (yield* journal.entries).map(({ at, what }) => ({ at: at - begin, what })),
      ends: yield* Ref.get(ends),
      state: yield* Effect.map(
        Effect.exit(store.read),
        (exit) => Exit.isSuccess(exit) && exit.value._tag === "Some" ? exit.value.value : undefined
      ),
      downAtRun: yield* Ref.get(downAtRun),
      down: yield* world.down
    }
  }).pipe(Effect.scoped)

/** How long after the app is up, or after the signal, the daemon may take to end. */
const endsWithin = 1_000

/** What is wrong with a history: each line is one broken promise. */
export const watchViolations = (scenario: WatchCase, history: WatchHistory): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  if (history.downAtRun.length > 0) wrong.push(`a run began with ${history.downAtRun.join()} down`)
  const down = history.down.filter((unit) => !(scenario.downAtEnd ?? []).includes(unit))
  if (down.length > 0) wrong.push(`${down.join()} is left down`)

  const lines = history.lines.map(({ what }) => what)
  let held = 0
  for (const what of lines) {
    if (what === "dead-man arm" && ++held > 1) wrong.push("two runs at a time")
    if (what === "dead-man disarm") held--
  }
  for (const { asked, ended } of history.ends) {
    const up = history.lines.findLast(({ at, what }) => at >= asked && at <= ended && what === "marker clear")?.at
    if (scenario.downAtEnd === undefined && ended - (up ?? asked) > endsWithin) {
      wrong.push(`it took ${ended - (up ?? asked)} ms to end`)
    }
  }
  const told = tells(history)
  if (JSON.stringify(told) !== JSON.stringify(scenario.tells)) {
    wrong.push(`it told\n      ${told.join("\n      ")}\n    and not\n      ${scenario.tells.join("\n      ")}`)
  }
  return [...wrong, ...scenario.also?.(history) ?? []]
}
