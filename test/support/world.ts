/**
 * A small world in which the programs run against the in-memory layers in virtual time, and the oracle that reads its
 * history: what must never happen, whatever the scenario.
 */
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Logger, LogLevel, Option, Ref } from "effect"
import type { RuntimeFiber } from "effect/Fiber"
import type { RunPolicy } from "../../src/domain/Policy.ts"
import type { RecoverReport, Report, RunEvent } from "../../src/domain/Report.ts"
import type { StoredMarker } from "../../src/domain/Marker.ts"
import type { AgentScript } from "../../src/layers/AgentClientMemory.ts"
import type { JournalEntry } from "../../src/layers/Journal.ts"
import type { MarkerStoreMemoryOptions } from "../../src/layers/MarkerStoreMemory.ts"
import type { MemoryStack } from "../../src/layers/StackControlMemory.ts"
import type { QuiesceError } from "../../src/programs/errors.ts"
import { firstBehaviour, isOurs, outOfOrder, unitNames } from "./orderOracle.ts"
import { VirtualTime } from "./virtualTime.ts"

/** The modules under test: the real ones, or a mutant's. */
export const load = async (root: string) => {
  const at = (path: string) => import(/* @vite-ignore */ `${root}/${path}`)
  return {
    policy: await at("domain/Policy.ts") as typeof import("../../src/domain/Policy.ts"),
    stack: await at("domain/Stack.ts") as typeof import("../../src/domain/Stack.ts"),
    quiesce: await at("programs/quiesce.ts") as typeof import("../../src/programs/quiesce.ts"),
    recover: await at("programs/recover.ts") as typeof import("../../src/programs/recover.ts"),
    journal: await at("layers/Journal.ts") as typeof import("../../src/layers/Journal.ts"),
    control: await at("layers/StackControlMemory.ts") as typeof import("../../src/layers/StackControlMemory.ts"),
    agent: await at("layers/AgentClientMemory.ts") as typeof import("../../src/layers/AgentClientMemory.ts"),
    markers: await at("layers/MarkerStoreMemory.ts") as typeof import("../../src/layers/MarkerStoreMemory.ts"),
    lock: await at("layers/RunLockMemory.ts") as typeof import("../../src/layers/RunLockMemory.ts"),
    deadMan: await at("layers/DeadManMemory.ts") as typeof import("../../src/layers/DeadManMemory.ts"),
    watch: await at("programs/watch.ts") as typeof import("../../src/programs/watch.ts"),
    watchDomain: await at("domain/Watch.ts") as typeof import("../../src/domain/Watch.ts"),
    timetable: await at("domain/Timetable.ts") as typeof import("../../src/domain/Timetable.ts"),
    watchStore: await at("layers/WatchStoreMemory.ts") as typeof import("../../src/layers/WatchStoreMemory.ts"),
    watchStoreService: await at("services/WatchStore.ts") as typeof import("../../src/services/WatchStore.ts"),
    sink: await at("services/EventSink.ts") as typeof import("../../src/services/EventSink.ts"),
    agentClient: await at("services/AgentClient.ts") as typeof import("../../src/services/AgentClient.ts"),
    stackControl: await at("services/StackControl.ts") as typeof import("../../src/services/StackControl.ts"),
    runLock: await at("services/RunLock.ts") as typeof import("../../src/services/RunLock.ts"),
    markerStore: await at("services/MarkerStore.ts") as typeof import("../../src/services/MarkerStore.ts")
  }
}

export type Modules = Awaited<ReturnType<typeof load>>

export const real: Promise<Modules> = load(new URL("../../src", import.meta.url).pathname)

