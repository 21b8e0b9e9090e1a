import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Ref, TestClock } from "effect"
import { cli } from "../../src/cli/cli.ts"
import { Written } from "../../src/cli/Output.ts"
import { Process } from "../../src/cli/Process.ts"
import type { StoredMarker } from "../../src/domain/Marker.ts"
import { RunId } from "../../src/domain/RunId.ts"
import { StackName, UnitId } from "../../src/domain/Stack.ts"
import * as Journal from "../../src/layers/Journal.ts"
import { StackWorld } from "../../src/layers/StackControlMemory.ts"
import { file, layer, type World } from "./workspace.ts"

const notes = file(["notes"])

/** Runs the command line to its end, for at most an hour of the test clock. */
const call = Effect.fnUntraced(function*(...argv: ReadonlyArray<string>) {
  const before = yield* Written
  const concluded = yield* Ref.make<number | undefined>(undefined)
  const fiber = yield* cli(argv).pipe(
    Effect.provideService(Process, {
      interrupted: Effect.succeed(143),
      concluded: (code) => Ref.set(concluded, code)
    }),
    Effect.fork
  )
  yield* TestClock.adjust("1 minute")
  const exit = yield* Fiber.await(fiber)
  const code = Exit.match(exit, {
    onSuccess: () => 0,
    onFailure: (cause) => cause._tag === "Fail" ? cause.error.exitCode : undefined
  })
  return { code, concluded: yield* Ref.get(concluded), stdout: yield* before.stdout, stderr: yield* before.stderr }
})

const within = (world: World) => Effect.provide(layer(world))

const marker: StoredMarker = {
  _tag: "Readable",
  name: "01900000-0000-7000-8000-000000000000",
  marker: {
    runId: RunId.make("01900000-0000-7000-8000-000000000000"),
    createdAt: "2026-01-01T00:00:00.000Z",
    stacks: [{
      stack: StackName.make("notes"),
      control: "memory",
      units: [{ id: UnitId.make("notes"), stopTimeoutMs: 1000, startTimeoutMs: 1000, identity: {} }]
    }]
  },
  notes: [{ stack: StackName.make("notes"), unit: UnitId.make("notes"), state: "stopped" }]
}

const parsed = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.trimEnd().split("\n").map((line) => JSON.parse(line))

