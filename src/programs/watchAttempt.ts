/**
 * One run of the daemon: tried again while another run is under way or the agent is away, and kept from taking the
 * daemon with it.
 */
import { Cause, Clock, Duration, Effect, Exit, Option, Random, Ref } from "effect"
import type { RunPolicy } from "../domain/Policy.ts"
import type { Report } from "../domain/Report.ts"
import * as RunId from "../domain/RunId.ts"
import * as Watch from "../domain/Watch.ts"
import type * as WatchEvent from "../domain/WatchEvent.ts"
import { stopwatch } from "../internal/monotonic.ts"
import { AgentClient } from "../services/AgentClient.ts"
import type { DeadMan } from "../services/DeadMan.ts"
import { EventSink } from "../services/EventSink.ts"
import type { MarkerStore } from "../services/MarkerStore.ts"
import { RunLock } from "../services/RunLock.ts"
import type { StackControl } from "../services/StackControl.ts"
import type { QuiesceError } from "./errors.ts"
import type { QuiesceOptions } from "./quiesce.ts"
import type { Memory, Tell } from "./watchMemory.ts"
import { isTransient, observed } from "./watchSilence.ts"

/** What a run needs. */
export type Needs = StackControl | AgentClient | MarkerStore | RunLock | DeadMan

/** Takes one backup. */
export type Perform = (options: QuiesceOptions) => Effect.Effect<Report, QuiesceError, Needs>

/** How the last try of a run ended. */
export interface Tried {
  readonly runId: RunId.RunId
  /** When that try began, in milliseconds of the wall clock. */
  readonly began: number
  /** Nothing after a defect. */
  readonly report: Report | undefined
  readonly error: string | null
  /** The last thing that the agent was asked, it did not answer. */
  readonly away: boolean
}

/** Why a run cannot be had now, but maybe later. */
interface Obstacle {
  readonly because: "busy" | "away"
  readonly reason: string
}

/** Parts of the daemon that a run works with. */
export interface Attempts {
  readonly policy: Watch.WatchPolicy
  readonly run: RunPolicy
  readonly perform: Perform
  readonly options: QuiesceOptions
  readonly memory: Memory
  readonly tell: Tell
  /** A run has ended: with this report, or with none. Also told of one that was interrupted. */
  readonly over: (report: Report | undefined) => Effect.Effect<void>
}

/** A run that is busy begins soon after what it waits for has ended. */
const busyDelay = Duration.seconds(30)
/** The app is taken down for the sake of an agent that then falls silent no more often than this. */
const holdsAtMost = 2

const once = Effect.fnUntraced(function*({ memory, options, over, perform }: Attempts, runId: RunId.RunId) {
  const began = yield* Clock.currentTimeMillis
  const kept = yield* Ref.make<Report | undefined>(undefined)
  const silent = yield* Ref.make(false)
  const outer = yield* EventSink
  const sink: EventSink["Type"] = {
    emit: (event) => Effect.zipRight(event.type === "report" ? Ref.set(kept, event) : Effect.void, outer.emit(event))
  }
  const finish = Effect.fnUntraced(function*(exit: Exit.Exit<Report, QuiesceError>) {
    const report = yield* Ref.get(kept)
    yield* over(report)
    // a run that was turned away is no run: it must not hide the last real one
    if (report !== undefined && report.outcome !== "busy") yield* memory.update((state) => Watch.ran(state, report))
    const error = report?.error ?? (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : null)
    return { runId, began, report, error, away: yield* Ref.get(silent) } satisfies Tried
  })
  return yield* Effect.uninterruptibleMask((restore) =>
    restore(perform({ ...options, runId })).pipe(
      Effect.provideService(EventSink, sink),
      Effect.provideServiceEffect(AgentClient, Effect.map(AgentClient, (agent) => observed(agent, silent))),
      Effect.exit,
      Effect.flatMap(finish)
    )
  )
})

const obstacleOf = ({ away, error, report }: Tried): Obstacle | undefined => {
  const reason = error ?? ""
  switch (report?.outcome) {
    case "busy":
      return { because: "busy", reason }
    case "refused":
    case "backup-failed":
    case "aborted":
      return away ? { because: "away", reason } : undefined
    default:
      return undefined
  }
}

/** What would be in the way of a run now. Asked before it is tried again, because it changes nothing. */
const obstacle = Effect.fnUntraced(function*({ run }: Attempts) {
  const agent = yield* AgentClient
  const holder = yield* Effect.orElseSucceed((yield* RunLock).holder, () => Option.none<string>())
  if (Option.isSome(holder)) return { because: "busy", reason: holder.value } satisfies Obstacle
  return yield* agent.preflight.pipe(
    Effect.as(undefined),
    Effect.catchAll((error): Effect.Effect<Obstacle | undefined> =>
      Effect.succeed(
        isTransient(error)
          ? { because: "away", reason: error.message }
          : error._tag === "AgentBusy"
          ? { because: "busy", reason: error.message }
          : undefined
      )
    ),
    Effect.disconnect,
    Effect.timeoutTo({
      duration: run.agentTimeout,
      onSuccess: (found) => found,
      onTimeout: (): Obstacle => ({ because: "away", reason: "the agent does not answer" })
    })
  )
})

/** Tries a run until it has ended. A request has its id; without one, every try is a backup of its own. */
export const attempt = Effect.fnUntraced(function*(
  attempts: Attempts,
  cause: WatchEvent.Cause,
  asked: RunId.RunId | undefined
) {
  const { policy: { retry }, run, tell } = attempts
  const spent = yield* stopwatch
  let last: Tried | undefined
  let told: Obstacle["because"] | undefined
  let holds = 0
  for (let tries = 0;; tries++) {
    let found = last === undefined ? undefined : yield* obstacle(attempts)
    if (last === undefined || found === undefined) {
      const runId = asked ?? (yield* RunId.make)
      yield* tell({ event: "run", cause, runId })
      last = yield* once(attempts, runId)
      if (last.report?.stacks.some(({ stoppedAt }) => stoppedAt !== null) === true) holds++
      found = obstacleOf(last)
      if (found === undefined || holds >= holdsAtMost) return last
    }
    const { because, reason } = found
    const window = Duration.toMillis(because === "busy" ? run.deadline : retry.window)
    const left = window - (yield* spent)
    if (left <= 0) return last
    if (told !== because) yield* tell({ event: "waiting", because, reason })
    told = because
    const maxDelay = because === "busy" ? Duration.min(busyDelay, retry.maxDelay) : retry.maxDelay
    yield* Effect.sleep(Math.min(left, Watch.backoff({ ...retry, maxDelay }, tries, yield* Random.next)))
  }
})