export interface Scenario {
  readonly stacks: ReadonlyArray<MemoryStack>
  readonly agent: AgentScript
  readonly markers?: MarkerStoreMemoryOptions | undefined
  readonly policy?:
    | Partial<Omit<RunPolicy, "stacks" | "bystanders">> & {
      readonly bystanders?: ReadonlyArray<string>
      readonly maxDowntime?: Duration.DurationInput
      readonly maxDowntimeWithoutSnapshot?: Duration.DurationInput
    }
    | undefined
  readonly deadManFails?: boolean | undefined
  /** The main fiber is interrupted at these times. */
  readonly interruptAt?: ReadonlyArray<Duration.DurationInput> | undefined
  readonly meddle?:
    | ReadonlyArray<{
      readonly at: Duration.DurationInput
      readonly state: "running" | "stopped"
      readonly stack: string
      readonly unit?: string
    }>
    | undefined
  /** Somebody else holds the lock. */
  readonly locked?: boolean | undefined
  /** What falls on the same instant happens in the reverse order. */
  readonly reversed?: boolean | undefined
  /** The main fiber is interrupted when it comes to these of its operations, counted from 1. */
  readonly interruptAtOperation?: ReadonlyArray<number> | undefined
}

export interface History {
  readonly exit: Exit.Exit<Report, QuiesceError> | undefined
  readonly report: Report | undefined
  readonly journal: ReadonlyArray<JournalEntry>
  /** Stops and starts with their ends: see `StackWorld`. */
  readonly trace: ReadonlyArray<JournalEntry>
  readonly events: ReadonlyArray<RunEvent>
  readonly markers: ReadonlyArray<StoredMarker>
  readonly down: ReadonlyArray<string>
}

export const lines = (history: History) => history.journal.map(({ what }) => what)

const policyOf = (modules: Modules, scenario: Scenario): RunPolicy => {
  const { bystanders = [], maxDowntime, maxDowntimeWithoutSnapshot, ...rest } = scenario.policy ?? {}
  return {
    ...modules.policy.defaults,
    ...rest,
    bystanders: bystanders.map((stack) => modules.stack.StackName.make(stack)),
    stacks: scenario.stacks.filter(({ stack, unlisted }) => unlisted !== true && !bystanders.includes(stack)).map(({
      stack
    }) => ({
      stack: modules.stack.StackName.make(stack),
      maxDowntime: Duration.decode(maxDowntime ?? modules.policy.stackDefaults.maxDowntime),
      maxDowntimeWithoutSnapshot: Duration.decode(
        maxDowntimeWithoutSnapshot ?? modules.policy.stackDefaults.maxDowntimeWithoutSnapshot
      )
    }))
  }
}

