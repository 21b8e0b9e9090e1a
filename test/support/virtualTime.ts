/**
 * A virtual clock and a scheduler that knows when every fiber waits: thousands of virtual seconds in milliseconds. The
 * test clock of `effect` waits some real milliseconds at every wake-up, too long for whole populations of histories.
 */
import { Clock, Duration, Effect, type Fiber, Option, Scheduler } from "effect"
import type { RuntimeFiber } from "effect/Fiber"

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly wake: () => void
}

const maxTurns = 10_000

export class VirtualTime implements Scheduler.Scheduler {
  private millis = 0
  private order = 0
  private pending = 0
  private turns = 0
  private frozen = false
  private sleepers: Array<Sleeper> = []
  private readonly reversed: boolean
  private readonly base = new Scheduler.MixedScheduler(2048)
  /** Called at every operation of every fiber. */
  onOperation: ((fiber: RuntimeFiber<unknown, unknown>) => void) | undefined

  /** Sleepers of one instant wake in the order in which they fell asleep, or in the reverse order. */
  constructor(reversed: boolean) {
    this.reversed = reversed
  }

  readonly clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => this.millis,
    unsafeCurrentTimeNanos: () => BigInt(Math.round(this.millis * 1e6)),
    currentTimeMillis: Effect.sync(() => this.millis),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(this.millis * 1e6))),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const cancel = this.unsafe.unsafeSchedule(() => resume(Effect.void), duration)
        return Effect.sync(() => {
          cancel()
        })
      })
  }

  private readonly unsafe: Clock.ClockScheduler = {
    unsafeSchedule: (task, duration) => {
      const millis = Duration.toMillis(duration)
      if (!Number.isFinite(millis)) return () => false
      const sleeper: Sleeper = {
        at: this.millis + millis,
        order: this.reversed ? -this.order++ : this.order++,
        wake: task
      }
      this.sleepers.push(sleeper)
      return () => {
        const before = this.sleepers.length
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
        return this.sleepers.length < before
      }
    }
  }

  shouldYield(fiber: RuntimeFiber<unknown, unknown>): number | false {
    this.onOperation?.(fiber)
    return this.base.shouldYield(fiber)
  }

  /** The clock is set, and nobody who sleeps notices. */
  jump(millis: number): void {
    this.millis += millis
    this.sleepers = this.sleepers.map((sleeper) => ({ ...sleeper, at: sleeper.at + millis }))
  }

  /** From here on nothing in this world moves any more. */
  freeze(): void {
    this.frozen = true
  }

  scheduleTask(task: () => void, priority: number): void {
    if (this.frozen) return
    this.pending++
    this.base.scheduleTask(() => {
      this.pending--
      if (!this.frozen) task()
    }, priority)
  }

  /** Waits until every fiber waits for time or for ever. */
  private readonly settled = async () => {
    do {
      if (this.turns++ > maxTurns) return
      await new Promise((resolve) => setImmediate(resolve))
    } while (this.pending > 0)
  }

  /** Moves time to the next sleeper, until `done` or until `limit` milliseconds have passed. */
  readonly run = (done: () => boolean, limit: number): Effect.Effect<void> =>
    Effect.promise(async () => {
      const end = this.millis + limit
      for (;;) {
        await this.settled()
        // a program that spins never ends
        if (done() || this.turns > maxTurns) return
        const next = this.sleepers.reduce<Sleeper | undefined>(
          (best, one) =>
            best === undefined || one.at < best.at || (one.at === best.at && one.order < best.order) ? one : best,
          undefined
        )
        if (next === undefined || next.at > end) {
          this.millis = end
          return
        }
        this.millis = Math.max(this.millis, next.at)
        this.sleepers = this.sleepers.filter((other) => other !== next)
        next.wake()
      }
    })

  /** Runs until the fiber has ended; `undefined` when it does not within the limit. */
  readonly until = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, limit: Duration.DurationInput) =>
    Effect.gen(this, function*() {
      yield* this.run(() => fiber.unsafePoll() !== null, Duration.toMillis(limit))
      return Option.getOrUndefined(yield* fiber.poll)
    })

  /** The program on this clock and scheduler. */
  readonly in = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    program.pipe(Effect.withClock(this.clock), Effect.withScheduler(this))
}
