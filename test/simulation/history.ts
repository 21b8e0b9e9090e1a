/**
 * One history of a simulated world: a run with faults, what heals it, and one more run in which nothing goes wrong.
 */
import { Cause, DateTime, Duration, Effect, Either, Exit, Logger, Option } from "effect"
import type { RunPolicy } from "../../src/domain/Policy.ts"
import type { Report, RunEvent } from "../../src/domain/Report.ts"
import { StackName } from "../../src/domain/Stack.ts"
import { timetable } from "../../src/domain/Timetable.ts"
import type { WatchState } from "../../src/domain/Watch.ts"
import * as Watch from "../../src/domain/Watch.ts"
import type { Jobs } from "../../src/internal/agent/jobs.ts"
import { quiesce } from "../../src/programs/quiesce.ts"
import { recover } from "../../src/programs/recover.ts"
import { watch } from "../../src/programs/watch.ts"
import { AgentUnavailable } from "../../src/services/AgentClient.ts"
import { EventSink } from "../../src/services/EventSink.ts"
import { backups, clientOf, Host, occupy, type Reach } from "./agent.ts"
import type { Fault, Kind } from "./faults.ts"
import { services } from "./machine.ts"
import type { Shape } from "./shapes.ts"
import type { SimProcess } from "./simulator.ts"
import { canary, maxDowntime, maxDowntimeWithoutSnapshot, type Violation } from "./truth.ts"
import { forever, type Reached, World } from "./world.ts"

export interface History {
  readonly violations: ReadonlyArray<Violation>
  /** Every boundary that was reached before the last run, in order. */
  readonly reached: ReadonlyArray<Reached>
  readonly log: ReadonlyArray<string>
  readonly outcome: string
}

const policyOf = (shape: Shape): RunPolicy => ({
  stacks: shape.stacks.map(({ stack }) => ({
    stack: StackName.make(stack),
    maxDowntime: Duration.millis(maxDowntime),
    maxDowntimeWithoutSnapshot: Duration.millis(maxDowntimeWithoutSnapshot)
  })),
  pollInterval: Duration.millis(500),
  agentTimeout: Duration.seconds(5),
  agentPatience: Duration.seconds(20),
  queueTimeout: Duration.seconds(30),
  prepareTimeout: Duration.seconds(5),
  resumeTimeout: Duration.seconds(20),
  steadyTime: Duration.millis(400),
  deadline: Duration.minutes(2)
})

const rank = ["queued", "ready", "running", "snapshotted", "done"]

/** What one history is made of, from its beginning to its end. */
class Play {
  readonly world: World
  private readonly host = new Host()
  private jobs: ReadonlyMap<string, Jobs> | undefined
  private readonly kept: { state: WatchState | undefined } = { state: undefined }
  outcome = "dead"
  private recoveries = 0
  /** After the end of the faults. */
  private isLast = false

  private readonly shape: Shape

  constructor(shape: Shape, faults: ReadonlyMap<number, Kind>, seed: string, tracing: boolean) {
    this.shape = shape
    this.world = new World(shape, policyOf(shape), faults, seed)
    this.world.truth.tracing = tracing
    this.world.recover = (why) => this.startRecover(why)
    this.world.restartAgent = () => this.startAgent()
    this.world.runAgain = () => void this.startRun("run again")
    if (shape.program === "watch") this.world.restartDaemon = () => this.startDaemon()
  }

  private readonly hear = (text: string) => {
    if (text.includes(canary)) this.world.truth.broken("I13", "a secret is told")
  }

