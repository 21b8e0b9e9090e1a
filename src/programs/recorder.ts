/**
 * What a run remembers of itself for its report, and tells the event sink as it happens.
 */
import { Clock, DateTime, Effect, Ref } from "effect"
import type { Phase, Progress } from "../domain/Backup.ts"
import type { Reason } from "../domain/Consistency.ts"
import type { RunEvent } from "../domain/Report.ts"
import type { RunId } from "../domain/RunId.ts"
import type { StackName } from "../domain/Stack.ts"
import { EventSink } from "../services/EventSink.ts"

/** A moment, for people and for arithmetic: wall clocks jump, so durations come from the monotonic one. */
export interface Moment {
  readonly at: string
  readonly nanos: bigint
}

/** Now. */
export const moment: Effect.Effect<Moment> = Effect.gen(function*() {
  return { at: DateTime.formatIso(yield* DateTime.now), nanos: yield* Clock.currentTimeNanos }
})

/** Milliseconds from one moment to another. */
export const millisBetween = (from: Moment, to: Moment): number => Number(to.nanos - from.nanos) / 1e6

/** When a stack was stopped and when it was seen up again. */
export interface StackTimes {
  readonly stopped?: Moment
  readonly resumed?: Moment
}

/** Everything that the report is made of. */
export interface RunRecord {
  readonly started: Moment
  readonly stacks: ReadonlyMap<StackName, StackTimes>
  readonly phases: ReadonlyArray<{ readonly phase: Phase; readonly at: string }>
  readonly reasons: ReadonlySet<Reason>
  readonly warnings: ReadonlyArray<string>
}

/** The states of a stack that events tell. */
export type StackState = Extract<RunEvent, { readonly type: "stack" }>["state"]

/** Takes in what happens, and passes it on as events. */
export interface Recorder {
  readonly runId: RunId
  readonly phase: (phase: Phase) => Effect.Effect<void>
  readonly progress: (progress: Progress) => Effect.Effect<void>
  readonly stack: (stack: StackName, state: StackState) => Effect.Effect<void>
  /** Something that the user should know, but that does not change how the run ends. */
  readonly warn: (message: string) => Effect.Effect<void>
  /** A warning that was given before is not given again. */
  readonly warnOnce: (message: string) => Effect.Effect<void>
  /** Evidence against `application`. */
  readonly against: (reason: Reason) => Effect.Effect<void>
  readonly emit: (event: RunEvent) => Effect.Effect<void>
  readonly record: Effect.Effect<RunRecord>
}

/** A recorder for this run, with the event sink of the context. */
export const make = Effect.fnUntraced(function*(runId: RunId) {
  const told = yield* EventSink
  // a sink that breaks its contract must not break a run that holds an app down
  const sink = {
    emit: (event: RunEvent) => Effect.catchAllCause(told.emit(event), (cause) => Effect.logWarning("event sink", cause))
  }
  const ref = yield* Ref.make<RunRecord>({
    started: yield* moment,
    stacks: new Map(),
    phases: [],
    reasons: new Set(),
    warnings: []
  })
  const times = (stack: StackName, state: StackState, now: Moment) =>
    Ref.update(ref, (record) => {
      const before = record.stacks.get(stack) ?? {}
      const after = state === "stopping" ? { ...before, stopped: before.stopped ?? now } : { ...before, resumed: now }
      return { ...record, stacks: new Map([...record.stacks, [stack, after]]) }
    })
  const withWarning = (record: RunRecord, message: string) => ({ ...record, warnings: [...record.warnings, message] })
  const tell = (message: string) =>
    Effect.flatMap(moment, ({ at }) => sink.emit({ type: "warning", runId, at, message }))
  const recorder: Recorder = {
    runId,
    phase: Effect.fnUntraced(function*(phase) {
      const { at } = yield* moment
      yield* Ref.update(ref, (record) => ({ ...record, phases: [...record.phases, { phase, at }] }))
      yield* sink.emit({ type: "phase", runId, at, phase })
    }),
    progress: Effect.fnUntraced(function*(progress) {
      const { at } = yield* moment
      yield* sink.emit({ type: "progress", runId, at, ...progress })
    }),
    stack: Effect.fnUntraced(function*(stack, state) {
      const now = yield* moment
      if (state === "stopping" || state === "running") yield* times(stack, state, now)
      yield* sink.emit({ type: "stack", runId, at: now.at, stack, state })
    }),
    warn: (message) => Effect.zipRight(Ref.update(ref, (record) => withWarning(record, message)), tell(message)),
    warnOnce: (message) =>
      Effect.whenEffect(
        tell(message),
        Ref.modify(ref, (record) =>
          record.warnings.includes(message) ? [false, record] : [true, withWarning(record, message)])
      ),
    against: (reason) => Ref.update(ref, (record) => ({ ...record, reasons: new Set([...record.reasons, reason]) })),
    emit: (event) => sink.emit(event),
    record: Ref.get(ref)
  }
  return recorder
})
