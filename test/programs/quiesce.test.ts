import { makeWorld, real } from "../support/world.ts"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, TestClock } from "effect"
import type { StoredMarker } from "../../src/domain/Marker.ts"
import { defaults, type RunPolicy, stackDefaults } from "../../src/domain/Policy.ts"
import * as RunId from "../../src/domain/RunId.ts"
import { StackName, UnitId } from "../../src/domain/Stack.ts"
import * as AgentClientMemory from "../../src/layers/AgentClientMemory.ts"
import * as DeadManMemory from "../../src/layers/DeadManMemory.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MarkerStoreMemory from "../../src/layers/MarkerStoreMemory.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import { quiesce } from "../../src/programs/quiesce.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { MarkerStore } from "../../src/services/MarkerStore.ts"
import { diamond } from "../support/graphCases.ts"

const app = StackName.make("app")
const policy: RunPolicy = { ...defaults, stacks: [{ stack: app, ...stackDefaults }] }
const slow = [{ stack: "app", stop: [{ takes: "1 second" }], start: [{ takes: "1 second" }] }] as const

const heldBy = RunId.RunId.make("01936f00-0000-7000-8000-000000000001")
/** What a dead run left: the app was stopped by it. */
const heldApp: StoredMarker = {
  _tag: "Readable",
  name: heldBy,
  marker: {
    runId: heldBy,
    createdAt: "2026-01-01T00:00:00.000Z",
    stacks: [{
      stack: app,
      control: "memory",
      units: [{ id: UnitId.make("app"), stopTimeoutMs: 30_000, startTimeoutMs: 60_000, identity: {} }]
    }]
  },
  notes: [{ stack: app, unit: UnitId.make("app"), state: "stopped" }]
}

const agent = (...phases: AgentClientMemory.AgentScript["phases"]) => AgentClientMemory.layer({ phases })

const world = (
  stacks: ReadonlyArray<StackControlMemory.MemoryStack>,
  agent: Layer.Layer<AgentClient, never, Journal.Journal>,
  markers: MarkerStoreMemory.MarkerStoreMemoryOptions = {}
) =>
  Layer.mergeAll(
    StackControlMemory.layer(stacks),
    agent,
    MarkerStoreMemory.layer(markers),
    RunLockMemory.layer,
    DeadManMemory.layer()
  ).pipe(Layer.provideMerge(Journal.layer))

const snapshotAgent = agent(
  { at: 0, phase: "running", mode: "snapshot" },
  { at: "2 seconds", phase: "snapshotted" },
  { at: "20 seconds", phase: "done", artifact: "backup.tar.zst" }
)

/** The end of a run whose limit is over. */
const aborted = Effect.gen(function*() {
  const fiber = yield* Effect.fork(quiesce(policy))
  yield* TestClock.adjust("5 minutes")
  const error = yield* Effect.flip(Fiber.join(fiber))
  assert(error._tag === "RunAborted")
  return error
})