/** A world in which runs and recovers follow one another. */
export const makeWorld = (modules: Modules, scenario: Scenario) =>
  Effect.gen(function*() {
    const time = yield* Effect.acquireRelease(
      Effect.sync(() => new VirtualTime(scenario.reversed ?? false)),
      (time) => Effect.sync(() => time.freeze())
    )
    const { AgentClient } = modules.agentClient
    const { Journal } = modules.journal
    // the journal also tells when the agent was asked to prepare
    const agent = Layer.effect(
      AgentClient,
      Effect.zipWith(AgentClient, Journal, (client, journal) => ({
        ...client,
        prepare: (runId) => Effect.zipRight(journal.record("agent prepare"), client.prepare(runId))
      }))
    ).pipe(Layer.provide(modules.agent.layer(scenario.agent)))
    const context = yield* Layer.build(
      Layer.mergeAll(
        modules.control.layer(scenario.stacks),
        agent,
        modules.markers.layer(scenario.markers),
        modules.lock.layer,
        modules.deadMan.layer({ fails: scenario.deadManFails })
      ).pipe(Layer.provideMerge(modules.journal.layer))
    )
    const events = yield* Ref.make<ReadonlyArray<RunEvent>>([])
    const withSink = Context.add(context, modules.sink.EventSink, {
      emit: (event) => Ref.update(events, (all) => [...all, event])
    })
    const world = Context.get(context, modules.control.StackWorld)
    const journal = Context.get(context, modules.journal.Journal)
    const markers = Context.get(context, modules.markerStore.MarkerStore)
    const policy = policyOf(modules, scenario)
    const start = <A, E>(program: Effect.Effect<A, E>) =>
      time.in(Effect.forkDaemon(Logger.withMinimumLogLevel(program, LogLevel.None)))

    const history = Effect.fnUntraced(function*(exit: Exit.Exit<Report, QuiesceError> | undefined) {
      const all = yield* Ref.get(events)
      return {
        exit,
        report: all.findLast((event) => event.type === "report"),
        journal: yield* journal.entries,
        trace: yield* world.trace,
        events: all,
        markers: yield* Effect.orDie(Effect.retry(markers.list, { times: 3 })),
        down: yield* world.down
      } satisfies History
    })

    /** The main fiber's operations so far, and its interruption at some of them. */
    let operations = 0
    const interruptAtOperations = (fiber: RuntimeFiber<unknown, unknown>) => {
      time.onOperation = (running) => {
        if (running !== fiber) return
        operations++
        if (scenario.interruptAtOperation?.includes(operations) === true) fiber.unsafeInterruptAsFork(fiber.id())
      }
    }

    /** One run to its end, with what happens beside it; then long enough for every late stop to have landed. */
    const run = Effect.scoped(Effect.gen(function*() {
      if (scenario.locked === true) {
        yield* Context.get(context, modules.runLock.RunLock).acquire("somebody else")
      }
      const fiber = yield* start(Effect.provide(modules.quiesce.quiesce(policy), withSink))
      interruptAtOperations(fiber as RuntimeFiber<unknown, unknown>)
      for (const at of scenario.interruptAt ?? []) {
        yield* start(Effect.delay(Fiber.interruptFork(fiber), at))
      }
      for (const { at, stack, state, unit } of scenario.meddle ?? []) {
        yield* start(Effect.delay(world.meddle(state, stack, unit), at))
      }
      const exit = yield* time.until(fiber, "8 hours")
      const downAtExit = yield* world.down
      yield* time.run(() => false, Duration.toMillis("2 minutes"))
      return { ...(yield* history(exit)), downAtExit, operations }
    }))

    const recover = Effect.gen(function*() {
      const fiber = yield* start(Effect.provide(modules.recover.recover(policy), withSink))
      const exit = yield* time.until(fiber, "8 hours")
      return exit as Exit.Exit<RecoverReport, unknown> | undefined
    })

    const control = Context.get(context, modules.stackControl.StackControl)
    /** The units of a stack, as its control has them. */
    const units = (stack: string) =>
      Effect.map(control.inspect(modules.stack.StackName.make(stack)), ({ units }) => units)

    return {
      run,
      recover,
      units,
      history: history(undefined),
      world,
      journal,
      markers,
      policy,
      time,
      context: withSink
    }
  })

/** Runs one scenario in a fresh world. */
export const play = (modules: Modules, scenario: Scenario) =>
  Effect.gen(function*() {
    const world = yield* makeWorld(modules, scenario)
    return yield* world.run
  }).pipe(Effect.scoped)

const unitsOf = (scenario: Scenario) =>
  scenario.stacks.flatMap((stack) =>
    unitNames(stack).map((unit) => ({ stack, unit, at: `${stack.stack}/${unit}`, ours: isOurs(stack, unit) }))
  )

/** When the storage was read, by the script: the time of `snapshotted`, or of a `done` without it. */
const pointTime = (scenario: Scenario, history: History): number | undefined => {
  const told = history.journal.find(({ what }) => what === "agent quiesced")
  const step = scenario.agent.phases.find(({ phase }) => phase === "snapshotted" || phase === "done")
  return told === undefined || step === undefined ? undefined : told.at + Duration.toMillis(step.at)
}

/** Whether a unit was up at any time in the span, by the journal. */
const wasUp = (history: History, at: string, initially: boolean, from: number, to: number): boolean => {
  let up = initially
  let seen = false
  for (const { at: time, what } of history.journal) {
    if (time >= to) break
    if (time >= from && up) seen = true
    if (what === `down ${at}` || what === `meddle stopped ${at}`) up = false
    if (what === `up ${at}` || what === `meddle running ${at}`) up = true
  }
  return seen || up
}

