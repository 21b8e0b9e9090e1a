import { assert, describe } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Ref, Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { BackupStatus } from "../../src/domain/Backup.ts"
import { isFinal } from "../../src/domain/Backup.ts"
import * as RunId from "../../src/domain/RunId.ts"
import * as AgentClientLocal from "../../src/layers/AgentClientLocal.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { SnapshotFailed, Snapshotter, SnapshotUnsupported, type Take } from "../../src/services/Snapshotter.ts"
import { Transfer, TransferFailed, TransferRefused } from "../../src/services/Transfer.ts"
import { type AgentJob, agentLayer, follow } from "../lab/agentProcess.ts"
import { loopMount, sh, workDirectory } from "../lab/loopfs.ts"
import { sampleData } from "../lab/sampleData.ts"
import { live } from "../support/live.ts"

type SnapshotterParts = Partial<Snapshotter["Type"] & { readonly take: Take }>
type TransferParts = Partial<Transfer["Type"]>

interface Parts {
  readonly snapshotter?: SnapshotterParts
  readonly transfer?: TransferParts
  readonly options?: Partial<AgentClientLocal.AgentClientLocalOptions>
}

/** An agent over scripted parts, with a journal of what they were asked. */
const scripted = Effect.fnUntraced(function*(
  script: Parts | ((say: (entry: string) => Effect.Effect<void>) => Parts) = {}
) {
  const journal = yield* Ref.make<ReadonlyArray<string>>([])
  const say = (entry: string) => Ref.update(journal, (before) => [...before, entry])
  const parts = typeof script === "function" ? script(say) : script
  const { take, ...other } = parts.snapshotter ?? {}
  const snapshotter: Snapshotter["Type"] = {
    probe: Effect.as(say("probe"), { snapshotter: "test", mode: "snapshot" as const }),
    prepare: say("prepare"),
    reserve: Effect.succeed(
      take ?? Effect.acquireRelease(
        Effect.as(say("take"), Option.some({ path: "/snap", mode: "snapshot" as const })),
        () => say("remove")
      )
    ),
    sweep: Effect.as(say("sweep snapshots"), ["/left/snapshot"]),
    ...other
  }
  const transfer: Transfer["Type"] = {
    preflight: say("transfer preflight"),
    run: ({ path }) => Effect.as(say(`transfer ${path}`), { location: "/artifact" }),
    sweep: Effect.as(say("sweep transfers"), ["/left/transfer"]),
    ...parts.transfer
  }
  const layer = AgentClientLocal.layer({
    source: "/tmp",
    stateDir: "/s",
    statusWait: "100 millis",
    transferDelay: 0,
    ...parts.options
  })
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Layer.provide(layer, Layer.merge(Layer.succeed(Snapshotter, snapshotter), Layer.succeed(Transfer, transfer))),
    scope
  )
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  const agent = yield* Effect.provide(AgentClient, context)
  return { agent, journal: Ref.get(journal), close: Scope.close(scope, Exit.void) }
})

type Agent = AgentClient["Type"]

/** Follows until the phase is there; answers with that status. */
const until = (agent: Agent, runId: RunId.RunId, wanted: string) =>
  Effect.gen(function*() {
    let status: BackupStatus = yield* agent.status(runId, -1)
    while (status.phase !== wanted) {
      assert.isFalse(isFinal(status.phase as "done"), `${status.phase}: ${status.error}`)
      status = yield* agent.status(runId, status.revision)
    }
    return status
  })

const begin = (agent: Agent) =>
  Effect.gen(function*() {
    const runId = yield* RunId.make
    yield* agent.request(runId)
    yield* until(agent, runId, "ready")
    return runId
  })

const ended = (agent: Agent, runId: RunId.RunId) =>
  Effect.gen(function*() {
    let status: BackupStatus = yield* agent.status(runId, -1)
    while (status.phase !== "done" && status.phase !== "failed") status = yield* agent.status(runId, status.revision)
    return status
  })

