import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Option, Scope, TestClock } from "effect"
import type { BackupStatus } from "../../../src/domain/Backup.ts"
import { isFinal } from "../../../src/domain/Backup.ts"
import * as RunId from "../../../src/domain/RunId.ts"
import * as Jobs from "../../../src/internal/agent/jobs.ts"
import * as JobStoreMemory from "../../../src/layers/JobStoreMemory.ts"
import { type JobRecord, type JobStore, JobStoreError } from "../../../src/services/JobStore.ts"
import { type EngineScript, scriptedEngine } from "../../support/engines.ts"

const open = Effect.fnUntraced(function*(
  script: EngineScript = {},
  more: Partial<Omit<Jobs.JobsOptions, "engine">> = {}
) {
  const scripted = yield* scriptedEngine(script)
  const store = more.store ?? (yield* JobStoreMemory.make())
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  const jobs = yield* Scope.extend(
    Jobs.make({
      guest: "web",
      engine: scripted.engine,
      store,
      readyTimeout: "10 minutes",
      cancelLate: false,
      ...more
    }),
    scope
  )
  return { ...scripted, jobs, store, close: Scope.close(scope, Exit.void) }
})

/** A journal whose records are written in another way. */
const writing = (save: (inner: JobStore["Type"], record: JobRecord) => ReturnType<JobStore["Type"]["save"]>) =>
  Effect.map(JobStoreMemory.make(), (inner) => {
    const store: JobStore["Type"] = { ...inner, save: (record) => Effect.suspend(() => save(inner, record)) }
    return { inner, store }
  })

const noSpace = new JobStoreError({ operation: "save", reason: "no space" })

/** Lets the fibers go on; the clock moves by this. */
const pass = (duration: Duration.DurationInput = 0) => Effect.zipRight(Effect.yieldNow(), TestClock.adjust(duration))

const phaseOf = (jobs: Jobs.Jobs, runId: RunId.RunId) => Effect.map(jobs.status(runId, -1, 0), ({ phase }) => phase)

const recordOf = (store: JobStore["Type"], runId: RunId.RunId) =>
  Effect.map(store.list, (all) => all.find((record) => record.runId === runId))

const record = (runId: RunId.RunId, phase: string, handle?: string): JobRecord => ({
  version: 1,
  guest: "web",
  runId,
  status: { runId, revision: 7, phase },
  ...handle === undefined ? {} : { handle }
})