describe("quiesce, second by second", () => {
  it.effect("resumes at snapshotted, clears the marker, and stays with the backup until done", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const markers = yield* MarkerStore
      const fiber = yield* Effect.fork(quiesce(policy))

      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* journal.lines, [
        "dead-man arm",
        "agent request",
        "prepare app",
        "prepare app",
        "marker write",
        "stop app/app",
        "down app/app",
        "agent quiesced"
      ])
      assert.strictEqual((yield* markers.list).length, 1)

      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual((yield* journal.lines).slice(8), ["start app/app", "up app/app", "marker clear"])
      assert.deepStrictEqual(yield* markers.list, [])
      assert.isTrue(Option.isNone(yield* fiber.poll), "the run must not end before the backup does")

      yield* TestClock.adjust("20 seconds")
      const report = yield* Fiber.join(fiber)
      assert.strictEqual(report.outcome, "ok")
      assert.strictEqual(report.exitCode, 0)
      assert.deepStrictEqual(report.consistency, { level: "application", reasons: [] })
      assert.strictEqual(report.artifact, "backup.tar.zst")
      assert.strictEqual(report.stacks[0]?.downtimeMs, 4_000)
      assert.deepStrictEqual(report.phases.map(({ phase }) => phase), ["ready", "running", "snapshotted", "done"])
      assert.strictEqual((yield* journal.lines).at(-1), "dead-man disarm")
    }).pipe(Effect.provide(world(slow, snapshotAgent))))

  it.effect("the answer to 'quiesced' may tell of the snapshot already: nobody waits for it again", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(quiesce(policy))
      yield* TestClock.adjust("1 minute")
      const report = yield* Fiber.join(fiber)
      assert.strictEqual(report.outcome, "ok")
      assert.strictEqual(report.stacks[0]?.downtimeMs, 2_000)
    }).pipe(Effect.provide(world(
      slow,
      AgentClientMemory.layer({
        // such an agent answers the next question only when there is something new
        waits: "1 hour",
        phases: [{ at: 0, phase: "snapshotted", mode: "snapshot" }, { at: "30 seconds", phase: "done" }]
      })
    ))))

  it.effect("an agent that is away when it is asked for the backup is asked again, with the app up", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const fiber = yield* Effect.fork(quiesce(policy))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).outcome, "ok")
      const lines = yield* journal.lines
      assert.isAbove(lines.filter((line) => line === "agent request").length, 1)
      assert.isBelow(lines.lastIndexOf("agent request"), lines.indexOf("stop app/app"))
    }).pipe(Effect.provide(world(
      slow,
      AgentClientMemory.layer({
        phases: [{ at: 0, phase: "snapshotted", mode: "snapshot" }, { at: "1 second", phase: "done" }],
        fault: (operation, n) => operation === "request" && n < 3 ? "unavailable" : undefined
      })
    ))))

  it.effect("no second run begins while the first still follows its backup", () =>
    Effect.gen(function*() {
      const first = yield* Effect.fork(quiesce(policy))
      yield* TestClock.adjust("10 seconds")
      const second = yield* Effect.exit(quiesce(policy))
      assert(Exit.isFailure(second))
      const error = Option.getOrThrow(Cause.failureOption(second.cause))
      assert.strictEqual(error._tag, "RunBusy")
      assert.strictEqual(error.report.exitCode, 5)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(first)).outcome, "ok")
    }).pipe(Effect.provide(world(slow, snapshotAgent))))

  it.effect("a storage that cannot snapshot: down until done, then one resume", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const fiber = yield* Effect.fork(quiesce(policy))
      yield* TestClock.adjust("3 minutes")
      assert.isFalse((yield* journal.lines).includes("start app/app"), "120 s are not its limit")
      yield* TestClock.adjust("3 minutes")
      const report = yield* Fiber.join(fiber)
      assert.strictEqual(report.outcome, "ok")
      assert.strictEqual((yield* journal.lines).filter((line) => line === "start app/app").length, 1)
    }).pipe(
      Effect.provide(world(slow, agent({ at: 0, phase: "running", mode: "stop" }, { at: "5 minutes", phase: "done" })))
    ))

  it.effect("the limit: resume first, then cancel", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const error = yield* aborted
      assert.strictEqual(error.report.exitCode, 6)
      assert.strictEqual(error.report.consistency.level, "none")
      assert.deepStrictEqual(error.report.consistency.reasons, ["limit-exceeded", "backup-not-done"])
      const entries = yield* journal.entries
      const start = entries.find(({ what }) => what === "start app/app")
      assert.strictEqual(start?.at, 120_000)
      const lines = entries.map(({ what }) => what)
      assert.isAbove(lines.indexOf("agent cancel"), lines.indexOf("start app/app"))
    }).pipe(Effect.provide(world(slow, agent({ at: 0, phase: "running", mode: "snapshot" })))))

  it.effect("an agent that is away when its backup is cancelled is told again", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const error = yield* aborted
      assert.strictEqual((yield* journal.lines).filter((line) => line === "agent cancel").length, 4)
      assert.isFalse(error.report.warnings.some((warning) => warning.includes("could not be cancelled")))
    }).pipe(Effect.provide(world(
      slow,
      AgentClientMemory.layer({
        phases: [{ at: 0, phase: "running", mode: "snapshot" }],
        fault: (operation, n) => operation === "cancel" && n < 3 ? "unavailable" : undefined
      })
    ))))

  it.live("a machine that slept in the hold resumes when it wakes, and claims nothing", () =>
    Effect.gen(function*() {
      const { run, time } = yield* makeWorld(yield* Effect.promise(() => real), {
        stacks: [{ stack: "app" }],
        agent: {
          phases: [
            { at: 0, phase: "running", mode: "snapshot" },
            { at: "20 seconds", phase: "snapshotted" },
            { at: "2 hours", phase: "done" }
          ]
        }
      })
      const slept = 3_600_000
      yield* time.in(Effect.forkDaemon(Effect.delay(Effect.sync(() => time.jump(slept)), "5 seconds")))
      const { journal, report } = yield* run
      assert.strictEqual(report?.outcome, "aborted")
      assert.deepStrictEqual(report?.consistency.reasons, ["limit-exceeded", "backup-not-done"])
      const start = journal.find(({ what }) => what === "start app/app")?.at ?? Infinity
      assert.isAtLeast(start, slept + 5_000)
      assert.isAtMost(start, slept + 7_000)
    }).pipe(Effect.scoped))

  it.effect("an app that does not come up leads the error, with the backup's own error as a field", () =>
    Effect.gen(function*() {
      const markers = yield* MarkerStore
      const fiber = yield* Effect.fork(quiesce({ ...policy, resumeTimeout: Duration.seconds(30) }))
      yield* TestClock.adjust("5 minutes")
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert(error._tag === "ResumeFailed")
      assert.strictEqual(error.report.exitCode, 4)
      assert.strictEqual(error.backupError, "target full")
      assert.deepStrictEqual(error.units.map(({ stack, unit }) => [stack as string, unit as string]), [["app", "app"]])
      assert.strictEqual((yield* markers.list).length, 1)
    }).pipe(Effect.provide(world(
      [{ stack: "app", start: [{ result: "fail" }] }],
      agent({ at: 0, phase: "running" }, { at: "2 seconds", phase: "snapshotted" }, {
        at: "9 seconds",
        phase: "failed",
        error: "target full"
      })
    ))))

  it.effect("a failing start is tried again with backoff", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const fiber = yield* Effect.fork(quiesce(policy))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).outcome, "ok")
      const starts = (yield* journal.entries).filter(({ what }) => what === "start app/app").map(({ at }) => at)
      assert.deepStrictEqual(starts, [2_000, 2_500, 3_500])
    }).pipe(Effect.provide(world(
      [{ stack: "app", start: [{ result: "fail" }, { result: "fail" }, {}] }],
      snapshotAgent
    ))))

  it.effect("no marker, no stop", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const error = yield* Effect.flip(quiesce(policy))
      assert.strictEqual(error._tag, "RunRefused")
      assert.strictEqual(error.report.exitCode, 7)
      assert.isFalse((yield* journal.lines).includes("stop app/app"))
    }).pipe(Effect.provide(world(slow, snapshotAgent, { fails: (operation) => operation === "write" }))))

  it.effect("a clone asks its agent nothing, and stops nothing; what its original held is started", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const real = yield* AgentClient
      const asked: Array<string> = []
      const spoken = <A, E>(what: string, call: Effect.Effect<A, E>) =>
        Effect.zipRight(Effect.sync(() => asked.push(what)), call)
      const agent = AgentClient.of({
        preflight: spoken("preflight", real.preflight),
        request: (runId) => spoken("request", real.request(runId)),
        prepare: (runId) => spoken("prepare", real.prepare(runId)),
        quiesced: (runId) => spoken("quiesced", real.quiesced(runId)),
        status: (runId, after) => spoken("status", real.status(runId, after)),
        cancel: (runId) => spoken("cancel", real.cancel(runId)),
        asked: spoken("asked", real.asked),
        sweep: spoken("sweep", real.sweep)
      })
      const fiber = yield* Effect.fork(Effect.flip(Effect.provideService(quiesce(policy), AgentClient, agent)))
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "RunRefused")
      assert.strictEqual(error.report.exitCode, 7)
      assert.match(error.message, /belongs to another machine .* remove memory/)
      assert.deepStrictEqual(error.report.stacks.map(({ stoppedAt }) => stoppedAt), [null])
      assert.deepStrictEqual(asked, [])
      assert.deepStrictEqual(yield* journal.lines, [
        "dead-man arm",
        "start app/app",
        "up app/app",
        "marker clear",
        "dead-man disarm"
      ])
    }).pipe(Effect.provide(
      world([{ stack: "app", initially: "stopped" }], snapshotAgent, { initially: [heldApp], otherMachine: true })
    )))

  it.effect("a stop that breaks tears no other one, and keeps up what it depends on", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const markers = yield* MarkerStore
      const broken = MarkerStore.of({
        ...markers,
        note: (runId, note) =>
          note.unit === "left" && note.state === "stopped" ? Effect.die("broken") : markers.note(runId, note)
      })
      const fiber = yield* Effect.fork(Effect.exit(Effect.provideService(quiesce(policy), MarkerStore, broken)))
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.join(fiber)
      assert(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.deepStrictEqual((yield* journal.lines).slice(5), [
        "stop app/web",
        "down app/web",
        "stop app/left",
        "stop app/right",
        "down app/left",
        "down app/right",
        "start app/right",
        "start app/left",
        "agent cancel",
        "up app/left",
        "up app/right",
        "start app/web",
        "up app/web",
        "marker clear",
        "dead-man disarm"
      ])
    }).pipe(Effect.provide(world([{
      ...diamond,
      perUnit: { right: { stop: [{ takes: "10 seconds" }], start: [{ takes: "2 seconds" }] } }
    }], snapshotAgent))))

  it.effect("the second interruption does not tear the resume", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const fiber = yield* Effect.fork(quiesce(policy))
      yield* TestClock.adjust("3200 millis")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("200 millis")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(
        (yield* journal.lines).slice(8),
        ["start app/app", "up app/app", "marker clear", "agent cancel", "dead-man disarm"]
      )
    }).pipe(Effect.provide(world(slow, snapshotAgent))))

  it.effect("the run id is the agent's idempotency key", () =>
    Effect.gen(function*() {
      const client = yield* AgentClient
      const runId = yield* RunId.make
      const fiber = yield* Effect.fork(quiesce(policy, { runId }))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).runId, runId)
      assert.strictEqual((yield* client.request(runId)).phase, "done")
    }).pipe(Effect.provide(world(slow, snapshotAgent))))
})
