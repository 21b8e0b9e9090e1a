/**
 * What every AgentClient must keep, as tests without a test framework: for whoever writes an agent of his own.
 */
import { Duration, Effect, Either, Fiber, Ref, Schedule, Schema } from "effect"
import { type BackupStatus, isAtLeast, isFinal, Phase } from "../domain/Backup.ts"
import * as RunId from "../domain/RunId.ts"
import type { AgentClient, AgentError } from "../services/AgentClient.ts"

/** The agent does not keep its contract. */
export class AgentContractBroken extends Schema.TaggedError<AgentContractBroken>()("AgentContractBroken", {
  rule: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `${this.rule}: ${this.found}`
  }
}

/** What the agent under test is to be like. */
export interface AgentScript {
  /** How long it holds its slot for a controller that does not say `quiesced`. */
  readonly readyTimeout?: Duration.DurationInput | undefined
}

/** What is behind the agent under test. Each order is for the backup that is at work. */
export interface AgentControls {
  /** How many backups have begun. */
  readonly begun: Effect.Effect<number>
  /** Whether the storage was read, or its snapshot taken. */
  readonly hasRead: Effect.Effect<boolean>
  /** Lets the snapshot be complete. */
  readonly snapshot: Effect.Effect<void>
  /** So many bytes of 1000 are read. */
  readonly progress: (bytes: number) => Effect.Effect<void>
  /** Lets the backup end: well, or for this reason. */
  readonly end: (reason?: string) => Effect.Effect<void>
}

/** A new agent that has no backup, over scripted storage whose backups wait for their orders. */
export interface AgentSubject {
  readonly client: AgentClient["Type"]
  readonly controls: AgentControls
  /** What agents may do or not. */
  readonly traits: {
    /** Whether a backup whose snapshot exists can still be cancelled. */
    readonly cancelsLate: boolean
    /** Whether `status` waits for a change. */
    readonly waits: boolean
    /** Whether the slot is given back to others when nobody says `quiesced`. */
    readonly readyTimeout: boolean
    /** Whether it tells how much is read. */
    readonly progress: boolean
  }
}

/** One rule. A broken one fails. */
export interface AgentContractRule {
  readonly name: string
  readonly script?: AgentScript | undefined
  readonly test: (subject: AgentSubject) => Effect.Effect<void, AgentContractBroken | AgentError>
}

const holds = (rule: string, kept: boolean, found: () => string) =>
  kept ? Effect.void : new AgentContractBroken({ rule, found: found() })

const show = (value: unknown) => JSON.stringify(value)

const isPhase = Schema.is(Phase)

/** Follows until the phase is there; answers with all that was said. A backup that ends otherwise breaks the rule. */
const until = Effect.fnUntraced(function*({ client }: AgentSubject, runId: RunId.RunId, wanted: Phase) {
  const seen = yield* Ref.make<ReadonlyArray<BackupStatus>>([])
  const last = Effect.map(Ref.get(seen), (all) => all.at(-1))
  const reached = (status: BackupStatus) =>
    isPhase(status.phase) && (isFinal(status.phase) || isAtLeast(status.phase, wanted))
  yield* Effect.flatMap(last, (before) => client.status(runId, before?.revision ?? -1)).pipe(
    Effect.tap((status) => Ref.update(seen, (all) => [...all, status])),
    Effect.repeat({
      until: reached,
      schedule: Schedule.identity<BackupStatus>().pipe(Schedule.addDelay(() => "20 millis"))
    }),
    Effect.timeoutFail({
      duration: "20 seconds",
      onTimeout: () => new AgentContractBroken({ rule: `it becomes '${wanted}'`, found: "not within 20 s" })
    })
  )
  const all = yield* Ref.get(seen)
  const end = all.at(-1)
  if (wanted !== "failed") yield* holds(`it becomes '${wanted}'`, end?.phase !== "failed", () => show(end))
  return all
})

const begin = Effect.fnUntraced(function*(subject: AgentSubject, wanted: "ready" | "running" | "snapshotted") {
  const runId = yield* RunId.make
  yield* subject.client.request(runId)
  yield* until(subject, runId, "ready")
  if (wanted !== "ready") {
    yield* subject.client.quiesced(runId)
    yield* until(subject, runId, "running")
  }
  if (wanted === "snapshotted") {
    yield* subject.controls.snapshot
    yield* until(subject, runId, "snapshotted")
  }
  return runId
})

const finish = Effect.fnUntraced(function*(subject: AgentSubject, runId: RunId.RunId) {
  yield* subject.client.quiesced(runId)
  yield* subject.controls.snapshot
  yield* subject.controls.end()
  return yield* until(subject, runId, "done")
})

const fails = <A>(rule: string, tag: AgentError["_tag"], call: Effect.Effect<A, AgentError>) =>
  Effect.flatMap(
    Effect.either(call),
    (answer) => holds(rule, Either.isLeft(answer) && answer.left._tag === tag, () => show(answer))
  )

