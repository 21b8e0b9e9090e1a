import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Either, Exit, Fiber, Layer, TestClock } from "effect"
import { defaults as limits, stackDefaults } from "../../src/domain/Policy.ts"
import { StackName } from "../../src/domain/Stack.ts"
import { timetable } from "../../src/domain/Timetable.ts"
import { defaults } from "../../src/domain/Watch.ts"
import * as AgentClientMemory from "../../src/layers/AgentClientMemory.ts"
import * as DeadManMemory from "../../src/layers/DeadManMemory.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MarkerStoreMemory from "../../src/layers/MarkerStoreMemory.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import * as WatchStoreMemory from "../../src/layers/WatchStoreMemory.ts"
import { watch } from "../../src/programs/watch.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { WatchStore } from "../../src/services/WatchStore.ts"
import { snapshotAgent } from "../support/agents.ts"
import { watchCases } from "../support/watchCases.ts"
import { playWatch, watchViolations } from "../support/watchWorld.ts"
import { real } from "../support/world.ts"

describe("watch", () => {
  for (const scenario of watchCases) {
    it.live(scenario.name, () =>
      Effect.gen(function*() {
        const history = yield* playWatch(yield* Effect.promise(() => real), scenario)
        assert.deepStrictEqual(watchViolations(scenario, history), [])
      }))
  }

  it.effect("on the state of another machine: brings up what is down, and ends without a word to the agent", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const mute = (what: string) => Effect.zipRight(Effect.sync(() => asked.push(what)), Effect.never)
      const agent = AgentClient.of({
        preflight: mute("preflight"),
        request: () => mute("request"),
        prepare: () => mute("prepare"),
        quiesced: () => mute("quiesced"),
        status: () => mute("status"),
        cancel: () => mute("cancel"),
        asked: mute("asked"),
        sweep: mute("sweep")
      })
      const told: Array<string> = []
      const every = {
        ...defaults,
        schedule: [Either.getOrThrow(timetable("* * * * *", DateTime.zoneUnsafeMakeNamed("UTC")))]
      }
      const run = {
        ...limits,
        resumeTimeout: Duration.seconds(2),
        stacks: [{ stack: StackName.make("app"), ...stackDefaults }]
      }
      const fiber = yield* watch(every, run, { tell: (event) => Effect.sync(() => told.push(event.event)) }).pipe(
        Effect.provideService(AgentClient, agent),
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("10 minutes")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "OtherMachine")
      assert.deepStrictEqual(asked, [])
      // the first starts fail: it is not given up
      assert.includeMembers(told, ["down"])
      assert.deepStrictEqual(new Set(told), new Set(["started", "recovered", "down", "stopped"]))
      const journal = yield* Journal.Journal
      assert.strictEqual((yield* journal.lines).at(-1), "marker quarantine")
      assert.notInclude(yield* journal.lines, "stop app/app")
    }).pipe(Effect.provide(
      Layer.mergeAll(
        StackControlMemory.layer([{
          stack: "app",
          initially: "stopped",
          start: [...Array.from({ length: 5 }, () => ({ result: "fail" } as const)), {}]
        }]),
        AgentClientMemory.layer(snapshotAgent),
        MarkerStoreMemory.layer({
          initially: [{ _tag: "Damaged", name: "x", reason: "0 bytes" }],
          otherMachine: true
        }),
        RunLockMemory.layer,
        DeadManMemory.layer(),
        WatchStoreMemory.layer()
      ).pipe(Layer.provideMerge(Journal.layer))
    )))

  it.effect("by the test clock of effect: due in New York in the night in which an hour is left out", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-03-08T06:00:00Z"))
      const zone = DateTime.zoneUnsafeMakeNamed("America/New_York")
      const policy = { ...defaults, schedule: [Either.getOrThrow(timetable("30 2 * * *", zone))] }
      const run = { ...limits, stacks: [{ stack: StackName.make("app"), ...stackDefaults }] }
      const fiber = yield* Effect.fork(watch(policy, run))
      yield* TestClock.adjust("1 minute")
      const second = yield* Effect.flip(watch(policy, run))
      assert.strictEqual(second._tag, "WatchClaimed")
      yield* TestClock.adjust("100 minutes")
      const journal = yield* Journal.Journal
      const stops = (yield* journal.entries).filter(({ what }) => what === "stop app/app")
      assert.deepStrictEqual(stops.map(({ at }) => new Date(at).toISOString()), ["2026-03-08T07:30:00.000Z"])
      assert.isTrue(yield* (yield* WatchStore).alive)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.isFalse(yield* (yield* WatchStore).alive)
    }).pipe(Effect.provide(
      Layer.mergeAll(
        StackControlMemory.layer([{ stack: "app" }]),
        AgentClientMemory.layer(snapshotAgent),
        MarkerStoreMemory.layer(),
        RunLockMemory.layer,
        DeadManMemory.layer(),
        WatchStoreMemory.layer()
      ).pipe(Layer.provideMerge(Journal.layer))
    )))
})