/** What is wrong with a history: each line is one broken promise. */
export const violations = (scenario: Scenario, history: History & { readonly downAtExit?: ReadonlyArray<string> }) => {
  const wrong: Array<string> = []
  const log = history.journal
  const all = log.map(({ what }) => what)
  const meddled = new Set((scenario.meddle ?? []).map(({ stack, unit }) => `${stack}/${unit ?? stack}`))
  const report = history.report
  if (history.exit === undefined) return ["the run did not end", ...outOfOrder(scenario.stacks, history.trace)]
  if (report === undefined && scenario.interruptAtOperation === undefined) wrong.push("there is no report")

  for (const { at, ours } of unitsOf(scenario)) {
    const stops = all.filter((what) => what === `stop ${at}`).length
    const ups = all.filter((what) => what === `up ${at}`).length
    const downs = all.filter((what) => what === `down ${at}`).length
    const late = history.down.includes(at) || (history.downAtExit ?? []).includes(at)
    if (ours && late && !meddled.has(at)) {
      const excused = report?.outcome === "resume-failed" && history.markers.length > 0 && report.exitCode === 4
      if (!excused) wrong.push(`${at} is left down`)
    }
    if (!ours && (stops > 0 || all.includes(`start ${at}`))) wrong.push(`${at} was touched, and it was not up`)
    if (stops > 1) wrong.push(`${at} was stopped ${stops} times`)
    if (!meddled.has(at) && ups > downs) wrong.push(`${at} was resumed ${ups} times for ${downs} stops`)
    if (stops === 0 && all.includes(`start ${at}`)) wrong.push(`${at} was started and had not been stopped`)
    let isUp = ours
    for (const what of all) {
      if (what === `start ${at}` && isUp && !meddled.has(at)) wrong.push(`${at} was started although it was up`)
      if (what === `down ${at}`) isUp = false
      if (what === `up ${at}`) isUp = true
    }
    const firstStop = all.indexOf(`stop ${at}`)
    const written = all.indexOf("marker write")
    if (firstStop >= 0 && (written < 0 || written > firstStop)) {
      wrong.push(`${at} was stopped before the marker was there`)
    }
    const cleared = all.indexOf("marker clear")
    const up = all.lastIndexOf(`up ${at}`)
    if (cleared >= 0 && downs > 0 && !meddled.has(at) && up < 0) wrong.push(`the marker was cleared with ${at} down`)
    if (cleared >= 0 && up > cleared) wrong.push(`the marker was cleared before ${at} was up`)
    const armed = all.indexOf("dead-man arm")
    if (firstStop >= 0 && (armed < 0 || armed > firstStop)) wrong.push(`${at} was stopped without a dead-man`)
    const disarmed = all.indexOf("dead-man disarm")
    if (disarmed >= 0 && up > disarmed) wrong.push(`the dead-man was disarmed before ${at} was up`)
    if (up >= 0 && disarmed < 0) wrong.push("the dead-man was never disarmed")
  }

  // the end of an unwanted backup must not delay a resume; while a stop is under way there is nothing to delay
  const cancelled = all.indexOf("agent cancel")
  const before = cancelled < 0 ? [] : all.slice(0, cancelled)
  const stopping = before.filter((what) => what.startsWith("stop ")).length
  const stoppedBefore = before.filter((what) => what.startsWith("down ")).length
  const plain = unitsOf(scenario).every(({ stack, unit }) => {
    const { lands, result = "succeed" } = firstBehaviour(stack, unit, "stop")
    return lands === undefined && result === "succeed"
  })
  if (plain && stopping > 0 && stopping === stoppedBefore && !before.some((what) => what.startsWith("start "))) {
    wrong.push("the backup was cancelled before the resume")
  }

  const downAtEnd = history.downAtExit?.filter((at) => !meddled.has(at)) ?? []
  const held = unitsOf(scenario).filter(({ ours }) => ours)
  if (downAtEnd.some((at) => held.some((unit) => unit.at === at)) && report?.exitCode !== 4) {
    wrong.push(`exit code ${report?.exitCode} with ${downAtEnd.join(", ")} down`)
  }

  const point = pointTime(scenario, history)
  if (report?.consistency.level === "application") {
    const told = log.find(({ what }) => what === "agent quiesced")
    for (const { at, ours, stack, unit } of unitsOf(scenario)) {
      if (told === undefined || point === undefined) wrong.push("'application' is claimed without a snapshot")
      else if (wasUp(history, at, ours, told.at + 1, point)) wrong.push(`'application' is claimed with ${at} up`)
      const { clean, frozen, result = "succeed" } = all.includes(`stop ${at}`)
        ? firstBehaviour(stack, unit, "stop")
        : {}
      if (clean === false || result !== "succeed") {
        wrong.push(`'application' is claimed after an unclean stop of ${at}`)
      }
      if (frozen === true || (!ours && stack.frozen === true && !meddled.has(at))) {
        wrong.push(`'application' is claimed with ${at} frozen`)
      }
    }
    for (const { interference, stack } of scenario.stacks) {
      const asked = all.filter((what) => what.startsWith(`interference ${stack}:`)).length
      const answers = Array.from(
        { length: interference === undefined ? 0 : asked },
        (_, n) => interference?.[n] ?? interference?.at(-1)
      )
      if (interference !== undefined && asked < 2) wrong.push(`'application' is claimed without a question to ${stack}`)
      if (answers.some((what) => (what?.result ?? "succeed") !== "succeed" || (what?.found ?? []).length > 0)) {
        wrong.push(`'application' is claimed with ${stack} interfered with`)
      }
    }
    const limit = Duration.toMillis(scenario.policy?.maxDowntime ?? "2 minutes")
    const stopped = log.find(({ what }) => what.startsWith("stop "))
    const mode = scenario.agent.phases.find((step) => step.mode !== undefined)?.mode
    if (mode !== "stop" && stopped !== undefined && point !== undefined && point - stopped.at >= limit) {
      wrong.push("'application' is claimed for a snapshot that came at or after the limit")
    }
  }

  const started = log.find(({ what }) => what.startsWith("start "))
  const heard = scenario.agent.fault === undefined && scenario.interruptAtOperation === undefined
  const stacks = heard && point !== undefined ? scenario.stacks : []
  for (const { stack } of stacks) {
    const first = (verb: string) => log.find(({ what }) => what.startsWith(`${verb} ${stack}/`))
    const late = (first("start")?.at ?? 0) - (point ?? 0)
    // a control that does not say what interferes is waited for
    const silent = stacks.some(({ interference = [] }) => interference.some(({ result }) => result === "hang"))
    if (first("stop") !== undefined && late > 2_000 + (silent ? 15_000 : 0)) {
      wrong.push(`the resume of ${stack} came ${late} ms after the snapshot`)
    }
  }
  const backed = scenario.agent.phases.some(({ phase }) => phase === "snapshotted" || phase === "done")
  if (started !== undefined && point !== undefined && backed && started.at < point && report?.outcome === "ok") {
    wrong.push("the resume came before the snapshot")
  }
  if (report?.outcome === "ok" && history.markers.length > 0 && scenario.markers?.fails === undefined) {
    wrong.push("a marker is left after a good run")
  }
  return [...wrong, ...outOfOrder(scenario.stacks, history.trace, { meddled })]
}

/** The typed error of a run, by its tag; `undefined` for a success. */
export const tagOf = (history: History): string | undefined => {
  const exit = history.exit
  if (exit === undefined || Exit.isSuccess(exit)) return undefined
  const failure = Cause.failureOption(exit.cause)
  return Option.isSome(failure) ? failure.value._tag : Cause.isInterrupted(exit.cause) ? "interrupted" : "defect"
}
