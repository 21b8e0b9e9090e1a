import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { readdirSync } from "node:fs"
import { type BackupStatus, isFinal } from "../../src/domain/Backup.ts"
import { defaults, stackDefaults } from "../../src/domain/Policy.ts"
import * as RunId from "../../src/domain/RunId.ts"
import { StackName } from "../../src/domain/Stack.ts"
import * as AgentClientProxmox from "../../src/layers/AgentClientProxmox.ts"
import * as DeadManMemory from "../../src/layers/DeadManMemory.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MarkerStoreMemory from "../../src/layers/MarkerStoreMemory.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import { quiesce } from "../../src/programs/quiesce.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { leastPrivileges, secret, serve, type ServerOptions, token } from "../lab/proxmox/server.ts"
import { sample } from "../lab/proxmox/tasks.ts"
import { live } from "../support/live.ts"

const good = sample("run-lxc-api-ok")

const open = Effect.fnUntraced(function*(
  server: Partial<ServerOptions> = {},
  options: Partial<AgentClientProxmox.AgentClientProxmoxOptions> = {}
) {
  const { fingerprint, pve, url } = yield* serve({ replay: good, denial: 20, ...server })
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  const layer = AgentClientProxmox.layer({
    url,
    node: "pve1",
    vmid: 100,
    storage: "local",
    token: Redacted.make(token),
    fingerprint,
    statusWait: "100 millis",
    ...options
  })
  const context = yield* Layer.buildWithScope(layer, scope)
  const agent = yield* Effect.provide(AgentClient, context)
  return { agent, pve, layer, close: Scope.close(scope, Exit.void) }
})

type Opened = Effect.Effect.Success<ReturnType<typeof open>>
type Agent = Opened["agent"]

/** Follows until the phase is there, or the end. */
const until = (agent: Agent, runId: RunId.RunId, wanted: string) =>
  Effect.gen(function*() {
    let status: BackupStatus = yield* agent.status(runId, -1)
    while (status.phase !== wanted && !isFinal(status.phase as "done")) {
      status = yield* agent.status(runId, status.revision)
    }
    return status
  })

/** A backup that has told that everything is down. */
const quiet = Effect.fnUntraced(function*({ agent, pve }: Opened) {
  const runId = yield* RunId.make
  yield* agent.request(runId)
  assert.strictEqual((yield* until(agent, runId, "ready")).phase, "ready")
  assert.lengthOf(pve.tasks.filter(({ runs }) => runs), 0, "nothing is begun before everything is down")
  yield* agent.quiesced(runId)
  return runId
})

const task = ({ pve }: Opened) =>
  Effect.repeat(Effect.delay(Effect.sync(() => pve.task), "5 millis"), {
    until: (task): task is NonNullable<typeof task> => task !== undefined
  })

const routes = ({ pve }: Opened) => [...new Set(pve.requests.map(({ route }) => route))].sort()