describe("AgentClientLocal", () => {
  live(
    "goes through the phases in order, and removes the snapshot before it says done",
    [],
    () =>
      Effect.gen(function*() {
        const { agent, journal } = yield* scripted()
        yield* agent.preflight
        const runId = yield* begin(agent)
        assert.strictEqual((yield* agent.status(runId, -1)).effectiveMode, "snapshot", "known from ready on")
        assert.deepStrictEqual(yield* journal, ["probe", "transfer preflight", "sweep transfers", "sweep snapshots"])
        yield* agent.prepare(runId)
        yield* agent.quiesced(runId)
        const status = yield* ended(agent, runId)
        const { times, ...done } = status
        assert.deepStrictEqual(Object.keys(times ?? {}), ["queued", "ready", "running", "snapshotted", "done"])
        assert.deepStrictEqual({ ...done, revision: 0 }, {
          runId,
          revision: 0,
          phase: "done",
          effectiveMode: "snapshot",
          artifact: "/artifact"
        })
        assert.deepStrictEqual((yield* journal).slice(4), ["prepare", "take", "transfer /snap", "remove"])
        assert.strictEqual((yield* agent.request(runId)).phase, "done", "the same run is the same backup")
        yield* agent.quiesced(runId)
        yield* agent.cancel(runId)
        assert.deepStrictEqual(yield* agent.status(runId, -1), status)
      })
  )

  live("nothing is read before quiesced, and the slot is given back in time", [], () =>
    Effect.gen(function*() {
      const { agent, journal } = yield* scripted({ options: { readyTimeout: "150 millis" } })
      const runId = yield* begin(agent)
      const failed = yield* ended(agent, runId)
      assert.strictEqual(failed.phase, "failed")
      assert.match(failed.error ?? "", /nobody said within 150ms that the app is down/)
      assert.notInclude(yield* journal, "take")
      assert.strictEqual((yield* agent.request(yield* RunId.make)).phase, "queued")
    }))

  live("without a snapshot the source is read and snapshotted never comes", [], () =>
    Effect.gen(function*() {
      const reading = yield* Deferred.make<void>()
      const { agent, journal } = yield* scripted((say) => ({
        snapshotter: {
          probe: Effect.succeed({ snapshotter: "none", mode: "stop" as const }),
          take: Effect.succeedNone
        },
        transfer: {
          run: ({ path }) => Effect.zipRight(say(path), Effect.as(Deferred.await(reading), { location: "a" }))
        }
      }))
      const runId = yield* begin(agent)
      assert.strictEqual((yield* agent.status(runId, -1)).effectiveMode, "stop")
      yield* agent.quiesced(runId)
      yield* Effect.sleep("50 millis")
      assert.strictEqual((yield* agent.status(runId, -1)).phase, "running")
      assert.strictEqual((yield* journal).at(-1), "/tmp")
      yield* Deferred.succeed(reading, undefined)
      assert.strictEqual((yield* ended(agent, runId)).phase, "done")
    }))

  live(
    "a waiting status sees a change within milliseconds; without a change it answers after its wait",
    [],
    () =>
      Effect.gen(function*() {
        const take = yield* Deferred.make<number>()
        const { agent } = yield* scripted({
          snapshotter: {
            take: Effect.as(Deferred.await(take), Option.some({ path: "/snap", mode: "snapshot" as const }))
          },
          transfer: { run: () => Effect.never },
          options: { statusWait: "5 seconds" }
        })
        const runId = yield* begin(agent)
        yield* agent.quiesced(runId)
        const running = yield* until(agent, runId, "running")
        const waiting = yield* Effect.fork(
          Effect.map(agent.status(runId, running.revision), (status) => [status.phase, performance.now()] as const)
        )
        yield* Effect.sleep("100 millis")
        const at = performance.now()
        yield* Deferred.succeed(take, 0)
        const [phase, seen] = yield* Fiber.join(waiting)
        assert.strictEqual(phase, "snapshotted")
        assert.isBelow(seen - at, 20)

        const { agent: other } = yield* scripted()
        const slow = yield* begin(other)
        const ready = yield* other.status(slow, -1)
        const [taken, same] = yield* Effect.timed(other.status(slow, ready.revision))
        assert.deepStrictEqual(same, ready)
        assert.isAtLeast(Duration.toMillis(taken), 95)
        assert.isBelow(Duration.toMillis(taken), 400)
        // an unfinished job must not outlive the test's layers, nor hang their close
      })
  )

  live("no change is lost between two questions", [], () =>
    Effect.gen(function*() {
      for (let round = 0; round < 50; round++) {
        const { agent } = yield* scripted({ options: { statusWait: "10 seconds" } })
        const runId = yield* RunId.make
        const first = yield* agent.request(runId)
        const seen = [first.phase]
        let status: BackupStatus = first
        const [taken] = yield* Effect.timed(Effect.gen(function*() {
          while (status.phase !== "done") {
            if (status.phase === "ready") yield* agent.quiesced(runId)
            const next: BackupStatus = yield* agent.status(runId, status.revision)
            assert.isAbove(next.revision, status.revision)
            status = next
            seen.push(status.phase)
          }
        }))
        assert.isBelow(Duration.toMillis(taken), 1_000, seen.join())
      }
    }))

  live("progress does not flood", [], () =>
    Effect.gen(function*() {
      const { agent } = yield* scripted({
        transfer: {
          run: ({ onProgress }) =>
            Effect.as(
              Effect.forEach(
                Array.from({ length: 100 }, (_, n) => n),
                (bytes) => Effect.zipRight(onProgress({ bytes }), Effect.sleep(10))
              ),
              { location: "a" }
            )
        }
      })
      const runId = yield* begin(agent)
      yield* agent.quiesced(runId)
      const snapshotted = yield* until(agent, runId, "snapshotted")
      const done = yield* ended(agent, runId)
      assert.isAtLeast(done.revision - snapshotted.revision, 3)
      assert.isAtMost(done.revision - snapshotted.revision, 7)
      assert.isAbove(done.progress?.bytes ?? 0, 0)
    }))

  live("one backup at a time; unknown runs are unknown", [], () =>
    Effect.gen(function*() {
      const { agent, journal } = yield* scripted()
      const runId = yield* begin(agent)
      const other = yield* RunId.make
      const busy = yield* Effect.flip(agent.request(other))
      assert.strictEqual(busy._tag, "AgentBusy")
      assert.include(busy.message, runId)
      assert.strictEqual((yield* Effect.flip(agent.sweep))._tag, "AgentBusy", "a sweep would end the live transfer")
      assert.strictEqual((yield* Effect.flip(agent.status(other, -1)))._tag, "BackupUnknown")
      assert.strictEqual((yield* Effect.flip(agent.quiesced(other)))._tag, "BackupUnknown")
      yield* agent.cancel(other)
      yield* agent.cancel(runId)
      assert.strictEqual((yield* agent.request(other)).phase, "queued")
      yield* until(agent, other, "ready")
      assert.strictEqual((yield* journal).filter((entry) => entry === "probe").length, 2)
      yield* agent.cancel(other)
      assert.deepStrictEqual(yield* agent.sweep, ["/left/transfer", "/left/snapshot"])
    }))

  live("requests at the same time make one backup", [], () =>
    Effect.gen(function*() {
      const { agent, journal } = yield* scripted()
      const runId = yield* RunId.make
      const all = yield* Effect.all(Array.from({ length: 20 }, () => agent.request(runId)), {
        concurrency: "unbounded"
      })
      assert.lengthOf(all, 20)
      yield* until(agent, runId, "ready")
      assert.deepStrictEqual((yield* journal).filter((entry) => entry === "probe"), ["probe"])
    }))

  live(
    "a cancel ends the job, waits for its cleaning up, and may come at any moment",
    [],
    () =>
      Effect.gen(function*() {
        for (const after of [0, 1, 3, 10, 20, 40, 60, 90]) {
          const { agent, journal } = yield* scripted((say) => ({
            snapshotter: {
              take: Effect.acquireRelease(
                Effect.as(Effect.sleep(20), Option.some({ path: "/snap", mode: "copy" as const })),
                () => Effect.zipRight(Effect.sleep(30), say("removed"))
              )
            },
            transfer: {
              run: () =>
                Effect.onInterrupt(Effect.as(Effect.sleep(40), { location: "a" }), () => Effect.delay(say("ended"), 10))
            }
          }))
          const runId = yield* RunId.make
          yield* agent.request(runId)
          yield* agent.quiesced(runId)
          yield* Effect.sleep(after)
          yield* agent.cancel(runId)
          const status = yield* agent.status(runId, -1)
          if (status.phase === "done") assert.isAtLeast(after, 60, "the artifact was complete")
          else assert.deepStrictEqual([status.phase, status.error], ["failed", "cancelled"])
          const entries = yield* journal
          if (status.phase === "failed" && entries.includes("ended")) assert.strictEqual(entries.at(-1), "removed")
          yield* Effect.sleep(10)
          assert.deepStrictEqual(yield* journal, entries, "nothing happens after a cancel")
        }
      }),
    20_000
  )

  live("the caller may go away: the backup goes on; the close of the layer ends it", [], () =>
    Effect.gen(function*() {
      const { agent, close, journal } = yield* scripted((say) => ({
        transfer: {
          run: () => Effect.zipRight(say("transfer"), Effect.onInterrupt(Effect.never, () => say("transfer ended")))
        }
      }))
      const runId = yield* RunId.make
      const caller = yield* Effect.fork(Effect.scoped(Effect.zipRight(agent.request(runId), Effect.never)))
      yield* Effect.sleep(20)
      yield* Fiber.interrupt(caller)
      yield* agent.quiesced(runId)
      yield* until(agent, runId, "snapshotted")
      yield* journal.pipe(
        Effect.repeat({ until: (entries) => entries.includes("transfer") }),
        Effect.timeout("5 seconds")
      )
      const waiting = yield* Effect.fork(agent.status(runId, 99))
      yield* Fiber.interrupt(waiting)
      yield* close
      assert.deepStrictEqual((yield* journal).slice(-2), ["transfer ended", "remove"])
      assert.strictEqual((yield* agent.status(runId, -1)).error, "cancelled")
    }))

  live("every failure ends in failed, with its words", [], () =>
    Effect.gen(function*() {
      const wrong = new SnapshotFailed({ snapshotter: "test", operation: "take", reason: "bad disk" })
      const cases: ReadonlyArray<readonly [string, SnapshotterParts, TransferParts, boolean]> = [
        ["bad disk", { take: wrong }, {}, false],
        ["cannot be used: no", { probe: new SnapshotUnsupported({ snapshotter: "test", reason: "no" }) }, {}, false],
        ["no space", {}, { run: () => new TransferFailed({ reason: "no space" }) }, true],
        ["leftover", {}, { sweep: new TransferFailed({ reason: "leftover" }) }, false],
        ["broken", {}, { run: () => Effect.die(new TypeError("broken")) }, true],
        ["torn", { take: Effect.die("torn") }, {}, false],
        ["cancelled", {}, { run: () => Effect.interrupt }, true]
      ]
      for (const [words, snapshotter, transfer, removes] of cases) {
        const { agent, journal } = yield* scripted({ snapshotter, transfer })
        const runId = yield* RunId.make
        yield* agent.request(runId)
        yield* agent.quiesced(runId)
        const failed = yield* ended(agent, runId)
        assert.strictEqual(failed.phase, "failed")
        assert.include(failed.error ?? "", words)
        assert.strictEqual((yield* journal).includes("remove"), removes, words)
      }
    }))

  live("a snapshot that cannot be removed is no failed backup", [], () =>
    Effect.gen(function*() {
      const { agent } = yield* scripted({
        snapshotter: {
          take: Effect.acquireRelease(
            Effect.succeed(Option.some({ path: "/snap", mode: "copy" as const })),
            () => Effect.die("still there")
          )
        }
      })
      const runId = yield* begin(agent)
      yield* agent.quiesced(runId)
      assert.strictEqual((yield* ended(agent, runId)).phase, "done")
    }))

  live("the preflight refuses with a clear word", [], () =>
    Effect.gen(function*() {
      const message = (parts: Parameters<typeof scripted>[0]) =>
        Effect.flatMap(scripted(parts), ({ agent }) =>
          Effect.map(Effect.flip(agent.preflight), (error) => `${error._tag} ${error.message}`))
      assert.include(
        yield* message({ options: { source: "/nowhere/at all" } }),
        "AgentRefused the agent refuses: the source /nowhere/at all cannot be read: it does not exist"
      )
      assert.include(yield* message({ options: { source: "/etc/passwd" } }), "it is not a directory")
      assert.include(
        yield* message({ snapshotter: { probe: new SnapshotUnsupported({ snapshotter: "x", reason: "no btrfs" }) } }),
        "no btrfs"
      )
      assert.include(yield* message({ transfer: { preflight: new TransferRefused({ reason: "no tar" }) } }), "no tar")
    }))

  live("whole backups on every file system, cancelled in every phase: nothing is left", [
    "btrfs",
    "xfs",
    "tar",
    "zstd",
    "flock"
  ], () =>
    Effect.gen(function*() {
      for (
        const [kind, snapshot] of [["btrfs", "btrfs"], ["btrfs", "reflink"], ["xfs", "reflink"], ["xfs", "copy"], [
          "xfs",
          "none"
        ]] as const
      ) {
        const mount = yield* loopMount(kind)
        const state = yield* workDirectory
        const source = Path.join(mount, "data")
        if (kind === "btrfs") yield* sh(["btrfs", "subvolume", "create", source])
        else yield* Effect.promise(() => Fs.mkdir(source))
        yield* sampleData(source)
        yield* sh(["dd", "if=/dev/urandom", `of=${Path.join(source, "big")}`, "bs=1M", "count=40", "status=none"])
        const to = Path.join(mount, "archives")
        const job: AgentJob = { do: "run", source, stateDir: state, snapshot, to }
        yield* Effect.gen(function*() {
          const statuses: Array<BackupStatus> = []
          const done = yield* follow((status) => Effect.sync(() => statuses.push(status as BackupStatus)))
          assert.strictEqual(done.phase, "done", done.error)
          assert.isAbove(done.progress?.bytes ?? 0, 40 << 20)
          assert.strictEqual(statuses.some(({ phase }) => phase === "snapshotted"), snapshot !== "none")
          const artifact = done.artifact ?? ""
          const contents = yield* sh(["tar", "--zstd", "-tf", artifact])
          assert.include(contents, "./big\n")
          assert.notInclude(contents, "./.quiesce/\n")
          yield* sh(["rm", "-r", to])

          const agent = yield* AgentClient
          for (const after of [0, 10, 30, 60, 90, 120, 160, 200]) {
            const runId = yield* RunId.make
            yield* agent.request(runId)
            yield* agent.quiesced(runId)
            yield* Effect.sleep(after)
            yield* agent.cancel(runId)
            const status = yield* agent.status(runId, -1)
            const left = yield* sh([
              "find",
              mount,
              "-mindepth",
              "1",
              "-maxdepth",
              "2",
              "-path",
              `${mount}/.quiesce/*`,
              "-o",
              "-path",
              `${to}/*`
            ])
            const expected = snapshot === "none" ? "" : `${mount}/.quiesce/data.lock\n`
            if (status.phase === "done") yield* sh(["rm", "-r", to])
            else assert.isTrue([expected, ""].includes(left), `${kind} ${snapshot} after ${after} ms: ${left}`)
          }
          assert.deepStrictEqual(yield* agent.sweep, [])
        }).pipe(Effect.provide(agentLayer(job)))
        if (kind === "btrfs") {
          assert.strictEqual((yield* sh(["btrfs", "subvolume", "list", mount])).trim().split("\n").length, 1)
        }
      }
    }), 120_000)

  live("two installations with different state directories back up one source in turn", [
    "btrfs",
    "tar",
    "zstd",
    "flock"
  ], () =>
    Effect.gen(function*() {
      const mount = yield* loopMount("btrfs")
      const source = Path.join(mount, "data")
      yield* sh(["btrfs", "subvolume", "create", source])
      yield* sh(["dd", "if=/dev/urandom", `of=${Path.join(source, "big")}`, "bs=1M", "count=60", "status=none"])
      const agentOf = (n: number) =>
        Effect.flatMap(
          Layer.build(
            agentLayer({ do: "run", source, stateDir: `/state/${n}`, snapshot: "auto", to: Path.join(mount, `to${n}`) })
          ),
          (context) => Effect.provide(AgentClient, context)
        )
      const [one, two] = [yield* agentOf(1), yield* agentOf(2)]
      const first = yield* begin(one)
      yield* one.quiesced(first)
      yield* until(one, first, "snapshotted")
      const second = yield* RunId.make
      yield* two.request(second)
      const failed = yield* ended(two, second)
      assert.include(failed.error ?? "", "state directory /state/1")
      assert.strictEqual((yield* ended(one, first)).phase, "done")
      const third = yield* begin(two)
      yield* two.quiesced(third)
      assert.strictEqual((yield* ended(two, third)).phase, "done")
    }))
})
