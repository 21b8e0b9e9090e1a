import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import type { VzdumpHost } from "../../src/internal/vzdump/host.ts"
import * as RunDirectory from "../../src/internal/vzdump/runDirectory.ts"
import { terminate } from "../../src/internal/vzdump/terminate.ts"
import * as EngineVzdump from "../../src/layers/EngineVzdump.ts"
import { agentOf, begin, ended, until, whole } from "../lab/vzdump/drive.ts"
import { answerOf, type LabHost, labHost, pidsOf, sampleNames } from "../lab/vzdump/host.ts"
import { live } from "../support/live.ts"
import { eventually, start } from "./fixtures/support.ts"

const engineOf = (host: LabHost, options: Partial<EngineVzdump.EngineVzdumpOptions> = {}) =>
  EngineVzdump.make({ vmid: 100, storage: "backup", stateDir: host.stateDir, host: host.paths, ...options })

/** Holds the lock of the host until it is closed, as a vzdump of another guest does. */
const lockHolder = (host: LabHost) =>
  Effect.gen(function*() {
    const holder = yield* start(["flock", "-x", "-F", host.paths.lockFile, "sh", "-c", "echo held; exec sleep 60"])
    yield* eventually("the lock is held", () => holder.output().includes("held"))
    return holder
  })

const runDirectory = (host: LabHost, runId: string, ...names: ReadonlyArray<string>) =>
  Path.join(host.stateDir, "vzdump", runId, ...names)

describe("EngineVzdump: the log of a real vzdump", () => {
  for (const name of sampleNames) {
    live(name, ["flock"], () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const answer = answerOf(name)
        const vmid = answer.vmid ?? 100
        host.guest(answer.guestType ?? "lxc", vmid, "")
        host.control({ log: name, delay: 5 })
        const { jobs } = yield* agentOf(host, { vmid, mode: answer.requestedMode as "snapshot" })
        const status = yield* whole(jobs)
        assert.strictEqual(status.phase, answer.outcome, status.error)
        const times = Object.keys(status.times ?? {})
        assert.strictEqual(times.includes("running"), answer.guestType !== null)
        assert.strictEqual(times.includes("snapshotted"), answer.pointInTimeFixedAtLine !== null)
        if (answer.effectiveMode !== null) assert.strictEqual(status.effectiveMode, answer.effectiveMode)
        if (answer.outcome === "done") assert.match(status.artifact ?? "", /^\/mnt\/pve\/backup\/dump\/vzdump-/)
        else assert.isAbove(status.error?.length ?? 0, 0)
        assert.strictEqual(host.callsOf("called").length, 1)
      }))
  }
})

describe("EngineVzdump: the call", () => {
  live(
    "a session of its own, no stdin, a fixed environment, and no word more than was meant",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const { jobs } = yield* agentOf(host, { protected: true, bandwidthLimit: 1024, compress: "none" })
        const status = yield* whole(jobs)
        assert.strictEqual(status.phase, "done", status.error)
        const [call] = host.callsOf("called")
        assert.deepStrictEqual(
          call?.argv,
          [
            ["100", "--mode", "snapshot", "--storage", "backup", "--remove", "0", "--lockwait", "0", "--compress", "0"],
            ["--notes-template", `{{guestname}} (quiesce run ${status.runId})`, "--protected", "1", "--bwlimit", "1024"]
          ].flat()
        )
        // the shell has some of its own
        const env = Object.entries(call?.env ?? {}).filter(([name]) => !["_", "PWD", "SHLVL", "OLDPWD"].includes(name))
        assert.deepStrictEqual(Object.fromEntries(env), { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" })
        assert.strictEqual(call?.cwd, "/")
        assert.strictEqual(call?.stdin, "/dev/null")
        assert.strictEqual(Fs.statSync(runDirectory(host, status.runId)).mode & 0o777, 0o700)
        const upid = host.callsOf("started")[0]?.upid
        assert.strictEqual(Fs.readFileSync(runDirectory(host, status.runId, "upid"), "utf8"), `${upid}\n`)
      })
  )

  live(
    "the point in time is in the snapshot, and nothing that is written after snapshotted",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const data = Path.join(host.root, "data")
        Fs.writeFileSync(data, "before")
        host.control({ atPoint: `cp '${data}' '${data}.snapshot'` })
        const { jobs } = yield* agentOf(host)
        const runId = yield* begin(jobs)
        yield* jobs.quiesced(runId)
        assert.strictEqual((yield* until(jobs, runId, "snapshotted")).phase, "snapshotted")
        Fs.writeFileSync(data, "after")
        assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
        assert.strictEqual(Fs.readFileSync(`${data}.snapshot`, "utf8"), "before")
      })
  )

  live(
    "a guest that has left the node in time is a failure, though vzdump ends well",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const { jobs } = yield* agentOf(host)
        const runId = yield* begin(jobs)
        const config = Path.join(host.paths.guestConfigDir, "lxc/100.conf")
        Fs.rmSync(config)
        yield* jobs.quiesced(runId)
        assert.match((yield* ended(jobs, runId)).error ?? "", /guest 100 is not on this node/)
        assert.deepStrictEqual(host.calls(), [])
        assert.isFalse(Fs.existsSync(runDirectory(host, runId)), "what was not used is removed")
      })
  )
})

