/**
 * The controller as a daemon: recovers, then takes the backups that are due and those that the agent asks for, one at a
 * time, until it is interrupted.
 *
 * It reads the wall clock at least once a minute, so that a clock that is set or a machine that sleeps neither skips nor
 * doubles a run.
 */
import { Cause, Clock, Effect, Option, Ref } from "effect"
import type { RunPolicy } from "../domain/Policy.ts"
import type { Report } from "../domain/Report.ts"
import type { RunId } from "../domain/RunId.ts"
import * as Watch from "../domain/Watch.ts"
import type * as WatchEvent from "../domain/WatchEvent.ts"
import { MarkerStore, type OtherMachine } from "../services/MarkerStore.ts"
import { type WatchClaimed, WatchStore, type WatchStoreError } from "../services/WatchStore.ts"
import { quiesce, type QuiesceOptions } from "./quiesce.ts"
import { attempt, type Attempts, type Needs, type Perform } from "./watchAttempt.ts"
import { heal } from "./watchHeal.ts"
import * as Memory from "./watchMemory.ts"
import * as Requests from "./watchRequests.ts"

/** What a daemon may have otherwise than the next. */
export interface WatchOptions {
  /** Takes one backup. Default: `quiesce` with the policy of the run. */
  readonly perform?: Perform | undefined
  /** What the report of an interrupted run gives as exit code. Default: 130. */
  readonly interruptedExitCode?: QuiesceOptions["interruptedExitCode"]
  /** Told of what happens. It must neither fail nor wait. What the runs tell goes to the `EventSink`. */
  readonly tell?: ((event: WatchEvent.WatchEvent) => Effect.Effect<void>) | undefined
}

/** How long, in milliseconds, the daemon sleeps at most before it looks at the clock again. */
const glance = 60_000
/** Later than this, a due run was missed: the machine slept, or the daemon was not there. */
const late = 3 * glance

/** The daemon, until it is interrupted. */
const loop = Effect.fnUntraced(function*(policy: Watch.WatchPolicy, run: RunPolicy, options: WatchOptions) {
  const tell = Memory.teller(options.tell ?? (() => Effect.void))
  const down = yield* Ref.make(false)
  const healed = yield* Ref.make(false)
  yield* Effect.addFinalizer(() => Effect.flatMap(Ref.get(down), (down) => tell({ event: "stopped", down })))
  yield* tell({ event: "started" })
  // before the agent hears of it: a clone starts its app, and does not speak for its original
  yield* Effect.tapError((yield* MarkerStore).mine, () => heal(run, down, tell))
  const memory = yield* Memory.make(policy, tell)
  const requests = policy.requests ? yield* Requests.make(memory, tell) : Requests.none
  const seen = yield* Ref.make(-Infinity)
  const announced = yield* Ref.make<number | null | undefined>(undefined)

  const over = Effect.fnUntraced(function*(report: Report | undefined) {
    if (report?.outcome === "resume-failed") {
      yield* Ref.set(down, true)
      yield* tell({ event: "down", reason: report.error ?? "" })
    }
    yield* Ref.set(healed, report !== undefined && report.outcome !== "resume-failed")
  })
  const { interruptedExitCode, perform = (options: QuiesceOptions) => quiesce(run, options) } = options
  const attempts: Attempts = {
    policy,
    run,
    perform,
    // whoever ends the daemon waits for the app, not for an agent that does not answer
    options: { interruptedExitCode, cancelWait: "500 millis" },
    memory,
    tell,
    over
  }

  const serve = Effect.fnUntraced(function*(cause: WatchEvent.Cause, asked?: RunId) {
    const { began, error, report, runId } = yield* attempt(attempts, cause, asked)
    yield* tell({ event: "ended", runId, outcome: report?.outcome ?? null, reason: error })
    return began
  })

  const serveDue = Effect.fnUntraced(function*(due: number, missed: boolean, now: number) {
    const begun = Watch.begin(yield* memory.state)
    const reason = missed && policy.missed === "skip"
      ? "the daemon was not running then"
      : begun === undefined
      ? "the daemon has died in it again and again"
      : undefined
    if (begun === undefined || reason !== undefined) {
      yield* tell({ event: "skipped", due: Memory.iso(due), reason: reason ?? "" })
      return yield* memory.update((state) => Watch.settled(state, now))
    }
    yield* memory.update(() => begun)
    const began = yield* serve(missed ? "missed" : "schedule")
    yield* memory.update((state) => Watch.settled(state, began))
  })

  const idle = Effect.fnUntraced(function*(next: Watch.WatchState["next"], now: number) {
    const at = next?.at ?? null
    if ((yield* Ref.getAndSet(announced, at)) !== at) {
      yield* tell({
        event: "next",
        due: next === null ? null : Memory.iso(next.due),
        begins: at === null ? null : Memory.iso(at)
      })
    }
    yield* Ref.set(seen, now)
    yield* Effect.raceFirst(Effect.sleep(Math.min(glance, (at ?? Infinity) - now)), requests.some)
  })

  const step = Effect.gen(function*() {
    if (!(yield* Ref.get(healed))) {
      yield* heal(run, down, tell)
      yield* Ref.set(healed, true)
      const woke = yield* Clock.currentTimeMillis
      yield* Ref.update(seen, (before) => before === -Infinity ? before : woke)
    }
    const now = yield* Clock.currentTimeMillis
    const next = yield* memory.plan(now)
    // whoever asks waits for the answer, a due time does not
    const asked = yield* requests.take
    if (Option.isSome(asked)) {
      yield* serve("request", asked.value)
      yield* memory.update((state) => Watch.answered(state, asked.value))
      yield* requests.done(asked.value)
    } else if (next === null || next.at > now) return yield* idle(next, now)
    else {
      const before = yield* Ref.get(seen)
      yield* serveDue(next.due, before < next.at && now - before > late, now)
    }
    yield* Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.set(seen, now))
  })

  return yield* step.pipe(
    Effect.catchAllCause((cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.failCause(cause)
        : Effect.zipRight(
          tell({ event: "warning", message: `internal error: ${Cause.pretty(cause)}` }),
          Effect.sleep(glance)
        )
    ),
    Effect.forever
  )
})

/**
 * Watches over an app until it is interrupted: starts what a dead run left down, then takes the backups that are due and
 * those that the agent asks for, never two at a time, and none while something is down. On the state of another machine
 * it only starts what was left down, and fails.
 *
 * @example
 * ```ts
 * import { defaults, type WatchPolicy } from "quiesce/domain/Watch"
 * import type { RunPolicy } from "quiesce/domain/Policy"
 * import { watch } from "quiesce/programs/watch"
 * import { Effect } from "effect"
 *
 * const daemon = (run: RunPolicy, policy: WatchPolicy = defaults) =>
 *   watch(policy, run, { tell: (event) => Effect.log(event) })
 * ```
 */
export const watch: (
  policy: Watch.WatchPolicy,
  run: RunPolicy,
  options?: WatchOptions
) => Effect.Effect<never, WatchClaimed | WatchStoreError | OtherMachine, Needs | WatchStore> = Effect.fn("watch")(
  function*(policy, run, options = {}) {
    yield* (yield* WatchStore).claim
    return yield* loop(policy, run, options)
  },
  Effect.scoped
)