describe("the backups of one guest", () => {
  it.scoped("one at a time, the same run id is the same backup", () =>
    Effect.gen(function*() {
      const { finish, journal, jobs } = yield* open()
      const [a, b] = [yield* RunId.make, yield* RunId.make]
      yield* jobs.request(a)
      yield* jobs.request(a)
      yield* pass()
      assert.strictEqual(yield* phaseOf(jobs, a), "ready")
      assert.strictEqual((yield* Effect.flip(jobs.request(b)))._tag, "AgentBusy")
      yield* jobs.quiesced(a)
      yield* jobs.quiesced(a)
      yield* pass()
      assert.strictEqual(yield* phaseOf(jobs, a), "snapshotted")
      yield* finish
      yield* pass()
      assert.strictEqual(yield* phaseOf(jobs, a), "done")
      assert.deepStrictEqual(yield* journal, [`run ${a}`, "begins to read", "run ends", "removes"])
      yield* jobs.request(b)
      assert.strictEqual((yield* jobs.list).length, 2)
    }))

  it.scoped("above the slots of the host a backup is queued, with its app up", () =>
    Effect.gen(function*() {
      const slots = yield* Effect.makeSemaphore(1)
      const [web, mail] = [yield* open({}, { slots }), yield* open({}, { guest: "mail", slots })]
      const [a, b] = [yield* RunId.make, yield* RunId.make]
      yield* web.jobs.request(a)
      yield* mail.jobs.request(b)
      yield* pass("1 hour" as const).pipe(Effect.zipRight(web.jobs.quiesced(a)))
      // the first gave its slot back after ten minutes, the second has it now and gives it back too
      assert.strictEqual(yield* phaseOf(web.jobs, a), "failed")
      assert.strictEqual(yield* phaseOf(mail.jobs, b), "failed")
      const [c, d] = [yield* RunId.make, yield* RunId.make]
      yield* web.jobs.request(c)
      yield* pass()
      yield* mail.jobs.request(d)
      yield* pass()
      yield* web.jobs.quiesced(c)
      yield* pass("1 minute")
      assert.strictEqual(yield* phaseOf(web.jobs, c), "snapshotted")
      assert.strictEqual(
        yield* phaseOf(mail.jobs, d),
        "queued",
        "the slot is held until the end, not until the snapshot"
      )
      yield* web.finish
      yield* pass()
      assert.strictEqual(yield* phaseOf(mail.jobs, d), "ready")
    }))

  it.scoped("the slot is free only once the snapshot is removed, and a queued backup can be cancelled", () =>
    Effect.gen(function*() {
      const slots = yield* Effect.makeSemaphore(1)
      const [web, mail] = [yield* open({ removing: "5 seconds" }, { slots }), yield* open({}, { guest: "mail", slots })]
      const [a, b] = [yield* RunId.make, yield* RunId.make]
      yield* web.jobs.request(a)
      yield* pass()
      yield* mail.jobs.request(b)
      yield* pass()
      yield* mail.jobs.cancel(b)
      assert.strictEqual(yield* phaseOf(mail.jobs, b), "failed")
      assert.deepStrictEqual(yield* mail.journal, [])
      const c = yield* RunId.make
      yield* mail.jobs.request(c)
      const cancelling = yield* Effect.fork(web.jobs.cancel(a))
      yield* pass("4 seconds")
      assert.strictEqual(yield* phaseOf(mail.jobs, c), "queued")
      yield* pass("1 seconds")
      yield* Fiber.join(cancelling)
      assert.strictEqual(yield* phaseOf(mail.jobs, c), "ready")
    }))

  it.scoped("nobody says quiesced: the slot is given back in time", () =>
    Effect.gen(function*() {
      const { jobs, journal } = yield* open({}, { readyTimeout: "1 minute" })
      const a = yield* RunId.make
      yield* jobs.request(a)
      yield* pass("59 seconds")
      assert.strictEqual(yield* phaseOf(jobs, a), "ready")
      yield* pass("1 seconds")
      const { error, phase } = yield* jobs.status(a, -1, 0)
      assert.deepStrictEqual([phase, error], [
        "failed",
        "nobody said within 1m that the app is down; the slot is free again"
      ])
      assert.deepStrictEqual(yield* journal, [`run ${a}`, "removes"])
    }))

  it.scoped("a cancel ends it before the snapshot, and is refused after", () =>
    Effect.gen(function*() {
      const { finish, jobs, journal } = yield* open()
      const a = yield* RunId.make
      yield* jobs.request(a)
      yield* pass()
      yield* jobs.cancel(a)
      yield* jobs.cancel(a)
      const { error, phase } = yield* jobs.status(a, -1, 0)
      assert.deepStrictEqual([phase, error], ["failed", "cancelled"])
      assert.deepStrictEqual(yield* journal, [`run ${a}`, "removes, cancelled"])

      const b = yield* RunId.make
      yield* jobs.request(b)
      yield* jobs.quiesced(b)
      yield* pass()
      assert.strictEqual((yield* Effect.flip(jobs.cancel(b)))._tag, "AgentRefused")
      yield* finish
      yield* pass()
      yield* jobs.cancel(b)
      assert.strictEqual(yield* phaseOf(jobs, b), "done")
      assert.strictEqual((yield* Effect.flip(jobs.cancel(yield* RunId.make)))._tag, "BackupUnknown")
    }))

  it.scoped("phases never go back, and the journal has what a restart must know before it is told", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const inner = yield* JobStoreMemory.make()
      const a = yield* RunId.make
      const seen: { now: Effect.Effect<BackupStatus> } = { now: Effect.never }
      const store: JobStore["Type"] = {
        ...inner,
        save: (record) =>
          Effect.flatMap(
            Effect.timeoutOption(seen.now, 0),
            () =>
              Effect.flatMap(Effect.suspend(() => seen.now), (before) => {
                told.push(`${record.status.phase} written while ${before.phase} is told`)
                return inner.save(record)
              })
          )
      }
      const unset: BackupStatus = { runId: a, revision: 0, phase: "nothing" }
      seen.now = Effect.succeed(unset)
      const { jobs } = yield* open({
        changes: [{ phase: "running" }, { phase: "snapshotted" }, { phase: "running" }, { effectiveMode: "suspend" }],
        end: {}
      }, { store })
      yield* jobs.request(a)
      seen.now = Effect.orElseSucceed(jobs.status(a, -1, 0), () => unset)
      yield* pass()
      yield* jobs.quiesced(a)
      yield* pass()
      assert.deepStrictEqual(told, [
        "queued written while nothing is told",
        "ready written while queued is told",
        "snapshotted written while snapshotted is told",
        "done written while snapshotted is told"
      ])
      const status = yield* jobs.status(a, -1, 0)
      assert.deepStrictEqual(Object.keys(status.times ?? {}), ["queued", "ready", "running", "snapshotted", "done"])
    }))

  it.scoped("a journal that cannot be written: refused before, told in a log after", () =>
    Effect.gen(function*() {
      const broken = { yes: true }
      const { store } = yield* writing((inner, record) => broken.yes ? noSpace : inner.save(record))
      const { jobs, journal } = yield* open({ end: {} }, { store })
      const refused = yield* Effect.flip(jobs.request(yield* RunId.make))
      assert.strictEqual(refused._tag, "AgentRefused")
      assert.deepStrictEqual(yield* journal, [])
      broken.yes = false
      const a = yield* RunId.make
      yield* jobs.request(a)
      yield* pass()
      broken.yes = true
      yield* jobs.quiesced(a)
      yield* pass()
      assert.strictEqual(yield* phaseOf(jobs, a), "done", "an app must not stay down for a journal")
    }))

  it.scoped("a request that is refused for its journal leaves nothing there that a restarted agent would begin", () =>
    Effect.gen(function*() {
      // as a rename that is there, and a sync of its directory that fails
      const { inner, store } = yield* writing((inner, record) => Effect.zipRight(inner.save(record), noSpace))
      const { jobs } = yield* open({}, { store })
      assert.strictEqual((yield* Effect.flip(jobs.request(yield* RunId.make)))._tag, "AgentRefused")
      assert.deepStrictEqual(yield* inner.list, [])
    }))

  it.scoped("what cannot be written down is no order: a restarted agent would not know that an app may be down for it", () =>
    Effect.gen(function*() {
      const { store } = yield* writing((inner, record) =>
        record.status.phase === "ready" ? noSpace : inner.save(record)
      )
      const { jobs } = yield* open({}, { store })
      const a = yield* RunId.make
      yield* jobs.request(a)
      yield* pass()
      const { error, phase } = yield* jobs.status(a, -1, 0)
      assert.strictEqual(phase, "failed")
      assert.match(error ?? "", /no space/)
    }))

  describe("after the death of the agent", () => {
    it.scoped("a backup that was queued is begun, one that was told ready is over", () =>
      Effect.gen(function*() {
        const [a, b, c] = [yield* RunId.make, yield* RunId.make, yield* RunId.make]
        const queued = yield* open({}, { store: yield* JobStoreMemory.make([record(a, "queued")]) })
        yield* pass()
        assert.strictEqual(yield* phaseOf(queued.jobs, a), "ready")
        for (const [id, phase] of [[b, "ready"], [c, "snapshotted"]] as const) {
          const store = yield* JobStoreMemory.make([record(id, phase)])
          const { jobs, journal } = yield* open({}, { store })
          yield* pass()
          const status = yield* jobs.status(id, -1, 0)
          assert.strictEqual(status.phase, "failed")
          // above all that the agent may have told before its death and not written down
          assert.isAbove(status.revision, 1_000)
          assert.deepStrictEqual(yield* journal, ["resume undefined"])
          assert.strictEqual((yield* recordOf(store, id))?.status.phase, "failed")
        }
      }))

    it.scoped("a backup that goes on by itself is found again, by its handle", () =>
      Effect.gen(function*() {
        const store = yield* JobStoreMemory.make()
        const a = yield* RunId.make
        const first = yield* open({ survives: true, changes: [{ phase: "running" }] }, { store })
        yield* first.jobs.request(a)
        yield* pass()
        yield* first.jobs.quiesced(a)
        yield* pass()
        yield* first.close
        assert.strictEqual((yield* recordOf(store, a))?.status.phase, "ready", "no end is written for it")
        const second = yield* open({ survives: true }, { store })
        yield* pass()
        assert.strictEqual(yield* phaseOf(second.jobs, a), "snapshotted")
        assert.strictEqual((yield* Effect.flip(second.jobs.request(yield* RunId.make)))._tag, "AgentBusy")
        yield* second.finish
        yield* pass()
        assert.strictEqual(yield* phaseOf(second.jobs, a), "done")
        assert.deepStrictEqual(yield* second.journal, [`resume handle of ${a}`, "resume ends"])
      }))

    it.scoped("one that was cancelled is no backup that goes on", () =>
      Effect.gen(function*() {
        const store = yield* JobStoreMemory.make()
        const a = yield* RunId.make
        const { jobs } = yield* open({ survives: true, changes: [{ phase: "running" }] }, { store })
        yield* jobs.request(a)
        yield* jobs.quiesced(a)
        yield* pass()
        yield* jobs.cancel(a)
        assert.strictEqual((yield* recordOf(store, a))?.status.phase, "failed")
      }))

    it.scoped("ended ones can still be asked for, the oldest are forgotten, other guests' are left alone", () =>
      Effect.gen(function*() {
        const ids = yield* Effect.replicateEffect(RunId.make, 20)
        const other = { ...record(yield* RunId.make, "done"), guest: "mail" }
        const store = yield* JobStoreMemory.make([other, ...ids.map((id) => record(id, "done"))])
        const { jobs } = yield* open({}, { store })
        assert.strictEqual((yield* jobs.list).length, 16)
        assert.strictEqual((yield* jobs.list)[0]?.runId, ids[19])
        assert.strictEqual((yield* store.list).length, 17)
        assert.isTrue((yield* jobs.list).every(({ phase }) => isFinal(phase as "done")))
        assert.strictEqual((yield* Effect.flip(jobs.status(other.runId, -1, 0)))._tag, "BackupUnknown")
      }))
  })

  describe("a backup that the host has begun", () => {
    it.scoped("the guest is asked, and the host waits until it is quiet", () =>
      Effect.gen(function*() {
        const { finish, jobs, journal, store } = yield* open({ survives: true })
        const asked = yield* Effect.fork(jobs.asked("1 hour"))
        yield* pass()
        const hosted = yield* Effect.fork(jobs.hosted("upid", "1 minute"))
        yield* pass()
        const runId = Option.getOrThrow(yield* Fiber.join(asked))
        assert.deepStrictEqual(yield* jobs.asked(0), Option.some(runId), "asked again until it is answered")
        assert.strictEqual((yield* jobs.request(runId)).phase, "ready")
        assert.deepStrictEqual(yield* jobs.asked(0), Option.none())
        assert.isNull(yield* hosted.unsafePoll() ?? Effect.succeed(null))
        yield* pass("59 seconds")
        yield* jobs.quiesced(runId)
        yield* pass()
        assert.deepStrictEqual(yield* Fiber.join(hosted), { quiet: true, runId })
        assert.strictEqual((yield* recordOf(store, runId))?.handle, "upid")
        assert.strictEqual(yield* phaseOf(jobs, runId), "snapshotted")
        yield* finish
        yield* pass()
        assert.strictEqual(yield* phaseOf(jobs, runId), "done")
        assert.deepStrictEqual(yield* journal, ["resume upid", "resume ends"])
      }))

    it.scoped("nobody listens: at once; nobody answers: in time, and too late is too late", () =>
      Effect.gen(function*() {
        const { jobs, journal } = yield* open({ survives: true })
        assert.isFalse((yield* jobs.hosted("upid", "1 minute")).quiet)
        yield* Effect.zipRight(Effect.fork(jobs.asked("1 second")), pass("1 second"))
        yield* pass("80 seconds")
        const hosted = yield* Effect.fork(jobs.hosted("upid", "1 minute"))
        yield* pass()
        const runId = Option.getOrThrow(yield* jobs.asked(0))
        yield* pass("1 minute")
        assert.isFalse((yield* Fiber.join(hosted)).quiet)
        assert.strictEqual((yield* jobs.quiesced(runId)).phase, "failed")
        assert.deepStrictEqual(yield* jobs.asked(0), Option.none())
        yield* pass("91 seconds")
        const deaf = yield* jobs.hosted("upid", "1 minute")
        assert.isFalse(deaf.quiet)
        assert.deepStrictEqual(yield* journal, [])
      }))

    it.scoped("the host goes away while it waits: the question is void", () =>
      Effect.gen(function*() {
        const { jobs } = yield* open({ survives: true })
        yield* Effect.fork(jobs.asked("1 hour"))
        yield* pass()
        const hosted = yield* Effect.fork(jobs.hosted("upid", "1 minute"))
        yield* pass()
        const runId = Option.getOrThrow(yield* jobs.asked(0))
        yield* Fiber.interrupt(hosted)
        assert.strictEqual(yield* phaseOf(jobs, runId), "failed")
        assert.deepStrictEqual(yield* jobs.asked(0), Option.none())
      }))

    it.scoped("a request that is still being written down comes first", () =>
      Effect.gen(function*() {
        const { store } = yield* writing((inner, record) =>
          Effect.delay(inner.save(record), record.status.phase === "queued" ? "1 second" : 0)
        )
        const { jobs } = yield* open({ survives: true }, { store })
        yield* Effect.fork(jobs.asked("1 hour"))
        yield* pass()
        const requested = yield* Effect.fork(jobs.request(yield* RunId.make))
        yield* pass("500 millis")
        const hosted = yield* Effect.fork(jobs.hosted("upid", "1 minute"))
        yield* pass("1 second")
        assert.isFalse((yield* Fiber.join(hosted)).quiet)
        yield* Fiber.join(requested)
        assert.lengthOf(yield* jobs.list, 1)
      }))

    it.scoped("the agent's own backup meets the hook: its guest is quiet already", () =>
      Effect.gen(function*() {
        const { jobs } = yield* open({ survives: true, changes: [{ phase: "running" }] })
        const a = yield* RunId.make
        yield* jobs.request(a)
        yield* pass()
        assert.isFalse((yield* jobs.hosted("upid", "1 minute")).quiet)
        yield* jobs.quiesced(a)
        yield* pass()
        assert.deepStrictEqual(yield* jobs.hosted("upid", "1 minute"), { quiet: true, runId: a })
      }))
  })
})