describe("run", () => {
  it.effect("people get the course on stderr and the report on stdout", () =>
    Effect.gen(function*() {
      const { code, concluded, stderr, stdout } = yield* call("run")
      assert.strictEqual(code, 0)
      assert.strictEqual(concluded, 0)
      assert.match(
        stdout,
        /^result: +ok\nconsistency: +application\nread from: +a snapshot of the storage\ndowntime: +notes \d/
      )
      assert.match(stderr, /notes: stopping\n[^]*backup: the snapshot is taken\n[^]*notes: up again/)
    }).pipe(within({ text: notes })))

  it.effect("--json: events as they happen, last the report, and nothing but JSON on stdout", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* call("run", "--json")
      const lines = parsed(stdout)
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      assert.deepStrictEqual(lines.filter(({ type }) => type === "phase").map(({ phase }) => phase), [
        "ready",
        "running",
        "snapshotted",
        "done"
      ])
      assert.strictEqual(lines.at(-1)?.["type"], "report")
      assert.strictEqual(lines.filter(({ type }) => type === "report").length, 1)
      assert.strictEqual(lines.at(-1)?.["exitCode"], 0)
    }).pipe(within({ text: notes })))

  it.effect("the exit code is the report's", () =>
    Effect.gen(function*() {
      const { code, concluded, stdout } = yield* call("run")
      assert.strictEqual(code, 1)
      assert.strictEqual(concluded, 1)
      assert.match(stdout, /^result: +there is no backup; the app is up: disk is full\n/)
    }).pipe(within({ text: notes, script: { phases: [{ at: 0, phase: "failed", error: "disk is full" }] } })))

  it.effect("an app that is not up is 4, and says what to do", () =>
    Effect.gen(function*() {
      const { code, concluded, stdout } = yield* call("run")
      assert.strictEqual(code, 4)
      assert.strictEqual(concluded, 4)
      assert.match(stdout, /THE APP IS NOT UP[^]*then: quiesce recover/)
    }).pipe(within({
      text: notes.replace("version: 1", "version: 1\nlimits: { resumeTimeout: 10s }"),
      stacks: [{ stack: "notes", start: [{ result: "fail" }] }]
    })))

  it.effect("--stack takes only the named ones", () =>
    Effect.gen(function*() {
      const { code } = yield* call("run", "--stack", "b", "--stack", "b")
      const journal = yield* (yield* Journal.Journal).lines
      // the other one is up, and may have written into the same source
      assert.strictEqual(code, 3)
      assert.isTrue(journal.some((line) => line.includes("stop b")))
      assert.isFalse(journal.some((line) => line.includes("stop a")))
    }).pipe(within({ text: file(["a", "b"]), stacks: [{ stack: "a" }, { stack: "b" }] })))

  it.effect("--stack of a stack that is not there: usage, and nothing is touched", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* call("run", "--stack", "notse")
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "")
      assert.strictEqual(
        stderr,
        "quiesce run: there is no stack 'notse' in /etc/quiesce.yaml, which has: notes; did you mean 'notes'?\nsee 'quiesce run --help'\n"
      )
      assert.deepStrictEqual(yield* (yield* Journal.Journal).lines, [])
    }).pipe(within({ text: notes })))

  it.effect("--dry-run touches nothing", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* call("run", "--dry-run")
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "notes: would stop notes, for at most 2m\nagent: ready\n")
      assert.strictEqual(stderr, "")
      const journal = yield* (yield* Journal.Journal).lines
      assert.deepStrictEqual(journal.filter((line) => /stop|start|marker|dead-man/.test(line)), [])
    }).pipe(within({ text: notes })))

  it.effect("--dry-run of a run that would be refused", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("run", "--dry-run")
      assert.strictEqual(code, 7)
      assert.match(stdout, /^a run would be refused now: the agent refuses: /m)
    }).pipe(
      within({ text: notes, script: { phases: [], fault: (call) => call === "preflight" ? "refused" : undefined } })
    ))

  it.effect("an interruption: the app is up, the report is out and kept, the signal's code is in it", () =>
    Effect.gen(function*() {
      const written = yield* Written
      const world = yield* StackWorld
      const concluded = yield* Ref.make<number | undefined>(undefined)
      const fiber = yield* cli(["run", "--json"]).pipe(
        Effect.provideService(Process, {
          interrupted: Effect.succeed(143),
          concluded: (code) => Ref.set(concluded, code)
        }),
        Effect.fork
      )
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(yield* world.down, ["notes/notes"])
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.deepStrictEqual(yield* world.down, [])
      assert.strictEqual(yield* Ref.get(concluded), 143)
      const report = parsed(yield* written.stdout).at(-1)
      assert.strictEqual(report?.["outcome"], "aborted")
      assert.strictEqual(report?.["exitCode"], 143)
      assert.strictEqual((yield* call("status")).stdout.includes("stopped before the end; the app is up"), true)
    }).pipe(within({ text: notes })))

  it.effect("an interruption whose resume fails: 4, not the signal's code", () =>
    Effect.gen(function*() {
      const concluded = yield* Ref.make<number | undefined>(undefined)
      const fiber = yield* cli(["run"]).pipe(
        Effect.provideService(Process, {
          interrupted: Effect.succeed(143),
          concluded: (code) => Ref.set(concluded, code)
        }),
        Effect.fork
      )
      yield* TestClock.adjust("1500 millis")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.await(fiber)
      assert.strictEqual(yield* Ref.get(concluded), 4)
    }).pipe(within({
      text: notes.replace("version: 1", "version: 1\nlimits: { resumeTimeout: 10s }"),
      stacks: [{ stack: "notes", start: [{ result: "fail" }] }]
    })))
})