describe("preflight", () => {
  live("is content with the least privileges, and says what it does not see", [], () =>
    Effect.gen(function*() {
      const { agent, pve } = yield* open()
      assert.deepStrictEqual(yield* agent.preflight, {
        snapshotter: "vzdump",
        notes: ["backups of others are not seen: the token lacks Sys.Audit on the node"]
      })
      assert.lengthOf(pve.tasks, 0)
    }))

  live("refuses what cannot work, with the way out, and without the secret", [], () =>
    Effect.gen(function*() {
      const refusals: ReadonlyArray<
        readonly [Partial<ServerOptions>, Partial<AgentClientProxmox.AgentClientProxmoxOptions>, RegExp]
      > = [
        [{}, { token: Redacted.make(`quiesce@pve!web=${secret}x`) }, /401.*pveum user token add/],
        [{}, { token: Redacted.make(secret) }, /expected USER@REALM!TOKENID=SECRET/],
        [{}, { node: "pve9" }, /there is no node 'pve9'; there are: pve1, pve2/],
        [{ acl: {} }, {}, /quiesce@pve!web lacks the privilege VM\.Backup on \/vms\/100/],
        [{ acl: { "/vms/100": ["VM.Backup"] } }, {}, /Datastore\.AllocateSpace on \/storage\/local/],
        [{}, { fingerprint: "AA" }, /the fingerprint is none/],
        [{}, { url: "http://192.0.2.1:8006" }, /expected https:\/\/host:8006/],
        [{}, { fleecingStorage: "fast" }, /Datastore\.AllocateSpace on \/storage\/fast/]
      ]
      for (const [server, options, message] of refusals) {
        const { agent } = yield* open(server, options)
        const error = yield* Effect.flip(agent.preflight)
        assert.strictEqual(error._tag, "AgentRefused")
        assert.match(error.message, message)
        assert.notInclude(error.message, secret)
      }
    }))

  live("what may go better later is no refusal", [], () =>
    Effect.gen(function*() {
      const { agent, pve } = yield* open()
      for (const fault of ["cut-before", "garbage", "truncated", { status: 595, message: "no route" }] as const) {
        // a question is asked once more over a connection that was kept
        pve.faults.set("GET /nodes", [fault, fault])
        const error = yield* Effect.flip(agent.preflight)
        assert.include(["AgentUnavailable", "AgentAnswerInvalid"], error._tag)
        assert.notInclude(error.message, secret)
        pve.faults.clear()
      }
      const away = yield* open({}, { url: "http://127.0.0.1:1" })
      assert.strictEqual((yield* Effect.flip(away.agent.preflight))._tag, "AgentUnavailable")
    }))

  live("another certificate is refused before the first byte of a request", ["openssl"], () =>
    Effect.gen(function*() {
      const right = yield* open({ tls: true })
      yield* right.agent.preflight
      const { agent, pve } = yield* open({ tls: true }, { fingerprint: `${"AB:".repeat(31)}AB` })
      const error = yield* Effect.flip(agent.preflight)
      assert.strictEqual(error._tag, "AgentRefused")
      assert.match(error.message, /fingerprint .*AB:AB.*pvenode cert info/s)
      assert.lengthOf(pve.requests, 0)
      assert.isAbove(pve.connections, 0)
    }))
})

