/**
 * How an embedding app tests what a backup does to it: in virtual time, against the layers in memory.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, TestClock } from "effect"
import {
  AgentClientMemory,
  DeadManMemory,
  Journal,
  MarkerStoreMemory,
  Policy,
  quiesce,
  RunLockMemory,
  Stack,
  StackControlMemory
} from "quiesce"

const policy: Policy.RunPolicy = {
  ...Policy.defaults,
  resumeTimeout: Duration.seconds(30),
  stacks: [{ stack: Stack.StackName.make("notes"), ...Policy.stackDefaults }]
}

const world = (notes: Partial<StackControlMemory.MemoryStack>) =>
  Layer.mergeAll(
    StackControlMemory.layer([{ stack: "notes", ...notes }]),
    AgentClientMemory.layer({
      phases: [
        { at: "0 seconds", phase: "running", mode: "snapshot" },
        { at: "3 seconds", phase: "snapshotted" },
        { at: "1 minute", phase: "done", artifact: "/backups/notes.tar.zst" }
      ]
    }),
    MarkerStoreMemory.layer(),
    RunLockMemory.layer,
    DeadManMemory.layer()
  ).pipe(Layer.provideMerge(Journal.layer))

it.effect("the app is down for six seconds of a backup of a minute", () =>
  Effect.gen(function*() {
    const run = yield* Effect.fork(quiesce(policy))
    yield* TestClock.adjust("2 minutes")
    const report = yield* Fiber.join(run)
    assert.strictEqual(report.consistency.level, "application")
    assert.strictEqual(report.stacks[0]?.downtimeMs, 6_000)

    const journal = yield* Journal.Journal
    assert.deepStrictEqual(yield* journal.lines, [
      "dead-man arm",
      "agent request",
      "prepare notes",
      "prepare notes",
      "marker write",
      "stop notes/notes",
      "down notes/notes",
      "agent quiesced",
      "start notes/notes",
      "up notes/notes",
      "marker clear",
      "dead-man disarm"
    ])
  }).pipe(Effect.provide(world({ stop: [{ takes: "2 seconds" }], start: [{ takes: "1 second" }] }))))

it.effect("an app that will not start is told, and its marker stays for recover", () =>
  Effect.gen(function*() {
    const run = yield* Effect.fork(Effect.flip(quiesce(policy)))
    yield* TestClock.adjust("5 minutes")
    const error = yield* Fiber.join(run)
    assert.strictEqual(error._tag, "ResumeFailed")
    assert.strictEqual(error.report.exitCode, 4)

    const journal = yield* Journal.Journal
    assert.notInclude(yield* journal.lines, "marker clear")
  }).pipe(Effect.provide(world({ start: [{ result: "fail" }] }))))