  private readonly logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ cause, message }) => {
      const text = `${JSON.stringify(message)}${Cause.isEmpty(cause) ? "" : Cause.pretty(cause)}`
      this.hear(text)
      this.world.truth.note(`log: ${text}`)
    })
  )

  /** Logs go nowhere, but a secret in them is seen. */
  private readonly quiet = <A, E>(program: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.provide(program, this.logger)

  startAgent(): void {
    const process = this.world.process("agent", false)
    this.world.agentProcess = process
    this.jobs = undefined
    // an agent lives until it is killed
    const program = Effect.scoped(Effect.gen(this, function*() {
      const jobs = yield* backups(this.world, process, this.host)
      this.jobs = jobs
      yield* Effect.forkScoped(occupy(this.world, jobs))
      return yield* forever
    }))
    this.world.start(process, this.quiet(program), () => this.world.truth.broken("I9", "the agent has ended by itself"))
    process.whenDead(() => {
      this.jobs = undefined
    })
  }

  /** A call to the agent's process: refused when it is dead, cut when it dies. */
  private readonly remote: Reach = (use) =>
    Effect.async((resume) => {
      const [jobs, process] = [this.jobs?.get(this.shape.guest), this.world.agentProcess]
      const away = (reason: string) => resume(new AgentUnavailable({ reason }))
      if (jobs === undefined || process === undefined) return away("connection refused")
      const fiber = process.fork(this.quiet(use(jobs)), (exit) => resume(exit))
      process.whenDead(() => away("connection reset"))
      return Effect.sync(() => fiber.unsafeInterruptAsFork(fiber.id()))
    })

  private readonly inside = <A, E>(
    process: SimProcess,
    program: (reach: Reach) => Effect.Effect<A, E>
  ): Effect.Effect<A, E> => {
    if (this.shape.agent === "remote") return program(this.remote)
    return Effect.scoped(Effect.flatMap(backups(this.world, process, this.host), (jobs) => {
      const mine = jobs.get(this.shape.guest)!
      return program((use) => use(mine))
    }))
  }

  private readonly sink = (last: { phase: number }) => ({
    emit: (event: RunEvent) =>
      Effect.sync(() => {
        const { truth } = this.world
        truth.note(
          `event ${event.type} ${
            "phase" in event ? event.phase : "state" in event ? `${event.stack} ${event.state}` : ""
          }${"message" in event ? event.message : ""}`
        )
        this.hear(JSON.stringify(event))
        if (event.type === "phase") {
          const now = event.phase === "failed" ? rank.length : rank.indexOf(event.phase)
          if (now <= last.phase) truth.broken("I12", `the run tells '${event.phase}' again, or after a later phase`)
          last.phase = now
        }
        if (event.type === "report") {
          last.phase = -1
          if (event.consistency.level === "application") truth.claimed(event.runId)
        }
      })
  })

  private readonly reason = (exit: Exit.Exit<unknown, unknown>) =>
    Exit.isSuccess(exit) ? "" : Cause.pretty(exit.cause).split("\n")[0]

  /** What an exit code says must be true at the exit. */
  private readonly ended = (name: string, exit: Exit.Exit<Report | undefined, unknown>) => {
    const { truth } = this.world
    const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
    const report = Exit.isSuccess(exit)
      ? exit.value
      : typeof failure === "object" && failure !== null && "report" in failure
      ? failure.report as Report
      : undefined
    const isInterrupted = Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)
    this.outcome = report?.outcome ?? (isInterrupted ? "interrupted" : "defect")
    truth.note(`${name} ends: ${this.outcome}${report?.error ? ` (${report.error})` : ""}`)
    const { left } = truth
    if (
      left.length > 0 && report?.outcome !== "resume-failed" && report?.outcome !== "refused" &&
      report?.outcome !== "busy"
    ) {
      truth.broken("I1", `${name} ends as '${this.outcome}' with ${left.join(", ")} down`)
    }
    if (left.length > 0 && report?.outcome === "refused" && truth.durable.size === 0) {
      truth.broken("I1", `${name} is refused with ${left.join(", ")} down and no marker`)
    }
    if (report?.outcome === "resume-failed" && left.length > 0 && truth.durable.size === 0) {
      truth.broken("I6", `${name} leaves ${left.join(", ")} down without a marker`)
    }
    // an engine that stands still for ever keeps its slot
    const isStuck = report?.outcome === "busy" && truth.engineHangs
    if (this.isLast && report?.outcome !== "ok" && !isStuck) {
      truth.broken(
        "I9",
        `a run in which nothing goes wrong ends as '${this.outcome}': ${report?.error ?? this.reason(exit)}`
      )
    }
  }

  /** A run that does not end is one that holds the lock for ever. */
  private readonly bound = (process: SimProcess, millis: number) => {
    const slept = this.world.truth.slept
    const look = (left: number) => {
      this.world.sim.later(undefined, left, () => {
        if (!process.alive) return
        const more = this.world.truth.struck * 60_000
        if (left === millis && more > 0) return look(more)
        this.world.truth.broken("I9", `${process.name} has not ended after ${millis + more} ms (slept ${slept})`)
        process.kill()
      })
    }
    look(millis)
  }

  startRun(name = "run"): SimProcess {
    const { world } = this
    const process = world.process(name)
    world.truth.begins()
    const program = this.inside(process, (reach) => {
      const agent = clientOf(world, process, reach)
      const id = { current: "" }
      return quiesce(world.policy).pipe(
        Effect.provide(services(world, process, agent, { runId: () => id.current, kept: this.kept })),
        Effect.provideService(EventSink, this.sinkOf(id))
      )
    })
    world.start(process, this.quiet(program), (exit) => this.ended(name, exit))
    this.bound(process, 150_000)
    return process
  }

  private readonly sinkOf = (id: { current: string }) => {
    const { emit } = this.sink({ phase: -1 })
    return {
      emit: (event: RunEvent) => {
        if ("runId" in event) id.current = event.runId
        return emit(event)
      }
    }
  }

  startRecover(why: string): void {
    const { world } = this
    const process = world.process("recover")
    const program = this.inside(process, (reach) =>
      recover(world.policy).pipe(
        Effect.provide(
          services(world, process, clientOf(world, process, reach), { runId: () => "recover", kept: this.kept })
        )
      ))
    world.truth.note(`recover by ${why}`)
    world.start(process, this.quiet(program), (exit) => {
      const { truth } = world
      const failed = Exit.isFailure(exit) || exit.value.failed.length > 0
      const told = Exit.isSuccess(exit) ? JSON.stringify(exit.value) : Cause.pretty(exit.cause)
      this.hear(told)
      truth.note(`recover ends: ${told}`)
      if (!failed && Exit.isSuccess(exit) && !exit.value.liveRun && truth.left.length > 0) {
        truth.broken("I1", `recover ends well with ${truth.left.join(", ")} down`)
      }
      // a timer runs it again, as the shipped unit does
      if (truth.left.length > 0 && this.recoveries++ < 20) world.soon(20_000, () => this.startRecover("timer"))
    })
    this.bound(process, 150_000)
  }

  startDaemon(): void {
    const { world } = this
    if ([...world.processes].some(({ name }) => name === "watch")) return
    const process = world.process("watch")
    const zone = DateTime.zoneUnsafeMakeNamed("UTC")
    const policy: Watch.WatchPolicy = {
      ...Watch.defaults,
      schedule: [Either.getOrThrow(timetable("1 2 * * *", zone))],
      retry: { window: Duration.minutes(2), minDelay: Duration.seconds(5), maxDelay: Duration.seconds(20) }
    }
    const id = { current: "" }
    world.truth.begins()
    const program = this.inside(process, (reach) =>
      watch(policy, world.policy, {
        tell: (event) =>
          Effect.sync(() => {
            world.truth.note(`watch: ${JSON.stringify(event)}`)
            this.hear(JSON.stringify(event))
            if (event.event === "run") world.truth.begins()
            if (event.event !== "ended") return
            this.outcome = event.outcome ?? "defect"
            const { left } = world.truth
            if (
              left.length > 0 && event.outcome !== "resume-failed" && event.outcome !== "busy" &&
              event.outcome !== "refused"
            ) {
              world.truth.broken("I1", `a run of watch ends as '${event.outcome}' with ${left.join(", ")} down`)
            }
          })
      }).pipe(
        Effect.provide(
          services(world, process, clientOf(world, process, reach), { runId: () => id.current, kept: this.kept })
        ),
        Effect.provideService(EventSink, this.sinkOf(id))
      ))
    world.start(process, this.quiet(program), () => {
      const { left } = world.truth
      if (left.length > 0 && world.truth.durable.size === 0) {
        world.truth.broken("I1", `watch ends with ${left.join(", ")} down and no marker`)
      }
      world.soon(5_000, () => this.startRecover("ExecStopPost"))
    })
  }

  private quietEnd(limit: number): boolean {
    const { world } = this
    return world.sim.run(
      () => world.pending === 0 && [...world.processes].every(({ name }) => name === "watch"),
      limit
    )
  }

  /** Everything that a history says. */
  play(withLast: boolean): History {
    const { shape, world } = this
    const { truth } = world
    if (shape.agent === "remote") {
      this.startAgent()
      world.sim.run(() => false, 100)
    }
    if (shape.program === "watch") {
      this.startDaemon()
      world.sim.run(() => false, 4 * 60_000)
      // a systemctl stop
      for (const process of world.processes) {
        const main = world.main.get(process)
        if (main !== undefined) main.unsafeInterruptAsFork(main.id())
      }
    } else this.startRun()
    if (!this.quietEnd(60 * 60_000)) truth.broken("I9", "the history does not come to its end")
    const reached = world.reached.length
    if (truth.struck === 0 && truth.volatile.size > 0) {
      truth.broken("I7", "a run in which nothing goes wrong leaves its marker")
    }
    world.faultless = true
    // what an operator, a timer or the next boot does
    if (truth.left.length > 0 || truth.durable.size > 0 || truth.volatile.size > 0 || withLast) {
      this.startRecover("operator")
      if (!this.quietEnd(30 * 60_000)) truth.broken("I9", "a recover in which nothing goes wrong does not end")
    }
    // what was not synced is written back sooner or later
    for (const runId of truth.durable.keys()) if (!truth.volatile.has(runId)) truth.cleared("durable", runId)
    if (truth.left.length > 0) truth.broken("I1", `at the end ${truth.left.join(", ")} is down`)
    if (truth.durable.size + truth.volatile.size > 0) truth.broken("I7", "a marker is left at the end")
    // backups that go on by themselves, and slots that are held for nobody, are over by then
    world.sim.run(() => false, 60_000)
    // what could not be removed is removed by the next run
    if (withLast || (truth.snapshots.size > 0 && !truth.engineHangs)) {
      this.isLast = true
      for (const unit of truth.units.values()) if (unit.ours && !unit.up) truth.startLands(unit)
      this.startRun("last run")
      if (!this.quietEnd(30 * 60_000)) truth.broken("I9", "a run in which nothing goes wrong does not end")
    }
    if (truth.snapshots.size > 0 && !truth.engineHangs) {
      truth.broken("I11", `temporary snapshots are left: ${[...truth.snapshots].join(", ")}`)
    }
    return {
      violations: truth.violations,
      reached: world.reached.slice(0, reached),
      log: truth.log,
      outcome: this.outcome
    }
  }
}

/** Plays a history. The same shape, faults and seed give the same history. */
export const play = (
  shape: Shape,
  faults: ReadonlyArray<Fault>,
  options: { readonly seed?: string; readonly tracing?: boolean; readonly withLast?: boolean } = {}
): History => {
  const kinds = new Map(faults.map(({ at, kind }) => [at, kind]))
  const play = new Play(shape, kinds, options.seed ?? "0", options.tracing ?? false)
  try {
    return play.play(options.withLast ?? true)
  } finally {
    play.world.sim.end()
  }
}
