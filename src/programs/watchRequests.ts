/**
 * What the agent asks the daemon for. An agent that is away is asked again and again, and said to be away once.
 */
import { Cause, Duration, Effect, Exit, Option, Random, Ref } from "effect"
import type { RunId } from "../domain/RunId.ts"
import { backoff } from "../domain/Watch.ts"
import { AgentClient } from "../services/AgentClient.ts"
import type { Memory, Tell } from "./watchMemory.ts"

/** The requests that are still to be done. */
export interface Requests {
  /** The oldest one, which then counts as under way. */
  readonly take: Effect.Effect<Option.Option<RunId>>
  /** Returns when there is one. */
  readonly some: Effect.Effect<void>
  /** The one under way has ended. */
  readonly done: (runId: RunId) => Effect.Effect<void>
}

const pauses = { minDelay: Duration.seconds(1), maxDelay: Duration.minutes(1) }
/** A question that has gone unanswered for so long has reached the agent. */
const heard = "2 minutes"
/** Keeps an agent that asks the same again and again from being asked without end. */
const breath = "1 second"

/** Nobody asks for anything. */
export const none: Requests = { take: Effect.succeedNone, some: Effect.never, done: () => Effect.void }

/** Asks the agent until the scope closes. */
export const make = Effect.fnUntraced(function*(memory: Memory, tell: Tell) {
  const agent = yield* AgentClient
  const waiting = yield* Ref.make<ReadonlyArray<RunId>>([])
  const serving = yield* Ref.make<RunId | undefined>(undefined)
  const latch = yield* Effect.makeLatch(false)
  const failures = yield* Ref.make(0)

  const back = Effect.whenEffect(
    tell({ event: "agent-back" }),
    Effect.map(Ref.getAndSet(failures, 0), (before) => before > 0)
  )

  const away = Effect.fnUntraced(function*(reason: string) {
    const before = yield* Ref.getAndUpdate(failures, (n) => n + 1)
    if (before === 0) yield* tell({ event: "agent-away", reason })
    yield* Effect.sleep(backoff(pauses, before, yield* Random.next))
  })

  const take = Effect.fnUntraced(function*(runId: RunId) {
    const { answered } = yield* memory.state
    const known = answered.includes(runId) || (yield* Ref.get(serving)) === runId
    yield* Ref.update(waiting, (all) => known || all.includes(runId) ? all : [...all, runId])
    if (!known) yield* latch.open
    yield* Effect.sleep(breath)
  })

  yield* Effect.disconnect(agent.asked).pipe(
    Effect.raceFirst(Effect.zipRight(Effect.delay(back, heard), Effect.never)),
    Effect.exit,
    Effect.flatMap((exit) =>
      Exit.isSuccess(exit)
        ? Effect.zipRight(back, take(exit.value))
        : away(Option.match(Cause.failureOption(exit.cause), {
          onNone: () => Cause.pretty(exit.cause),
          onSome: ({ message }) => message
        }))
    ),
    Effect.forever,
    Effect.forkScoped
  )

  const requests: Requests = {
    take: Effect.gen(function*() {
      const [first, ...later] = yield* Ref.get(waiting)
      yield* Ref.set(waiting, later)
      yield* Ref.set(serving, first)
      if (later.length === 0) yield* latch.close
      return Option.fromNullable(first)
    }),
    some: latch.await,
    done: () => Ref.set(serving, undefined)
  }
  return requests
})
