/**
 * The two sides of a divided agent: what one of them does when the other one ends, hangs or says something else.
 */
import { assert, describe } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Option, Ref } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import type { JobChange } from "../../src/services/Engine.ts"
import * as RunId from "../../src/domain/RunId.ts"
import { Upid } from "../../src/domain/Upid.ts"
import * as EngineSocket from "../../src/layers/EngineSocket.ts"
import { EngineFailed, type EngineJob, EngineRefused } from "../../src/services/Engine.ts"
import { divide } from "../support/divided.ts"
import { scriptedEngine } from "../support/engines.ts"
import { live } from "../support/live.ts"
import { tempDir } from "./fixtures/support.ts"

const upid = Upid.make("UPID:pve1:0000AAAA:00001111:00002222:vzdump:100:root@pam:")

/** A backup as the front has it, with a journal. */
const jobOf = Effect.fnUntraced(function*(options: {
  readonly ready?: Effect.Effect<void, EngineFailed>
  readonly remember?: Effect.Effect<void, EngineFailed>
} = {}) {
  const told = yield* Ref.make<ReadonlyArray<string>>([])
  const cancelled = yield* Ref.make(false)
  const say = (entry: string) => Ref.update(told, (all) => [...all, entry])
  const job: EngineJob = {
    runId: yield* RunId.make,
    report: (change: JobChange) => say(change.phase ?? `${change.progress?.bytes} bytes`),
    ready: (mode) => Effect.zipRight(say(`ready ${mode}`), options.ready ?? Effect.void),
    remember: (handle) => Effect.zipRight(say(`remember ${handle}`), options.remember ?? Effect.void),
    cancelled: Ref.get(cancelled)
  }
  const heard = (entry: string) =>
    Effect.repeat(Effect.delay(Ref.get(told), "5 millis"), { until: (all) => all.includes(entry) }).pipe(
      Effect.timeout("15 seconds")
    )
  return { job, told: Ref.get(told), heard, cancel: Ref.set(cancelled, true) }
})

const journalHas = (journal: Effect.Effect<ReadonlyArray<string>>, entry: string) =>
  Effect.repeat(Effect.delay(journal, "5 millis"), { until: (all) => all.includes(entry) }).pipe(
    Effect.timeout("15 seconds")
  )

const reasonOf = (exit: Exit.Exit<unknown, { readonly message: string }>) =>
  Exit.match(exit, { onSuccess: () => "it was a success", onFailure: (cause) => JSON.stringify(cause.toJSON()) })