describe("EngineVzdump: the wait for the host", () => {
  live("a lock on the guest: queued while it is there, and ready after", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.guest("lxc", 100, "lock: migrate\nrootfs: x\n")
      const { jobs } = yield* agentOf(host)
      const runId = yield* RunId.make
      yield* jobs.request(runId)
      yield* Effect.sleep("1300 millis")
      assert.strictEqual((yield* jobs.status(runId, -1, 0)).phase, "queued")
      // a snapshot that was taken under a lock has kept it
      host.guest("lxc", 100, "rootfs: x\n[vzdump]\nlock: old\n")
      assert.strictEqual((yield* until(jobs, runId, "ready")).phase, "ready")
      assert.deepStrictEqual(host.calls(), [])
    }))

  live("the lock of the host: queued while it is held, and ready after", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const holder = yield* lockHolder(host)
      const { jobs } = yield* agentOf(host)
      const runId = yield* RunId.make
      yield* jobs.request(runId)
      yield* Effect.sleep("1300 millis")
      assert.strictEqual((yield* jobs.status(runId, -1, 0)).phase, "queued")
      yield* holder.kill("SIGKILL")
      assert.strictEqual((yield* until(jobs, runId, "ready")).phase, "ready")
      // the look has given it back
      const other = yield* lockHolder(host)
      yield* other.kill("SIGKILL")
      yield* jobs.cancel(runId)
    }))

  live("what comes between ready and the call is a clear failure, at once", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const { jobs } = yield* agentOf(host)
      const runId = yield* begin(jobs)
      yield* lockHolder(host)
      yield* jobs.quiesced(runId)
      const [took, status] = yield* Effect.timed(ended(jobs, runId))
      assert.match(status.error ?? "", /another vzdump holds the lock of the host, since the moment/)
      assert.isBelow(Duration.toMillis(took), 1_000)
      assert.deepStrictEqual(host.calls(), [])
    }))

  live("a vzdump that takes the lock just before ours does", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const slow = Path.join(host.root, "bin/slow")
      Fs.writeFileSync(
        slow,
        `#!/bin/sh\nwhile [ ! -e '${host.root}/go' ]; do sleep 0.01; done\nexec '${host.paths.vzdump}' "$@"\n`,
        { mode: 0o755 }
      )
      const paths: VzdumpHost = { ...host.paths, vzdump: slow }
      const { jobs } = yield* agentOf(host, { host: paths })
      const runId = yield* begin(jobs)
      yield* jobs.quiesced(runId)
      yield* eventually("it is called", () => pidsOf(slow).length > 0)
      yield* lockHolder(host)
      Fs.writeFileSync(Path.join(host.root, "go"), "")
      assert.match((yield* ended(jobs, runId)).error ?? "", /another vzdump took the lock of the host/)
    }))
})