describe("recover", () => {
  it.effect("nothing to do", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("recover", "--json")
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(parsed(stdout), [
        { recovered: [], failed: [], markers: 0, liveRun: false, warnings: [] }
      ])
    }).pipe(within({ text: notes })))

  it.effect("starts what a dead run left down", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("recover")
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "notes/notes: started\neverything is up\n")
    }).pipe(within({ text: notes, markers: [marker], stacks: [{ stack: "notes", initially: "stopped" }] })))

  it.effect("cannot start it: 4", () =>
    Effect.gen(function*() {
      const { code, concluded, stdout } = yield* call("recover")
      assert.strictEqual(code, 4)
      assert.strictEqual(concluded, 4)
      assert.match(stdout, /^notes\/notes: NOT UP: .*\nmend the cause, then: quiesce recover\n$/)
    }).pipe(within({
      text: notes.replace("version: 1", "version: 1\nlimits: { resumeTimeout: 10s }"),
      markers: [marker],
      stacks: [{ stack: "notes", initially: "stopped", start: [{ result: "fail" }] }]
    })))

  it.effect("with a broken configuration follows the markers, and says that the file is wrong", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* call("recover")
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "notes/notes: started\neverything is up\n")
      assert.match(stderr, /this key is missing[^]*only the markers in \/state are followed/)
    }).pipe(within({ text: "version: 1\n", markers: [marker], stacks: [{ stack: "notes", initially: "stopped" }] })))

  it.effect("an interruption does not keep it from its end, nor from its exit code", () =>
    Effect.gen(function*() {
      const world = yield* StackWorld
      const concluded = yield* Ref.make<number | undefined>(undefined)
      const fiber = yield* cli(["recover"]).pipe(
        Effect.provideService(Process, {
          interrupted: Effect.succeed(143),
          concluded: (code) => Ref.set(concluded, code)
        }),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(yield* world.down, [])
      assert.strictEqual(yield* Ref.get(concluded), 0)
    }).pipe(within({
      text: notes,
      markers: [marker],
      stacks: [{ stack: "notes", initially: "stopped", start: [{ takes: "5 seconds" }] }]
    })))
})

describe("status", () => {
  it.effect("nothing yet", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("status")
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "live run: none\nlast run: none\n")
    }).pipe(within({ text: notes })))

  it.effect("a dead run left something down: 4, and the way out", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("status")
      assert.strictEqual(code, 4)
      assert.match(stdout, /notes\/notes is stopped\nA DEAD RUN LEFT THIS DOWN; run: quiesce recover\n/)
    }).pipe(within({ text: notes, markers: [marker], stacks: [{ stack: "notes", initially: "stopped" }] })))

  it.effect("a marker of something that is up is no alarm", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* call("status", "--json")).code, 0)
    }).pipe(within({ text: notes, markers: [marker] })))

  it.effect("a marker that cannot be read is one", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("status")
      assert.strictEqual(code, 4)
      assert.match(stdout, /the marker x cannot be read: torn\n/)
    }).pipe(within({ text: notes, markers: [{ _tag: "Damaged", name: "x", reason: "torn" }] })))
})

describe("config", () => {
  it.effect("check", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("config", "check")
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "/etc/quiesce.yaml: ok; stack: notes\n")
    }).pipe(within({ text: notes })))

  it.effect("show prints a configuration that can be read again and means the same", () =>
    Effect.gen(function*() {
      const first = yield* call("config", "show")
      const second = yield* call("config", "show").pipe(Effect.provide(layer({ text: first.stdout })))
      assert.strictEqual(first.code, 0)
      assert.strictEqual(second.code, 0)
      assert.strictEqual(second.stdout, first.stdout)
    }).pipe(within({ text: notes })))

  it.effect("every issue on stderr, once; nothing on stdout", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* call("config", "check")
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "")
      assert.strictEqual(
        stderr,
        "/etc/quiesce.yaml:1:1: stacks: this key is missing\n/etc/quiesce.yaml:1:1: agent: this key is missing\n"
      )
    }).pipe(within({ text: "version: 1\n" })))
})

describe("plan", () => {
  it.effect("says what would be stopped, also as JSON", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* call("plan", "--json")
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(parsed(stdout), [{
        type: "plan",
        schemaVersion: 1,
        stacks: [
          {
            stack: "a",
            control: "memory",
            held: ["a"],
            idle: [],
            after: {},
            data: [],
            notes: [],
            interference: [],
            maxDowntimeMs: 120_000,
            maxDowntimeWithoutSnapshotMs: 3_600_000,
            expectedDowntimeMs: null
          },
          {
            stack: "b",
            control: "memory",
            held: [],
            idle: ["b"],
            after: {},
            data: [],
            notes: [],
            interference: [],
            maxDowntimeMs: 120_000,
            maxDowntimeWithoutSnapshotMs: 3_600_000,
            expectedDowntimeMs: null
          }
        ],
        agent: { mode: null, snapshotter: null, notes: [] },
        refused: null
      }])
    }).pipe(within({ text: file(["a", "b"]), stacks: [{ stack: "a" }, { stack: "b", initially: "stopped" }] })))

  it.effect("a state that cannot be told: refused", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* call("plan")
      assert.strictEqual(code, 7)
      assert.match(stderr, /cannot tell whether/)
    }).pipe(within({ text: notes, stacks: [{ stack: "notes", initially: "unknown" }] })))
})
