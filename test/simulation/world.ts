/**
 * A simulated world: a machine with an app and the processes of quiesce, an agent beside it, and what goes wrong.
 */
import { Effect, type Exit } from "effect"
import type { RuntimeFiber } from "effect/Fiber"
import type { RunPolicy } from "../../src/domain/Policy.ts"
import { type Kind, kindsAt, type Place } from "./faults.ts"
import type { Shape } from "./shapes.ts"
import { SimProcess, Simulator } from "./simulator.ts"
import { Truth } from "./truth.ts"

/** A call that can be torn, fail, hang or lie. */
export interface Call<A, E> {
  readonly place: Place
  readonly name: string
  readonly effect: Effect.Effect<A, E>
  /** Without it, the call cannot fail. */
  readonly error?: (() => E) | undefined
  /** What a wrong answer is; it has no effect on the world. */
  readonly lie?: Effect.Effect<A, E> | undefined
}

/** A boundary that was reached. */
export interface Reached {
  readonly place: Place
  readonly name: string
}

/** Effect.never holds a timer of Node, which would keep the real process alive. */
export const forever = Effect.async<never>(() => {})

const slowness = 2_500

export class World {
  readonly sim = new Simulator()
  readonly truth: Truth
  readonly reached: Array<Reached> = []
  /** The processes of the machine that the app is on. */
  readonly processes = new Set<SimProcess>()
  lockHolder: SimProcess | undefined
  /** Those that a dead-man watches. */
  readonly armed = new Set<SimProcess>()
  /** What is to come: deaths and their healing are over when this is 0. */
  pending = 0
  /** The agent's process, where it has one of its own. */
  agentProcess: SimProcess | undefined
  restartAgent: () => void = () => {}
  /** Somebody runs `recover`. */
  recover: (why: string) => void = () => {}
  /** After the death of the main process of a daemon. */
  restartDaemon: (() => void) | undefined
  /** Somebody runs it again. */
  runAgain: () => void = () => {}
  private readonly faults: ReadonlyMap<number, Kind>
  private born = 0
  /** From here on nothing goes wrong. */
  faultless = false
  readonly shape: Shape
  readonly policy: RunPolicy
  readonly seed: string

  constructor(shape: Shape, policy: RunPolicy, faults: ReadonlyMap<number, Kind>, seed: string) {
    this.shape = shape
    this.policy = policy
    this.faults = faults
    this.seed = seed
    this.truth = new Truth(this.sim, shape)
  }

  process(name: string, onTheMachine = true): SimProcess {
    const process = new SimProcess(this.sim, name, `${this.seed}/${this.born++}`)
    if (onTheMachine) {
      this.processes.add(process)
      process.whenDead(() => {
        this.processes.delete(process)
        this.armed.delete(process)
        if (this.lockHolder === process) this.lockHolder = undefined
      })
    }
    return process
  }

  /** Something happens later, and the history is not over before. */
  soon(millis: number, act: () => void): void {
    this.pending++
    this.sim.later(undefined, millis, () => {
      this.pending--
      act()
    })
  }

  private kill(process: SimProcess): void {
    this.truth.note(`kill -9 ${process.name}`)
    if (process === this.agentProcess) {
      process.kill()
      return this.soon(1_000, () => this.restartAgent())
    }
    const isArmed = this.armed.has(process) && this.shape.deadMan
    process.kill()
    this.truth.died()
    const isDaemon = process.name === "watch"
    this.soon(isArmed ? 300 : 5_000, () => this.recover(isArmed ? "dead-man" : "supervisor"))
    if (isDaemon && this.restartDaemon !== undefined) this.soon(8_000, this.restartDaemon)
    if (process.name === "run" && this.shape.runsAgain) this.soon(1_500, this.runAgain)
  }

  private powerLoss(): void {
    const wasDaemon = [...this.processes].some(({ name }) => name === "watch")
    for (const process of this.processes) process.kill()
    this.truth.powerLoss()
    this.truth.died()
    this.soon(20_000, () => this.recover("boot"))
    if (wasDaemon && this.restartDaemon !== undefined) this.soon(30_000, this.restartDaemon)
  }

  /** The fiber that a signal interrupts. */
  readonly main = new Map<SimProcess, RuntimeFiber<unknown, unknown>>()

  /** A call of this process: one boundary, at which what was planned for its number happens. */
  readonly boundary = <A, E>(process: SimProcess, call: Call<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const { effect, error, lie, name, place } = call
      const n = this.reached.length
      this.reached.push({ place, name })
      this.truth.step = n
      const kind = this.faultless ? undefined : this.faults.get(n)
      if (this.truth.tracing) {
        this.truth.note(`[${n}] ${process.name}: ${name}${kind === undefined ? "" : ` <- ${kind}`}`)
      }
      if (kind === undefined || !kindsAt[place].includes(kind)) return effect
      this.truth.struck++
      const fails = error === undefined ? Effect.die(`${name}: broken`) : Effect.suspend(() => Effect.fail(error()))
      switch (kind) {
        case "kill-before":
          this.kill(process)
          return forever
        case "kill-after":
          return Effect.zipRight(
            Effect.exit(effect),
            Effect.suspend(() => {
              this.kill(process)
              return forever
            })
          )
        case "power-before":
          this.powerLoss()
          return forever
        case "power-after":
          return Effect.zipRight(
            Effect.exit(effect),
            Effect.suspend(() => {
              this.powerLoss()
              return forever
            })
          )
        // the other side has it, and goes on with it
        case "kill-during":
        case "power-during":
          return Effect.fork(effect).pipe(
            Effect.zipRight(Effect.yieldNow()),
            Effect.zipRight(Effect.suspend(() => {
              if (kind === "kill-during") this.kill(process)
              else this.powerLoss()
              return forever
            }))
          )
        case "signal": {
          const main = this.main.get(process)
          if (main !== undefined) main.unsafeInterruptAsFork(main.id())
          return effect
        }
        case "error-before":
          return error === undefined ? effect : fails
        case "error-after":
          return Effect.zipRight(Effect.exit(effect), error === undefined ? forever : fails)
        case "hang":
          if (place === "engine") this.truth.engineHangs = true
          return forever
        case "hang-after":
          return Effect.zipRight(Effect.exit(effect), forever)
        case "slow":
          return Effect.delay(effect, slowness)
        case "lie":
          return lie ?? effect
        case "agent-kill":
          if (this.agentProcess?.alive === true) this.kill(this.agentProcess)
          return effect
        case "user-start":
        case "user-stop":
          this.truth.user(kind === "user-start" ? "started" : "stopped")
          return effect
        case "suspend":
          this.truth.note("the machine sleeps for an hour")
          this.sim.suspend(3_600_000)
          this.truth.slept += 3_600_000
          return effect
        case "clock-forward":
        case "clock-back":
          this.sim.wall += (kind === "clock-forward" ? 1 : -1) * 30 * 86_400_000
          return effect
      }
    })

  /** Runs a program in a process of its own, which ends with it. */
  start<A, E>(
    process: SimProcess,
    program: Effect.Effect<A, E>,
    ended: (exit: Exit.Exit<A, E>) => void
  ): void {
    const fiber = process.fork(program, (exit) => {
      ended(exit)
      process.kill()
    })
    this.main.set(process, fiber as RuntimeFiber<unknown, unknown>)
  }
}