describe("EngineVzdump: the end of a backup that is not wanted", () => {
  live("while it waits: nothing is started, and nothing is left", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const { jobs } = yield* agentOf(host)
      const runId = yield* begin(jobs)
      yield* jobs.cancel(runId)
      assert.strictEqual((yield* ended(jobs, runId)).error, "cancelled")
      assert.deepStrictEqual(host.calls(), [])
      assert.isFalse(Fs.existsSync(runDirectory(host, runId)))
    }))

  live(
    "before the point: vzdump is asked to end, cleans up, and has ended when the cancel returns",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        host.control({ holdBefore: ["create storage snapshot"] })
        const { jobs } = yield* agentOf(host)
        const runId = yield* begin(jobs)
        yield* jobs.quiesced(runId)
        yield* until(jobs, runId, "running")
        yield* eventually("the guest is locked", () => host.guestText("lxc", 100).startsWith("lock: backup"))
        yield* jobs.cancel(runId)
        assert.strictEqual(host.callsOf("ended").length, 1)
        assert.notInclude(host.guestText("lxc", 100), "lock")
        assert.strictEqual((yield* ended(jobs, runId)).phase, "failed")
        host.go()
        assert.strictEqual((yield* whole(jobs)).phase, "done", "the next one is taken at once")
      })
  )

  live(
    "one that does not listen is killed with all of its session after the grace",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        host.control({ holdBefore: ["create storage snapshot"], deaf: true })
        const { jobs } = yield* agentOf(host)
        const runId = yield* begin(jobs)
        yield* jobs.quiesced(runId)
        yield* until(jobs, runId, "running")
        yield* eventually("the guest is locked", () => host.guestText("lxc", 100).startsWith("lock: backup"))
        yield* terminate(RunDirectory.at(host.stateDir, runId), "300 millis")
        yield* eventually("nothing runs any more", () => pidsOf(host.root).length === 0)
        assert.match((yield* ended(jobs, runId)).error ?? "", /vzdump ended without a result \(exit code 137\)/)
      })
  )

  live("once the point is taken the backup goes on", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: ["archive file size"] })
      const { jobs } = yield* agentOf(host)
      const runId = yield* begin(jobs)
      yield* jobs.quiesced(runId)
      yield* until(jobs, runId, "snapshotted")
      assert.match((yield* Effect.flip(jobs.cancel(runId))).message, /its snapshot exists/)
      host.go()
      assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
    }))
})

describe("EngineVzdump: a vzdump that dies", () => {
  const targets = ["command", "worker"] as const
  for (const target of targets) {
    live(`SIGKILL to the ${target}: failed, and no word of a success`, ["flock"], () =>
      Effect.gen(function*() {
        const host = yield* labHost
        host.control({ holdBefore: ["archive file size"] })
        const { jobs } = yield* agentOf(host)
        const runId = yield* begin(jobs)
        yield* jobs.quiesced(runId)
        yield* until(jobs, runId, "snapshotted")
        process.kill(host.callsOf(target === "command" ? "called" : "started")[0]?.pid ?? 0, "SIGKILL")
        const fiber = yield* Effect.fork(ended(jobs, runId))
        yield* Effect.sleep("100 millis")
        host.go()
        const status = yield* Fiber.join(fiber)
        assert.strictEqual(status.phase, "failed")
        assert.isDefined(status.times?.["snapshotted"])
        assert.match(status.error ?? "", /vzdump ended without a result|exit code/)
        yield* eventually("nothing runs any more", () => pidsOf(host.root).length === 0)
      }))
  }

  live(
    "a reader of its output that dies ends it: so the engine gives it none",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        host.control({ holdBefore: ["creating vzdump"], delay: 100 })
        const reader = yield* start([
          "bash",
          "-c",
          `'${host.paths.vzdump}' 100 --storage backup > >(while [ ! -e '${host.root}/enough' ]; do sleep 0.02; done) 2>&1 & wait $!; echo "ended $?"`
        ])
        yield* eventually("it holds", () => host.guestText("lxc", 100).startsWith("lock"))
        Fs.writeFileSync(Path.join(host.root, "enough"), "")
        yield* Effect.sleep("300 millis")
        host.go()
        yield* eventually("it has ended", () => /ended \d+/.test(reader.output()))
        yield* eventually("its worker has ended badly", () => host.callsOf("ended")[0]?.code === 255)
      })
  )

  live("a program that is not one: failed, with the exit code", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const { jobs } = yield* agentOf(host, { host: { ...host.paths, vzdump: "/no/such/vzdump" } })
      assert.match((yield* whole(jobs)).error ?? "", /exit code 127/)
    }))
})

