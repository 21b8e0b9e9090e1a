/**
 * Time and processes of a simulated world: one queue for all, first in, first out, and a clock that moves only when
 * every process waits. Everything happens within one call of `run`, so a history is the same each time.
 *
 * A killed process is frozen, not made to fail: none of its fibers takes another step, no timer of it fires, and no
 * finalizer runs. A kill that is a call without an answer would let timeouts wake the dead.
 */
import { Clock, Duration, Effect, Exit, Fiber, Random, Runtime, RuntimeFlags, type Scheduler } from "effect"
import type { RuntimeFiber } from "effect/Fiber"

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly owner: SimProcess | undefined
  readonly wake: () => void
  cancelled: boolean
}

/** A small heap: the earliest sleeper first, those of one instant in the order in which they fell asleep. */
class Sleepers {
  private readonly heap: Array<Sleeper> = []

  private before(a: number, b: number): boolean {
    const [x, y] = [this.heap[a]!, this.heap[b]!]
    return x.at < y.at || (x.at === y.at && x.order < y.order)
  }

  private swap(a: number, b: number): void {
    const [x, y] = [this.heap[a]!, this.heap[b]!]
    this.heap[a] = y
    this.heap[b] = x
  }

  push(sleeper: Sleeper): void {
    this.heap.push(sleeper)
    for (let at = this.heap.length - 1; at > 0;) {
      const parent = (at - 1) >> 1
      if (!this.before(at, parent)) return
      this.swap(at, parent)
      at = parent
    }
  }

  peek(): Sleeper | undefined {
    return this.heap[0]
  }

  pop(): void {
    const last = this.heap.pop()
    if (last === undefined || this.heap.length === 0) return
    this.heap[0] = last
    for (let at = 0;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < this.heap.length && this.before(left, least)) least = left
      if (right < this.heap.length && this.before(right, least)) least = right
      if (least === at) return
      this.swap(at, least)
      at = least
    }
  }
}

/** Counts of fibers that nobody reads cost a tenth of the time. */
const runFork = Runtime.runFork(Runtime.disableRuntimeFlag(Runtime.defaultRuntime, RuntimeFlags.RuntimeMetrics))

/**
 * Forgets the fibers that will never go on: to Effect they are roots, and kept until they have an exit. The method is
 * not in its public types, which have none that ends a fiber without running it.
 */
const forget = (isDead: (scheduler: Scheduler.Scheduler) => boolean) => {
  for (const fiber of Effect.runSync(Fiber.roots)) {
    if (!isDead(fiber.currentScheduler)) continue
    const { setExitValue } = fiber as unknown as { readonly setExitValue: (exit: Exit.Exit<never>) => void }
    setExitValue.call(fiber, Exit.die("frozen"))
  }
}

/** One that takes this many turns at one instant never ends. */
const maxTurns = 200_000

/** The time and the processes of one world. */
export class Simulator {
  /** Milliseconds in which the machine was awake: timers count these. */
  private awake = 0
  private asleep = 0
  /** What the wall clock is ahead of the monotonic one. */
  wall = Date.UTC(2026, 0, 1, 2)
  isOver = false
  private order = 0
  private queue: Array<{ readonly owner: SimProcess; readonly task: () => void }> = []
  private readonly sleepers = new Sleepers()

  /** Milliseconds of the monotonic clock. The time of a suspended machine counts in it. */
  get mono(): number {
    return this.awake + this.asleep
  }

  schedule(owner: SimProcess, task: () => void): void {
    this.queue.push({ owner, task })
  }

  /** Calls back later, unless the process is dead by then. Without a process the world itself does it. */
  later(owner: SimProcess | undefined, millis: number, wake: () => void): () => void {
    const sleeper: Sleeper = {
      at: this.awake + Math.max(0, millis),
      order: this.order++,
      owner,
      wake,
      cancelled: false
    }
    this.sleepers.push(sleeper)
    return () => {
      sleeper.cancelled = true
    }
  }

  /** The machine sleeps: the clocks go on, and no timer notices. */
  suspend(millis: number): void {
    this.asleep += millis
  }

  /** Nothing of this world moves again. */
  end(): void {
    this.isOver = true
    forget((scheduler) => scheduler instanceof SimProcess && scheduler.isOf(this))
  }

  private drain(): void {
    let turns = 0
    while (this.queue.length > 0) {
      const queue = this.queue
      this.queue = []
      for (const { owner, task } of queue) {
        if (!owner.alive) continue
        task()
        if (++turns > maxTurns) throw new Error("a process spins: no time passes, and it never waits")
      }
    }
  }

  /** Moves time until `done`, or for `limit` milliseconds; whether it was done. */
  run(done: () => boolean, limit: number): boolean {
    const end = this.awake + limit
    for (;;) {
      this.drain()
      if (done()) return true
      const next = this.sleepers.peek()
      if (next === undefined || next.at > end) {
        this.awake = end
        return false
      }
      this.sleepers.pop()
      if (next.cancelled || next.owner?.alive === false) continue
      this.awake = next.at
      next.wake()
    }
  }
}

/** One process: its fibers, its clock, its death. */
export class SimProcess implements Scheduler.Scheduler {
  alive = true
  private readonly onDeath: Array<() => void> = []
  private readonly sim: Simulator
  private readonly random: Random.Random
  readonly name: string

  constructor(sim: Simulator, name: string, seed: string) {
    this.sim = sim
    this.name = name
    this.random = Random.make(seed)
  }

  private readonly timers: Clock.ClockScheduler = {
    unsafeSchedule: (task, duration) => {
      const millis = Duration.toMillis(duration)
      if (!Number.isFinite(millis)) return () => false
      const cancel = this.sim.later(this, millis, task)
      return () => {
        cancel()
        return true
      }
    }
  }

  readonly clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => Math.floor(this.sim.mono) + this.sim.wall,
    unsafeCurrentTimeNanos: () => BigInt(Math.round(this.sim.mono * 1e6)),
    currentTimeMillis: Effect.sync(() => Math.floor(this.sim.mono) + this.sim.wall),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(this.sim.mono * 1e6))),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const cancel = this.timers.unsafeSchedule(() => resume(Effect.void), duration)
        return Effect.sync(() => {
          cancel()
        })
      })
  }

  isOf(sim: Simulator): boolean {
    return this.sim === sim
  }

  private get moves(): boolean {
    return this.alive && !this.sim.isOver
  }

  shouldYield(fiber: RuntimeFiber<unknown, unknown>): number | false {
    return fiber.currentOpCount > 2048 ? 0 : false
  }

  scheduleTask(task: () => void): void {
    if (this.moves) this.sim.schedule(this, task)
  }

  fork<A, E>(
    program: Effect.Effect<A, E>,
    ended: (exit: Exit.Exit<A, E>) => void = () => {}
  ): Fiber.RuntimeFiber<A, E> {
    const fiber = runFork(
      program.pipe(Effect.withClock(this.clock), Effect.withRandom(this.random), Effect.withTracerEnabled(false)),
      { scheduler: this }
    )
    fiber.addObserver((exit) => {
      if (this.moves) ended(exit)
    })
    return fiber
  }

  /** What the rest of the world sees of its death: locks are free, connections are cut. */
  whenDead(act: () => void): void {
    if (this.alive) this.onDeath.push(act)
    else act()
  }

  /** From here on nothing in this process moves any more. Its end of its own looks like this to others, too. */
  kill(): void {
    if (!this.alive) return
    this.alive = false
    for (const act of this.onDeath) act()
  }
}