describe("a backup", () => {
  for (const name of readdirSync("test/data/vzdump").flatMap((file) => /^(.*)\.json$/.exec(file)?.[1] ?? [])) {
    const { effectiveMode, outcome, point, vmid, ...replay } = sample(name)
    live(`as ${name}`, [], () =>
      Effect.gen(function*() {
        const opened = yield* open(
          {
            replay: { ...replay, effectiveMode, outcome, point, vmid },
            guests: [vmid ?? 100],
            acl: {
              [`/storage/local`]: ["Datastore.AllocateSpace"]
            }
          },
          { vmid: vmid ?? 100 }
        )
        const runId = yield* quiet(opened)
        const { agent } = opened
        const one = yield* task(opened)
        if (point !== null) {
          one.writeTo(point)
          yield* Effect.sleep("400 millis")
          assert.include(["ready", "running"], (yield* agent.status(runId, -1)).phase)
          one.writeTo(point + 1)
          const reached = yield* until(agent, runId, "snapshotted")
          assert.strictEqual(reached.phase, "snapshotted", reached.error)
          assert.strictEqual(reached.effectiveMode, effectiveMode)
        }
        one.end()
        const last = yield* until(agent, runId, outcome)
        assert.strictEqual(last.phase, outcome, last.error)
        const phases = Object.keys(last.times ?? {})
        assert.strictEqual(phases.includes("snapshotted"), point !== null)
      }))
  }

  live("asks for it once, with the run's id, and for nothing that harms", [], () =>
    Effect.gen(function*() {
      const opened = yield* open(
        { acl: { ...leastPrivileges, "/storage/fast": ["Datastore.AllocateSpace"] } },
        { mode: "suspend", compress: "none", protected: true, fleecingStorage: "fast" }
      )
      const runId = yield* quiet(opened)
      yield* Effect.all([opened.agent.quiesced(runId), opened.agent.quiesced(runId)], { concurrency: 2 })
      const one = yield* task(opened)
      one.end()
      assert.strictEqual((yield* until(opened.agent, runId, "done")).phase, "done")
      const orders = opened.pve.requests.filter(({ route }) => route === "POST /nodes/{node}/vzdump")
      assert.deepStrictEqual(orders.map(({ parameters }) => parameters), [{
        vmid: "100",
        mode: "suspend",
        storage: "local",
        compress: "0",
        remove: "0",
        lockwait: "0",
        "notes-template": `{{guestname}} (quiesce run ${runId})`,
        protected: "1",
        fleecing: "enabled=1,storage=fast"
      }])
      yield* opened.agent.preflight
      assert.deepStrictEqual(routes(opened), [
        "GET /access/permissions",
        "GET /nodes",
        "GET /nodes/{node}/storage/{storage}/status",
        "GET /nodes/{node}/tasks",
        "GET /nodes/{node}/tasks/{upid}/log",
        "GET /nodes/{node}/tasks/{upid}/status",
        "POST /nodes/{node}/vzdump"
      ])
    }))

  live("waits with the app up while another task of ours runs", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      opened.pve.answer("POST", "/api2/json/nodes/pve1/vzdump", { vmid: "100", storage: "local" })
      const runId = yield* RunId.make
      yield* opened.agent.request(runId)
      yield* Effect.sleep("500 millis")
      assert.strictEqual((yield* opened.agent.status(runId, -1)).phase, "queued")
      opened.pve.task?.end()
      assert.strictEqual((yield* until(opened.agent, runId, "ready")).phase, "ready")
      assert.strictEqual((yield* Effect.flip(opened.agent.request(yield* RunId.make)))._tag, "AgentBusy")
    }))

  live("the host's lock is held by one that we do not see: failed, nothing was read", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      opened.pve.lock = true
      const runId = yield* quiet(opened)
      const { error, phase } = yield* until(opened.agent, runId, "failed")
      assert.strictEqual(phase, "failed")
      assert.match(error ?? "", /another vzdump took the lock of the host/)
    }))

  live("a guest that is elsewhere is no backup", [], () =>
    Effect.gen(function*() {
      const opened = yield* open({ guests: [] })
      const { error, phase } = yield* until(opened.agent, yield* quiet(opened), "failed")
      assert.deepStrictEqual([phase, error], [
        "failed",
        "guest 100 is not on node pve1, so nothing was backed up: 'node' must be the one it is on"
      ])
    }))

  live("the answer to the order is lost: the task is found, and there is one", [], () =>
    Effect.gen(function*() {
      for (const fault of ["cut-after", "garbage", "truncated"] as const) {
        const opened = yield* open()
        opened.pve.faults.set("POST /nodes/{node}/vzdump", [fault])
        const runId = yield* quiet(opened)
        const one = yield* task(opened)
        one.end()
        assert.strictEqual((yield* until(opened.agent, runId, "done")).phase, "done", fault)
        assert.lengthOf(opened.pve.tasks, 1, fault)
      }
    }))

  live("a backup that is older than the quiet app is not taken for it", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      const runId = yield* RunId.make
      yield* opened.agent.request(runId)
      yield* until(opened.agent, runId, "ready")
      // somebody else's, with the same token, while the app was still up
      opened.pve.answer("POST", "/api2/json/nodes/pve1/vzdump", { vmid: "100", storage: "local" })
      opened.pve.task?.point()
      opened.pve.faults.set("POST /nodes/{node}/vzdump", ["cut-before", "cut-before"])
      yield* opened.agent.quiesced(runId)
      const { error, phase } = yield* until(opened.agent, runId, "snapshotted")
      assert.strictEqual(phase, "failed")
      assert.match(error ?? "", /another vzdump took the lock/)
    }), 60_000)

  live("a page of the log that fails loses no line of the ones before", [], () =>
    Effect.gen(function*() {
      const noise = Array.from({ length: 700 }, (_, n) => `INFO: tool output ${n}`)
      const after = (good.point ?? 0) + 1
      const lines = [...good.lines.slice(0, after), ...noise, ...good.lines.slice(after)]
      const opened = yield* open({ replay: { ...good, lines } })
      const runId = yield* quiet(opened)
      const one = yield* task(opened)
      const log = "GET /nodes/{node}/tasks/{upid}/log"
      const seen = opened.pve.requests.filter(({ route }) => route === log).length
      one.writeTo(after + 600)
      // the first page is answered, the second is not
      yield* Effect.repeat(Effect.sleep("1 millis"), {
        until: () => opened.pve.requests.filter(({ route }) => route === log).length > seen
      })
      opened.pve.faults.set(log, [{ status: 595, message: "away" }, { status: 595, message: "away" }])
      assert.strictEqual(
        (yield* until(opened.agent, runId, "snapshotted").pipe(Effect.retry({ times: 200 }))).phase,
        "snapshotted"
      )
      one.end()
      assert.strictEqual((yield* until(opened.agent, runId, "done").pipe(Effect.retry({ times: 200 }))).phase, "done")
    }), 60_000)

  live("a cancel is told only when the task was seen to end", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      const runId = yield* quiet(opened)
      const one = yield* task(opened)
      one.writeTo(5)
      yield* until(opened.agent, runId, "running")
      opened.pve.faults.set("DELETE /nodes/{node}/tasks/{upid}", [
        { status: 595, message: "away" },
        { status: 595, message: "away" }
      ])
      yield* opened.agent.cancel(runId)
      assert.isFalse(one.runs)
    }), 60_000)

  live("the order was not taken: it is given again; a refusal is not", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      opened.pve.faults.set("POST /nodes/{node}/vzdump", ["cut-before", { status: 500, message: "later" }])
      const runId = yield* quiet(opened)
      ;(yield* task(opened)).end()
      assert.strictEqual((yield* until(opened.agent, runId, "done")).phase, "done")
      const refused = yield* open({ acl: {} })
      const { error, phase } = yield* until(refused.agent, yield* quiet(refused), "failed")
      assert.strictEqual(phase, "failed")
      assert.match(error ?? "", /403.*Permission check failed \(\/storage\/local/)
      assert.notInclude(error ?? "", secret)
    }), 90_000)

  live(
    "an API that fails is borne, told, and what was written meanwhile is not lost",
    [],
    () =>
      Effect.gen(function*() {
        const opened = yield* open()
        const { agent, pve } = opened
        const runId = yield* quiet(opened)
        const one = yield* task(opened)
        one.writeTo(5)
        const before = yield* until(agent, runId, "running")
        const faults = ["huge", "garbage", { status: 595, message: "away" }, "cut-before", "cut-before"] as const
        pve.faults.set("GET /nodes/{node}/tasks/{upid}/log", [...faults])
        const error = yield* Effect.flip(
          Effect.forever(Effect.flatMap(agent.status(runId, before.revision), () => Effect.void))
        )
        assert.include(["AgentUnavailable", "AgentAnswerInvalid"], error._tag)
        assert.notInclude(error.message, secret)
        one.point()
        const point = yield* until(agent, runId, "snapshotted").pipe(Effect.retry({ times: 100 }))
        assert.strictEqual(point.phase, "snapshotted")
        one.end()
        assert.strictEqual((yield* until(agent, runId, "done")).phase, "done")
      }),
    90_000
  )

  live("a token that is revoked in the middle ends the backup for us", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      const runId = yield* quiet(opened)
      yield* task(opened)
      opened.pve.faults.set("GET /nodes/{node}/tasks/{upid}/log", [{ status: 401, message: "invalid token" }])
      const { error, phase } = yield* until(opened.agent, runId, "failed")
      assert.strictEqual(phase, "failed")
      assert.match(error ?? "", /401/)
      assert.notInclude(error ?? "", secret)
    }))

  live("long logs come in pages", [], () =>
    Effect.gen(function*() {
      const noise = Array.from({ length: 1_700 }, (_, n) => `INFO: tool output ${n}`)
      const lines = [...good.lines.slice(0, 9), ...noise, ...good.lines.slice(9)]
      const opened = yield* open({ replay: { ...good, lines, point: (good.point ?? 0) + noise.length } })
      const runId = yield* quiet(opened)
      const one = yield* task(opened)
      one.point()
      assert.strictEqual((yield* until(opened.agent, runId, "snapshotted")).phase, "snapshotted")
      one.end()
      assert.strictEqual((yield* until(opened.agent, runId, "done")).phase, "done")
    }))

  live("a cancel ends the task before the snapshot, and is refused after", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      const { agent, pve } = opened
      const early = yield* RunId.make
      yield* agent.request(early)
      yield* agent.cancel(early)
      assert.strictEqual((yield* agent.status(early, -1)).error, "cancelled")
      assert.lengthOf(pve.tasks, 0)

      const runId = yield* quiet(opened)
      const one = yield* task(opened)
      one.writeTo(5)
      yield* until(agent, runId, "running")
      yield* agent.cancel(runId)
      yield* agent.cancel(runId)
      assert.strictEqual((yield* agent.status(runId, -1)).phase, "failed")
      assert.isFalse(one.runs)

      const late = yield* quiet(opened)
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => pve.tasks.length === 2 })
      const other = pve.task
      other?.point()
      yield* until(agent, late, "snapshotted")
      assert.strictEqual((yield* Effect.flip(agent.cancel(late)))._tag, "AgentRefused")
      assert.isTrue(other?.runs)
      yield* agent.cancel(yield* RunId.make)
    }), 60_000)

  live("a cancel in the very moment of the order leaves no task", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      opened.pve.faults.set("POST /nodes/{node}/vzdump", ["cut-after"])
      const runId = yield* quiet(opened)
      const one = yield* task(opened)
      yield* opened.agent.cancel(runId)
      assert.isFalse(one.runs)
      assert.strictEqual((yield* opened.agent.status(runId, -1)).phase, "failed")
    }), 60_000)

  live("the end of the controller is not the end of the backup", [], () =>
    Effect.gen(function*() {
      const opened = yield* open()
      const runId = yield* quiet(opened)
      const one = yield* task(opened)
      one.point()
      yield* until(opened.agent, runId, "snapshotted")
      yield* opened.close
      assert.isTrue(one.runs)
    }))
})

