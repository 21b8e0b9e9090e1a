import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../../src/domain/RunId.ts"
import * as Upid from "../../../src/domain/Upid.ts"
import type { Jobs } from "../../../src/internal/agent/jobs.ts"
import * as Processes from "../../../src/internal/vzdump/processes.ts"
import { agentOf, ended, until } from "../../lab/vzdump/drive.ts"
import { type LabHost, labHost } from "../../lab/vzdump/host.ts"
import { live } from "../../support/live.ts"

/** A task of the host that is this process: its log is what the test writes. */
const taskOf = (host: LabHost) =>
  Effect.gen(function*() {
    const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, "0")
    const startTime = (yield* Processes.look(process.pid))?.startTime ?? 0
    const upid = Upid.Upid.make(`UPID:pve1:${hex(process.pid)}:${hex(startTime)}:00000001:vzdump::root@pam:`)
    const log = Upid.taskLogPath(upid, host.paths.tasksDir)
    Fs.mkdirSync(Path.dirname(log), { recursive: true })
    return {
      upid,
      write: (...lines: ReadonlyArray<string>) => Fs.appendFileSync(log, lines.map((one) => `${one}\n`).join(""))
    }
  })

const backupOf = (vmid: number) => [
  `INFO: Starting Backup of VM ${vmid} (lxc)`,
  "INFO: status = running",
  "INFO: backup mode: snapshot",
  "INFO: create storage snapshot 'vzdump'",
  `INFO: creating vzdump archive '/dump/vzdump-lxc-${vmid}.tar.zst'`
]
const finishOf = (vmid: number) => [`INFO: Finished Backup of VM ${vmid} (00:00:01)`]

/** The host asks, and a controller in the guest answers. */
const asked = (jobs: Jobs, upid: string) =>
  Effect.gen(function*() {
    const controller = yield* Effect.fork(Effect.gen(function*() {
      const runId = Option.getOrThrow(yield* jobs.asked("5 seconds"))
      yield* jobs.quiesced(runId)
      return runId
    }))
    yield* Effect.sleep("30 millis")
    assert.isTrue((yield* jobs.hosted(upid, "5 seconds")).quiet)
    return yield* controller
  })

describe("several guests of a host with one slot", () => {
  live(
    "a backup of the host does not wait for a slot: its holder may wait for that backup",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const { upid, write } = yield* taskOf(host)
        const slots = yield* Effect.makeSemaphore(1)
        // the guest 101 waits with the slot until its lock is gone
        host.guest("lxc", 101, "lock: backup\n")
        const waiting = yield* agentOf(host, { guest: "db", vmid: 101, slots })
        yield* waiting.jobs.request(yield* RunId.make)
        yield* Effect.sleep("50 millis")
        const { jobs } = yield* agentOf(host, { slots })
        const runId = yield* asked(jobs, upid)
        write(...backupOf(100))
        assert.strictEqual((yield* until(jobs, runId, "snapshotted")).phase, "snapshotted")
        write(...finishOf(100), "INFO: Backup job finished successfully", "TASK OK")
        assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
      })
  )

  live("after a restart all that go on are followed, each to its own end", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const { upid, write } = yield* taskOf(host)
      host.guest("lxc", 101, "")
      const slots = yield* Effect.makeSemaphore(1)
      const first = [yield* agentOf(host, { slots }), yield* agentOf(host, { guest: "db", vmid: 101, slots })] as const
      const web = yield* asked(first[0].jobs, upid)
      write(...backupOf(100), ...finishOf(100))
      yield* until(first[0].jobs, web, "snapshotted")
      const db = yield* asked(first[1].jobs, upid)
      for (const agent of first) yield* agent.close

      const again = yield* Effect.makeSemaphore(1)
      const { jobs: webs } = yield* agentOf(host, { slots: again })
      const { jobs: dbs } = yield* agentOf(host, { guest: "db", vmid: 101, slots: again })
      write(...backupOf(101))
      assert.strictEqual((yield* until(dbs, db, "snapshotted")).phase, "snapshotted")
      write(
        "ERROR: Backup of VM 101 failed - no space",
        "INFO: Backup job finished with errors",
        "TASK ERROR: job errors"
      )
      assert.strictEqual((yield* ended(dbs, db)).error, "no space")
      const status = yield* ended(webs, web)
      assert.strictEqual(status.phase, "done", "its part was good")
      assert.strictEqual(status.artifact, "/dump/vzdump-lxc-100.tar.zst")
    }))
})