/** What is said of one backup goes forward only, and is about it. */
const goesForward = Effect.fnUntraced(function*(runId: RunId.RunId, seen: ReadonlyArray<BackupStatus>) {
  yield* holds("every answer is about the run", seen.every((status) => status.runId === runId), () => show(seen))
  yield* holds("the phases are known", seen.every(({ phase }) => isPhase(phase)), () => show(seen))
  const pairs = seen.slice(1).flatMap((after, index) => {
    const before = seen[index]
    return before === undefined ? [] : [{ before, after }]
  })
  yield* holds(
    "revisions grow, and with every change",
    pairs.every(({ after, before }) =>
      after.revision > before.revision || (after.revision === before.revision && show(after) === show(before))
    ),
    () => show(seen)
  )
  yield* holds(
    "phases go forward",
    pairs.every(({ after, before }) =>
      isPhase(after.phase) && isPhase(before.phase) && isAtLeast(after.phase, before.phase)
    ),
    () => show(seen.map(({ phase }) => phase))
  )
  const bytes = seen.flatMap(({ progress }) => progress === undefined ? [] : [progress.bytes])
  yield* holds("progress grows", bytes.every((n, index) => n >= (bytes[index - 1] ?? 0)), () => show(bytes))
})

/** The rules, in an order in which a first failure says most. */
export const agentClientContract: ReadonlyArray<AgentContractRule> = [
  {
    name: "preflight says what it would do, and begins nothing",
    test: Effect.fnUntraced(function*({ client, controls }) {
      const offer = yield* client.preflight
      yield* holds("it has notes", Array.isArray(offer.notes), () => show(offer))
      yield* holds("nothing has begun", (yield* controls.begun) === 0, () => "a backup has begun")
    })
  },
  {
    name: "a backup goes through its phases in order, to the end",
    test: Effect.fnUntraced(function*(subject) {
      const { client, controls } = subject
      const runId = yield* RunId.make
      const first = yield* client.request(runId)
      const ready = yield* until(subject, runId, "ready")
      const told = yield* client.quiesced(runId)
      const running = yield* until(subject, runId, "running")
      yield* controls.snapshot
      const taken = yield* until(subject, runId, "snapshotted")
      yield* holds("it says how it has read the storage", taken.at(-1)?.effectiveMode !== undefined, () => show(taken))
      yield* controls.end()
      const done = yield* until(subject, runId, "done")
      yield* goesForward(runId, [first, ...ready, told, ...running, ...taken, ...done])
      yield* holds("'snapshotted' is seen", taken.some(({ phase }) => phase === "snapshotted"), () => show(taken))
      yield* holds("it names the artifact", done.at(-1)?.artifact !== undefined, () => show(done.at(-1)))
    })
  },
  {
    name: "the same run id again is the same backup",
    test: Effect.fnUntraced(function*(subject) {
      const { client, controls } = subject
      const runId = yield* RunId.make
      const answers = yield* Effect.all([client.request(runId), client.request(runId)], { concurrency: 2 })
      yield* goesForward(runId, answers.toSorted((a, b) => a.revision - b.revision))
      yield* until(subject, runId, "ready")
      yield* client.request(runId)
      yield* finish(subject, runId)
      const { phase } = yield* client.request(runId)
      yield* holds("an ended one is not begun again", phase === "done", () => phase)
      yield* holds("one has begun", (yield* controls.begun) === 1, () => "more than one")
    })
  },
  {
    name: "one backup at a time: another one is told so, and leaves the first alone",
    test: Effect.fnUntraced(function*(subject) {
      const runId = yield* begin(subject, "ready")
      yield* fails("another one is told", "AgentBusy", Effect.flatMap(RunId.make, subject.client.request))
      yield* finish(subject, runId)
      const next = yield* begin(subject, "ready")
      yield* finish(subject, next)
    })
  },
  {
    name: "a run that nobody has asked for is unknown",
    test: Effect.fnUntraced(function*({ client }) {
      const runId = yield* RunId.make
      yield* fails("status", "BackupUnknown", client.status(runId, -1))
      yield* fails("prepare", "BackupUnknown", client.prepare(runId))
      yield* fails("quiesced", "BackupUnknown", client.quiesced(runId))
    })
  },
  {
    name: "nothing is read before everything is down",
    test: Effect.fnUntraced(function*(subject) {
      const { client, controls } = subject
      const runId = yield* begin(subject, "ready")
      yield* client.prepare(runId)
      yield* Effect.sleep("200 millis")
      yield* holds("nothing is read", !(yield* controls.hasRead), () => "the storage was read")
      const { phase } = yield* client.status(runId, -1)
      yield* holds("it waits", phase === "ready", () => phase)
      yield* finish(subject, runId)
      yield* holds("it is read then", yield* controls.hasRead, () => "nothing was read")
    })
  },
  {
    name: "a backup that nobody wants any longer ends, and reads nothing",
    test: Effect.fnUntraced(function*(subject) {
      const { client, controls } = subject
      const runId = yield* begin(subject, "ready")
      yield* client.cancel(runId)
      const { phase } = yield* client.status(runId, -1)
      yield* holds("it has ended when cancel returns", phase === "failed", () => phase)
      yield* holds("nothing was read", !(yield* controls.hasRead), () => "the storage was read")
      yield* finish(subject, yield* begin(subject, "ready"))
    })
  },
  {
    name: "a cancel before the snapshot ends it, and frees the slot",
    test: Effect.fnUntraced(function*(subject) {
      const runId = yield* begin(subject, "running")
      yield* subject.client.cancel(runId)
      const { phase } = yield* subject.client.status(runId, -1)
      yield* holds("it has ended when cancel returns", phase === "failed", () => phase)
      yield* finish(subject, yield* begin(subject, "ready"))
    })
  },
  {
    name: "a cancel after the snapshot ends it, or is refused and changes nothing",
    test: Effect.fnUntraced(function*(subject) {
      const { client, controls, traits } = subject
      const runId = yield* begin(subject, "snapshotted")
      if (traits.cancelsLate) {
        yield* client.cancel(runId)
        const { phase } = yield* client.status(runId, -1)
        return yield* holds("it has ended", phase === "failed", () => phase)
      }
      yield* fails("it is refused", "AgentRefused", client.cancel(runId))
      yield* controls.end()
      yield* until(subject, runId, "done")
    })
  },
  {
    name: "what has ended stays as it is: cancel and quiesced change nothing",
    test: Effect.fnUntraced(function*(subject) {
      const { client } = subject
      const done = (yield* finish(subject, yield* begin(subject, "ready"))).at(-1)
      const cancelled = yield* begin(subject, "ready")
      yield* client.cancel(cancelled)
      yield* client.cancel(cancelled)
      const ends = [{ runId: done?.runId ?? cancelled, phase: "done" }, { runId: cancelled, phase: "failed" }]
      for (const { phase, runId } of ends) {
        yield* client.cancel(runId)
        yield* client.quiesced(runId)
        const after = yield* client.status(runId, -1)
        yield* holds(`it stays '${phase}'`, after.phase === phase, () => show(after))
      }
    })
  },
  {
    name: "status answers at once when there is something new, and else with the next change",
    test: Effect.fnUntraced(function*(subject) {
      const { client, controls, traits } = subject
      const runId = yield* begin(subject, "running")
      const [took, now] = yield* Effect.timed(client.status(runId, -1))
      yield* holds("at once", Duration.toMillis(took) < 1000, () => Duration.format(took))
      const waiting = yield* Effect.fork(client.status(runId, now.revision))
      yield* Effect.sleep("100 millis")
      if (traits.waits) {
        const early = yield* Fiber.poll(waiting)
        yield* holds("it waits", early._tag === "None", () => show(early))
      }
      yield* controls.snapshot
      const [late, next] = yield* Effect.timed(Fiber.join(waiting))
      if (traits.waits) {
        yield* holds("it has the change", next.revision > now.revision, () => show(next))
        yield* holds("soon", Duration.toMillis(late) < 1000, () => Duration.format(late))
      }
      yield* controls.end()
      yield* until(subject, runId, "done")
    })
  },
  {
    name: "a backup that goes wrong says why",
    test: Effect.fnUntraced(function*(subject) {
      const { controls } = subject
      for (const wanted of ["running", "snapshotted"] as const) {
        const runId = yield* begin(subject, wanted)
        yield* controls.end("the tape is torn")
        const end = (yield* until(subject, runId, "failed")).at(-1)
        yield* holds("it has failed", end?.phase === "failed", () => show(end))
        yield* holds("it says why", end?.error?.includes("the tape is torn") === true, () => show(end))
      }
    })
  },
  {
    name: "progress only grows",
    test: Effect.fnUntraced(function*(subject) {
      const { controls, traits } = subject
      const runId = yield* begin(subject, "snapshotted")
      yield* controls.progress(100)
      const early = yield* until(subject, runId, "snapshotted")
      yield* Effect.sleep("300 millis")
      yield* controls.progress(1000)
      yield* Effect.sleep("300 millis")
      const late = yield* until(subject, runId, "snapshotted")
      yield* controls.end()
      const all = [...early, ...late, ...yield* until(subject, runId, "done")]
      yield* goesForward(runId, all)
      const last = all.at(-1)?.progress
      if (traits.progress) yield* holds("the last is all of it", last?.bytes === 1000, () => show(all))
    })
  },
  {
    name: "a controller that never says 'quiesced' loses the slot",
    script: { readyTimeout: "300 millis" },
    test: Effect.fnUntraced(function*(subject) {
      if (!subject.traits.readyTimeout) return
      const runId = yield* begin(subject, "ready")
      yield* until(subject, runId, "failed")
      yield* holds("nothing was read", !(yield* subject.controls.hasRead), () => "the storage was read")
      yield* finish(subject, yield* begin(subject, "ready"))
    })
  }
]