describe("a divided agent", () => {
  live("what one side asks and the other one answers is what the engine says", [], () =>
    Effect.gen(function*() {
      const { engine: over, journal } = yield* scriptedEngine({ survives: true, end: {} })
      const { engine, task } = yield* divide(over, { task: Effect.succeed(Option.some(upid)) })
      assert.deepStrictEqual(yield* engine.preflight, { mode: "snapshot", snapshotter: "scripted", notes: [] })
      yield* engine.prepare
      assert.deepStrictEqual(yield* engine.sweep, [])
      assert.deepStrictEqual(yield* task, Option.some(upid))
      const { job, told } = yield* jobOf()
      assert.deepStrictEqual(yield* Effect.scoped(engine.run(job)), { location: "/artifact" })
      assert.deepStrictEqual(yield* told, ["ready snapshot", "remember own", "running", "snapshotted"])
      const second = yield* jobOf()
      yield* Effect.scoped(engine.resume(second.job, upid))
      assert.deepStrictEqual(yield* second.told, ["running", "snapshotted"])
      const third = yield* jobOf()
      const none = yield* Effect.exit(Effect.scoped(engine.resume(third.job, undefined)))
      assert.include(reasonOf(none), "the agent ended in the middle of this backup")
      assert.deepStrictEqual((yield* journal).filter((entry) => entry.startsWith("resume")), [
        `resume ${upid}`,
        "resume ends",
        "resume undefined"
      ])
    }))

  live(
    "a refusal, a failure, and a handle that is a path: only words that are known go over",
    [],
    () =>
      Effect.gen(function*() {
        const refusing = yield* scriptedEngine({ refuses: "no such guest here" })
        const one = yield* divide(refusing.engine)
        assert.deepStrictEqual(
          yield* Effect.flip(one.engine.preflight),
          new EngineRefused({ reason: "no such guest here" })
        )
        const failing = yield* scriptedEngine({ survives: true, end: { error: "the tape is torn" } })
        const two = yield* divide(failing.engine)
        const { job } = yield* jobOf()
        assert.include(
          reasonOf(yield* Effect.exit(Effect.scoped(two.engine.run(job)))),
          "the tape is torn"
        )
        yield* Effect.exit(Effect.scoped(two.engine.resume(job, "/var/lib/quiesce-agent/vzdump/x")))
        assert.include(yield* failing.journal, "resume own")
      })
  )

  live(
    "nobody says that the app is down, or the handle cannot be written: the reason goes over, and back",
    [],
    () =>
      Effect.gen(function*() {
        const { engine: over, journal } = yield* scriptedEngine({ survives: true })
        const { engine } = yield* divide(over)
        const slow = yield* jobOf({ ready: new EngineFailed({ reason: "nobody said so" }) })
        assert.include(reasonOf(yield* Effect.exit(Effect.scoped(engine.run(slow.job)))), "nobody said so")
        assert.notInclude(yield* journal, "begins to read")
        const full = yield* jobOf({ remember: new EngineFailed({ reason: "no space is left" }) })
        assert.include(reasonOf(yield* Effect.exit(Effect.scoped(engine.run(full.job)))), "no space is left")
      })
  )

  live("cancelled: what it held is gone when the interruption returns", [], () =>
    Effect.gen(function*() {
      const { engine: over, journal } = yield* scriptedEngine({ removing: "300 millis" })
      const { engine } = yield* divide(over)
      const { cancel, heard, job } = yield* jobOf()
      const fiber = yield* Effect.fork(Effect.scoped(engine.run(job)))
      yield* heard("snapshotted")
      yield* cancel
      yield* Fiber.interrupt(fiber)
      assert.include(yield* journal, "removes, cancelled")
    }))

  live("the front ends: that is no cancel, and what cannot go on has left nothing", [], () =>
    Effect.gen(function*() {
      const { engine: over, journal } = yield* scriptedEngine({ removing: "300 millis" })
      const { engine } = yield* divide(over)
      const { heard, job } = yield* jobOf()
      const fiber = yield* Effect.fork(Effect.scoped(engine.run(job)))
      yield* heard("snapshotted")
      yield* Fiber.interrupt(fiber)
      assert.include(yield* journal, "removes")
      assert.notInclude(yield* journal, "removes, cancelled")
    }))

  for (const moment of ["ready", "running"]) {
    live(
      `the engine's side ends in '${moment}', and the app is down: the backup has failed at once`,
      [],
      () =>
        Effect.gen(function*() {
          const { engine: over } = yield* scriptedEngine({
            survives: true,
            changes: [{ phase: "running" }, { phase: "snapshotted", after: "1 minute" }]
          })
          const { close, engine } = yield* divide(over)
          const { heard, job } = yield* jobOf(moment === "ready" ? { ready: Effect.never } : {})
          const fiber = yield* Effect.fork(Effect.scoped(engine.run(job)))
          yield* heard(moment === "ready" ? "ready snapshot" : "running")
          yield* close
          const exit = yield* Effect.timeout(Fiber.await(fiber), "3 seconds")
          assert.include(reasonOf(exit), "has ended in the middle of this backup")
        })
    )
  }

  live(
    "the engine's side ends after the point in time: a backup that survives is followed again",
    [],
    () =>
      Effect.gen(function*() {
        const { engine: over, finish, journal } = yield* scriptedEngine({ survives: true })
        const { close, engine, open } = yield* divide(over)
        const { heard, job } = yield* jobOf()
        const fiber = yield* Effect.fork(Effect.scoped(engine.run(job)))
        yield* heard("snapshotted")
        yield* close
        yield* Effect.sleep("1500 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)), "it waits")
        yield* open
        yield* journalHas(journal, "resume own")
        yield* Effect.sleep("100 millis")
        yield* finish
        assert.deepStrictEqual(yield* Effect.timeout(Fiber.join(fiber), "5 seconds"), { location: "/artifact" })
      })
  )

  live(
    "the engine's side ends after the point in time: one that does not survive has failed",
    [],
    () =>
      Effect.gen(function*() {
        const { engine: over } = yield* scriptedEngine()
        const { close, engine } = yield* divide(over)
        const { heard, job } = yield* jobOf()
        const fiber = yield* Effect.fork(Effect.scoped(engine.run(job)))
        yield* heard("snapshotted")
        yield* close
        assert.include(reasonOf(yield* Effect.timeout(Fiber.await(fiber), "3 seconds")), "has ended in the middle")
      })
  )

  live(
    "the engine's side hangs: it counts as gone; while it only waits it says that it lives",
    [],
    () =>
      Effect.gen(function*() {
        const { engine: over } = yield* scriptedEngine({ changes: [{ phase: "running" }] })
        const lively = yield* divide(over, { beat: "200 millis", silence: "2 seconds" })
        const first = yield* jobOf()
        const fiber = yield* Effect.fork(Effect.scoped(lively.engine.run(first.job)))
        yield* first.heard("running")
        yield* Effect.sleep("3 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
        yield* first.cancel
        yield* Fiber.interrupt(fiber)
        const dead = yield* divide(over, { beat: "60 seconds", silence: "500 millis" })
        const second = yield* jobOf()
        const exit = yield* Effect.exit(Effect.scoped(dead.engine.run(second.job)))
        assert.include(reasonOf(exit), "it hangs")
        const third = yield* jobOf({ ready: Effect.never })
        assert.include(
          reasonOf(yield* Effect.timeout(Effect.exit(Effect.scoped(dead.engine.run(third.job))), "5 seconds")),
          "it hangs"
        )
      })
  )

  live("two calls for one guest: the second begins when all of the first is gone", [], () =>
    Effect.gen(function*() {
      const { engine: over, finish, journal } = yield* scriptedEngine({ removing: "300 millis" })
      const { engine } = yield* divide(over)
      const one = yield* jobOf()
      const two = yield* jobOf()
      const first = yield* Effect.fork(Effect.scoped(engine.run(one.job)))
      yield* one.heard("snapshotted")
      const second = yield* Effect.fork(Effect.scoped(engine.run(two.job)))
      yield* Effect.sleep("300 millis")
      assert.deepStrictEqual(yield* two.told, [])
      yield* finish
      yield* Fiber.join(first)
      yield* two.heard("snapshotted")
      const entries = yield* journal
      assert.isBelow(entries.indexOf("removes"), entries.indexOf(`run ${two.job.runId}`))
      yield* finish
      yield* Fiber.join(second)
    }))

  live(
    "nobody listens, the socket is another's, or the answer is none: each is said",
    [],
    () =>
      Effect.gen(function*() {
        const directory = yield* tempDir
        const socket = Path.join(directory, "engine.sock")
        const { engine, task } = yield* EngineSocket.make({ socket, guest: "web", survives: true })
        const reason = Effect.map(Effect.flip(engine.preflight), ({ reason }) => reason)
        assert.match(yield* reason, /nobody listens on .*engine\.sock: does 'quiesce agent engine' run\?/)
        assert.match((yield* Effect.flip(task)).reason, /nobody listens/)
        const server = yield* Effect.acquireRelease(
          Effect.async<Net.Server>((resume) => {
            const server = Net.createServer((connection) => {
              connection.on("error", () => undefined)
              connection.once("data", () => connection.end("{\"_tag\":\"Sesame\"}\n"))
            }).listen(socket, () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.sync(() => server.close())
        )
        assert.isTrue(server.listening)
        assert.match(yield* reason, /not understood/)
        Fs.chmodSync(directory, 0o777)
        assert.match(yield* reason, /cannot be trusted: others can write/)
      })
  )

  live("a run that cannot begin yet waits for the engine's side", [], () =>
    Effect.gen(function*() {
      const { engine: over } = yield* scriptedEngine({ end: {} })
      const { close, engine, open } = yield* divide(over)
      yield* close
      const { job } = yield* jobOf()
      const opened = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Effect.scoped(engine.run(job)))
      yield* Effect.sleep("500 millis")
      yield* Effect.zipRight(open, Deferred.succeed(opened, undefined))
      const [took] = yield* Effect.timed(Fiber.join(fiber))
      assert.isBelow(Duration.toMillis(took), 20_000)
    }))
})
