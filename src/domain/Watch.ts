/**
 * The controller as a daemon: when it takes a backup, and what it remembers.
 */
import { DateTime, Duration, Schema } from "effect"
import { Outcome, type Report } from "./Report.ts"
import { RunId } from "./RunId.ts"
import { nextDue, type Timetable } from "./Timetable.ts"

/** How a run is tried again while the agent is away. */
export interface RetryPolicy {
  /** How long, from the first try on, before the run counts as failed. */
  readonly window: Duration.Duration
  /** Before the first try after a failure; the pauses then grow. */
  readonly minDelay: Duration.Duration
  /** The longest pause between two tries. */
  readonly maxDelay: Duration.Duration
}

/** When the daemon takes a backup. */
export interface WatchPolicy {
  /** A run is due when one of them says so. Empty: only what the agent asks for is done. */
  readonly schedule: ReadonlyArray<Timetable>
  /** A run begins up to this much later than it is due. */
  readonly jitter: Duration.Duration
  /** What becomes of a run that was due while the daemon was not running, or while the machine slept. */
  readonly missed: "run" | "skip"
  /** Whether the agent may ask for runs. */
  readonly requests: boolean
  readonly retry: RetryPolicy
}

/** A daemon that only does what the agent asks for. */
export const defaults: WatchPolicy = {
  schedule: [],
  jitter: Duration.zero,
  missed: "run",
  requests: true,
  retry: { window: Duration.hours(1), minDelay: Duration.seconds(10), maxDelay: Duration.minutes(5) }
}

/** A moment as milliseconds of the wall clock; written as ISO 8601. */
const Moment = Schema.transform(Schema.DateTimeUtc, Schema.Number, {
  strict: true,
  decode: DateTime.toEpochMillis,
  encode: (millis) => DateTime.unsafeMake(millis)
})

/** How a run of the daemon ended. `at` is when it began. */
export const Ran = Schema.Struct({ runId: RunId, at: Schema.String, outcome: Outcome })
export interface Ran extends Schema.Schema.Type<typeof Ran> {}

/** What the daemon remembers across its own end, and what `status` shows of it. Times are milliseconds. */
export const WatchState = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  /** The timetables that the times below are of. */
  timetables: Schema.String,
  /** Whatever was due up to here has been done or given up. */
  settledUntil: Schema.NullOr(Moment),
  /** The next run: when it is due, and when it begins. */
  next: Schema.NullOr(Schema.Struct({ due: Moment, at: Moment })),
  /** A due run that has begun, and how often. It stays when the daemon dies in the middle of it. */
  begun: Schema.NullOr(Schema.Struct({ due: Moment, times: Schema.NonNegativeInt })),
  lastRun: Schema.NullOr(Ran),
  /** The last run with a finished backup. */
  lastSuccess: Schema.NullOr(Ran),
  /** The last runs that the agent has asked for and that have ended, newest first. */
  answered: Schema.Array(RunId)
})
export interface WatchState extends Schema.Schema.Type<typeof WatchState> {}

/** How many answered requests are remembered. */
const rememberedRequests = 50

const timetablesOf = ({ schedule }: WatchPolicy): string =>
  schedule.map(({ cron, expression }) => `${expression} ${JSON.stringify(cron.tz)}`).join("\n")

/** A daemon that has never run. */
export const initialState = (policy: WatchPolicy): WatchState => ({
  schemaVersion: 1,
  timetables: timetablesOf(policy),
  settledUntil: null,
  next: null,
  begun: null,
  lastRun: null,
  lastSuccess: null,
  answered: []
})

/** How far the clock may be set back without a run that has been done being due again. */
const setBack = 3_600_000

/** Up to where everything is settled, as seen now. */
const settledAt = (policy: WatchPolicy, state: WatchState, now: number): number => {
  const { settledUntil, timetables } = state
  // nothing was missed of a timetable that is new
  if (settledUntil === null || timetables !== timetablesOf(policy)) return now
  return settledUntil > now + setBack ? now : settledUntil
}

/** The state as it stands now: what it says of other timetables, or of a clock that was wrong, is dropped. */
export const resume = (policy: WatchPolicy, state: WatchState, now: number): WatchState => {
  const settledUntil = settledAt(policy, state, now)
  const timetables = timetablesOf(policy)
  return settledUntil === state.settledUntil && timetables === state.timetables
    ? state
    : { ...state, timetables, settledUntil, next: null, begun: null }
}

/** The state with its next run. `random` (0 to 1) chooses the jitter of a run that had none yet. */
export const planned = (policy: WatchPolicy, state: WatchState, now: number, random: number): WatchState => {
  const resumed = resume(policy, state, now)
  const jitter = Duration.toMillis(policy.jitter)
  if (resumed.next !== null && resumed.next.at <= resumed.next.due + jitter) return resumed
  const due = nextDue(policy.schedule, resumed.settledUntil ?? now)
  if (due === undefined) return resumed
  return { ...resumed, next: { due, at: due + Math.floor(random * jitter) } }
}

/** When the next run begins, while one that was due may still be under way. */
export const upcoming = (schedule: WatchPolicy["schedule"], { next }: WatchState, now: number): number | undefined =>
  next !== null && next.at > now ? next.at : nextDue(schedule, now)

/** The state with everything settled up to this moment. */
export const settled = (state: WatchState, until: number): WatchState => ({
  ...state,
  settledUntil: Math.max(until, state.next?.due ?? until),
  next: null,
  begun: null
})

/** How often a due run may be begun whose end the daemon has not seen. */
const beginsAtMost = 2

/** The state with its next run begun; nothing where that was begun too often: it may be what kills the daemon. */
export const begin = (state: WatchState): WatchState | undefined => {
  if (state.next === null) return state
  const { due } = state.next
  const times = state.begun?.due === due ? state.begun.times : 0
  return times >= beginsAtMost ? undefined : { ...state, begun: { due, times: times + 1 } }
}

/** The state after a run that has reported. */
export const ran = (state: WatchState, { outcome, runId, startedAt }: Report): WatchState => {
  const run: Ran = { runId, at: startedAt, outcome }
  return {
    ...state,
    lastRun: run,
    lastSuccess: outcome === "ok" || outcome === "ok-degraded" ? run : state.lastSuccess
  }
}

/** The state in which this request is not to be done again. */
export const answered = (state: WatchState, runId: RunId): WatchState => ({
  ...state,
  answered: [runId, ...state.answered.filter((other) => other !== runId)].slice(0, rememberedRequests)
})

/** The pause before the next try, after `tries` of them, between the half and the whole of what backoff gives. */
export const backoff = (
  { maxDelay, minDelay }: Pick<RetryPolicy, "maxDelay" | "minDelay">,
  tries: number,
  random: number
): number => {
  const whole = Math.min(Duration.toMillis(maxDelay), Duration.toMillis(minDelay) * 2 ** Math.min(tries, 30))
  return Math.round(whole * (1 - random / 2))
}