describe("whole runs", () => {
  const policy = {
    ...defaults,
    pollInterval: Duration.millis(50),
    steadyTime: Duration.zero,
    stacks: [{ stack: StackName.make("app"), ...stackDefaults }]
  }
  const cases = [
    ["run-lxc-api-ok", "ok", "application"],
    ["run-lxc-suspend-fallback-ok", "ok", "application"],
    ["run-qemu-stop-hook-ok", "ok", "application"],
    ["run-lxc-warnings-ok", "ok", "application"],
    ["run-lxc-archive-failed", "backup-failed", "none"],
    ["run-lxc-snapshot-failed-1vol", "backup-failed", "none"],
    ["run-lxc-locked-failed", "backup-failed", "none"]
  ] as const
  for (const [name, outcome, level] of cases) {
    live(`${name}: ${outcome}`, [], () =>
      Effect.gen(function*() {
        const replay = sample(name)
        const vmid = replay.vmid ?? 100
        const opened = yield* open({
          replay,
          guests: [vmid],
          acl: { [`/vms/${vmid}`]: ["VM.Backup"], "/storage/local": ["Datastore.AllocateSpace"] }
        }, { vmid })
        const world = Layer.mergeAll(
          StackControlMemory.layer([{ stack: "app" }]),
          Layer.succeed(AgentClient, opened.agent),
          MarkerStoreMemory.layer(),
          RunLockMemory.layer,
          DeadManMemory.layer()
        ).pipe(Layer.provideMerge(Journal.layer))
        yield* Effect.gen(function*() {
          const run = yield* Effect.fork(Effect.either(quiesce(policy)))
          const one = yield* task(opened)
          one.point()
          yield* Effect.sleep("700 millis")
          const journal = yield* (yield* Journal.Journal).lines
          assert.strictEqual(journal.some((line) => line.includes("start app")), true, journal.join("\n"))
          one.end()
          const result = yield* Fiber.join(run)
          const report = result._tag === "Right" ? result.right : result.left.report
          assert.strictEqual(report.outcome, outcome, report.error ?? "")
          assert.strictEqual(report.consistency.level, level)
          assert.notInclude(JSON.stringify(report), secret)
        }).pipe(Effect.provide(world))
      }))
  }
})