describe("EngineVzdump: how fast", () => {
  live("from the line of the point to snapshotted", ["flock"], () =>
    Effect.gen(function*() {
      const took: Array<number> = []
      const host = yield* labHost
      host.control({ stamps: true, delay: 5 })
      const { jobs } = yield* agentOf(host)
      for (let round = 0; round < 25; round++) {
        Fs.rmSync(Path.join(host.root, "calls.jsonl"), { force: true })
        const runId = yield* begin(jobs)
        yield* jobs.quiesced(runId)
        yield* until(jobs, runId, "snapshotted")
        const seen = performance.timeOrigin + performance.now()
        yield* eventually("the stamp is written", () => host.callsOf("line").length > 0)
        took.push(seen - (host.callsOf("line")[0]?.at ?? 0))
        yield* ended(jobs, runId)
      }
      took.sort((a, b) => a - b)
      yield* Effect.logInfo(`median ${took[12]?.toFixed(1)} ms, worst ${took[24]?.toFixed(1)} ms`)
      // on a machine that is busy with other tests; a poll alone would take 50 ms and more
      assert.isBelow(took[12] ?? 0, 30)
    }))
})

describe("EngineVzdump: before a backup", () => {
  live("offers what is known, and refuses what cannot work", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const offer = (options: Partial<EngineVzdump.EngineVzdumpOptions> = {}) =>
        Effect.flatMap(engineOf(host, options), ({ preflight }) => preflight)
      assert.deepStrictEqual(yield* offer(), { mode: undefined, snapshotter: "vzdump", notes: [] })
      assert.strictEqual((yield* offer({ vmid: 200 })).mode, "snapshot")
      assert.match((yield* offer({ mode: "stop" })).notes.join(), /recover/)
      const refusal = (options: Partial<EngineVzdump.EngineVzdumpOptions>) =>
        Effect.map(Effect.flip(offer(options)), ({ message }) => message)
      assert.match(yield* refusal({ vmid: 555 }), /guest 555 is not on this node/)
      assert.match(yield* refusal({ vmid: 1 }), /vmid: expected the id of a guest/)
      assert.match(yield* refusal({ storage: "--stop" }), /storage: expected a name/)
      assert.match(yield* refusal({ host: { ...host.paths, vzdump: "/no/vzdump" } }), /is this a Proxmox VE host/)
      assert.deepStrictEqual(Fs.readdirSync(host.stateDir), [], "nothing is left behind")
    }))

  live("old run directories go, but for the newest and those at work", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: ["archive file size"] })
      const { jobs } = yield* agentOf(host)
      const runId = yield* begin(jobs)
      yield* jobs.quiesced(runId)
      yield* until(jobs, runId, "snapshotted")
      const engine = yield* engineOf(host, { vmid: 101 })
      const newer: Array<string> = []
      for (let n = 0; n < 14; n++) {
        yield* Effect.sleep("2 millis")
        const name = yield* RunId.make
        newer.push(name)
        Fs.mkdirSync(runDirectory(host, name), { recursive: true })
        // one that may be about to start, and the others have ended
        if (n !== 1) Fs.symlinkSync("given up", runDirectory(host, name, "process"))
      }
      Fs.mkdirSync(Path.join(host.stateDir, "vzdump", "of somebody"))
      const removed = yield* engine.sweep
      assert.deepStrictEqual(
        [...removed].sort(),
        [newer[0], newer[2], newer[3]].map((name) => runDirectory(host, `${name}`)).sort()
      )
      assert.isTrue(Fs.existsSync(runDirectory(host, runId)))
      assert.isTrue(Fs.existsSync(runDirectory(host, `${newer[1]}`)))
      assert.isTrue(Fs.existsSync(Path.join(host.stateDir, "vzdump", "of somebody")))
      host.go()
      assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
    }))
})
