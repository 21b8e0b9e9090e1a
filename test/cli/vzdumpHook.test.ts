import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { serve } from "../../src/internal/vzdump/hookServer.ts"
import { agentOf, begin, ended, until, whole } from "../lab/vzdump/drive.ts"
import { type LabHost, labHost } from "../lab/vzdump/host.ts"
import { eventually, start } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const bin = Path.resolve("dist/bin.js")

/** The command with an environment as empty as vzdump makes it. */
const hook = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [bin, "vzdump-hook", ...args], {
    env: {},
    cwd: "/",
    encoding: "utf8"
  })
  return { status, stdout, stderr }
}

/** Makes the wrapper the hook of the host; answers with its file. */
const install = (host: LabHost, ...args: ReadonlyArray<string>) => {
  const file = Path.join(host.root, "it's the hook")
  const written = hook("--socket", Path.join(host.root, "agent/hook.sock"), ...args, "--write", file)
  assert.strictEqual(written.status, 0, written.stderr)
  Fs.writeFileSync(Path.join(host.root, "vzdump.conf"), `tmpdir: /tmp\nscript: ${file}\n`)
  return file
}

/** A host whose vzdump calls the hook, with an agent for guest 100. */
const hooked = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const host = yield* labHost
    const agent = yield* agentOf(host)
    const socket = Path.join(host.root, "agent/hook.sock")
    yield* serve({ socket, host: host.paths, guests: new Map([[100, agent.jobs]]) })
    install(host, ...args)
    const backup = start([host.paths.vzdump, "100", "--mode", "snapshot", "--storage", "backup"])
    return { host, jobs: agent.jobs, socket, backup }
  })

const statusesOf = (host: LabHost) => host.callsOf("hook").map(({ phase, status }) => `${phase} ${status}`)

const allWell = [
  "job-init 0",
  "job-start 0",
  "backup-start 0",
  "pre-stop 0",
  "pre-restart 0",
  "post-restart 0",
  "backup-end 0",
  "job-end 0"
]

describe("quiesce vzdump-hook", () => {
  live("needs no configuration, and does something in one phase only", [], () =>
    Effect.sync(() => {
      for (const args of [["job-init"], ["job-start"], ["pre-stop", "snapshot", "100"], ["of-tomorrow", "x", "y"]]) {
        assert.deepStrictEqual(hook(...args), { status: 0, stdout: "", stderr: "" })
      }
      const off = hook("backup-start", "stop", "100")
      assert.deepStrictEqual([off.status, off.stderr], [0, ""])
      assert.match(off.stdout, /^quiesce: guest 100 is off, or is shut down for this backup/)
    }))

  live(
    "without an agent it says so, and goes on, or does not as the admin has chosen",
    [],
    () =>
      Effect.gen(function*() {
        const { root } = yield* labHost
        const socket = Path.join(root, "no.sock")
        const goesOn = hook("backup-start", "snapshot", "100", "--socket", socket)
        assert.strictEqual(goesOn.status, 0)
        assert.match(goesOn.stdout, /^quiesce: nobody could be asked for guest 100: .*: going on, the backup is crash-/)
        const fails = hook("backup-start", "snapshot", "100", "--socket", socket, "--without-answer", "fail")
        assert.strictEqual(fails.status, 1)
        assert.match(fails.stdout, /this guest is left out of the backup\n$/)
        // a socket that was left by a dead agent
        const dead = spawnSync(process.execPath, [
          "-e",
          `require("net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 9))`
        ])
        assert.strictEqual(dead.signal, "SIGKILL")
        assert.match(hook("backup-start", "snapshot", "100", "--socket", socket).stdout, /the agent does not run/)
      })
  )

  live("says what is wrong with the call", [], () =>
    Effect.sync(() => {
      const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [[], /the argument PHASE is missing/],
        [["backup-start", "snapshot", "x"], /'x' is not the id of a guest/],
        [["backup-start", "snapshot", "100", "--timeout", "soon"], /'soon' is no duration/],
        [["job-init", "--without-answer", "hang"], /continue or fail, not 'hang'/]
      ]
      for (const [args, problem] of wrong) {
        const { status, stderr } = hook(...args)
        assert.strictEqual(status, 2)
        assert.match(stderr, problem)
      }
    }))

  live("writes a program that vzdump can call, over its own only", [], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      const file = install(host, "--timeout", "1s")
      assert.strictEqual(Fs.statSync(file).mode & 0o777, 0o755)
      assert.deepStrictEqual(
        Fs.readFileSync(file, "utf8").split("\n").slice(0, 3),
        ["#!/bin/sh", "# Written by: quiesce vzdump-hook --write", "[ \"$1\" = backup-start ] || exit 0"]
      )
      const call = (...args: ReadonlyArray<string>) => spawnSync(file, args, { env: {}, cwd: "/", encoding: "utf8" })
      // of all phases but one, node knows nothing
      const withoutNode = Path.join(host.root, "without node")
      Fs.writeFileSync(withoutNode, Fs.readFileSync(file, "utf8").replaceAll(process.execPath, "/nowhere/node"), {
        mode: 0o755
      })
      const calls = ["pre-stop", "backup-start"].map((phase) =>
        spawnSync(withoutNode, [phase, "snapshot", "100"], { encoding: "utf8" })
      )
      assert.deepStrictEqual(calls.map(({ status }) => status), [0, 0])
      assert.deepStrictEqual(calls.map(({ stderr }) => stderr.includes("/nowhere/node")), [false, true])
      assert.match(call("backup-start", "snapshot", "100").stdout, /nobody could be asked for guest 100/)
      install(host, "--without-answer", "fail")
      assert.strictEqual(call("backup-start", "snapshot", "100").status, 1)
      assert.strictEqual(call("backup-end", "snapshot", "100").status, 0)
      const other = Path.join(host.root, "other")
      Fs.writeFileSync(other, "#!/bin/sh\necho mine\n")
      const refused = hook("--write", other)
      assert.strictEqual(refused.status, 7)
      assert.match(refused.stderr, /a file that this command did not write is there/)
      assert.strictEqual(Fs.readFileSync(other, "utf8"), "#!/bin/sh\necho mine\n")
      assert.match(hook("--write", "/no/such/dir/file").stderr, /\/no\/such\/dir\/file/)
    }))
})

describe("quiesce vzdump-hook, called by a vzdump", () => {
  live("the guest is quiet at the point in time, and knows when it is over", ["flock"], () =>
    Effect.gen(function*() {
      const { backup, host, jobs } = yield* hooked()
      const app = Path.join(host.root, "app")
      Fs.writeFileSync(app, "up")
      host.control({ atPoint: `cp '${app}' '${app}.snapshot'` })
      const controller = yield* Effect.fork(Effect.gen(function*() {
        const runId = Option.getOrThrow(yield* jobs.asked("10 seconds"))
        yield* jobs.request(runId)
        yield* until(jobs, runId, "ready")
        yield* Effect.sync(() => Fs.writeFileSync(app, "down"))
        yield* jobs.quiesced(runId)
        yield* until(jobs, runId, "snapshotted")
        yield* Effect.sync(() => Fs.writeFileSync(app, "up"))
        return yield* ended(jobs, runId)
      }))
      yield* Effect.sleep("50 millis")
      const vzdump = yield* backup
      const status = yield* controller
      assert.strictEqual(status.phase, "done", status.error)
      yield* vzdump.ended
      assert.strictEqual(vzdump.process.exitCode, 0)
      assert.strictEqual(Fs.readFileSync(`${app}.snapshot`, "utf8"), "down")
      assert.include(vzdump.output(), `INFO: quiesce: guest 'web' is quiet (run ${status.runId})\n`)
      assert.deepStrictEqual(statusesOf(host), allWell)
    }))

  live(
    "nobody listens: the backup goes on at once, and says what it is worth",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const { backup, host } = yield* hooked()
        const vzdump = yield* backup
        const [took] = yield* Effect.timed(vzdump.ended)
        assert.isBelow(Duration.toMillis(took), 5_000)
        assert.match(
          vzdump.output(),
          /INFO: quiesce: guest 'web' is not quiet: no controller .*: going on, the backup is crash-consistent at best\n/
        )
        assert.strictEqual(vzdump.process.exitCode, 0)
        assert.deepStrictEqual(statusesOf(host), allWell)
      })
  )

  live("nobody answers in time: the backup goes on, and the question is void", ["flock"], () =>
    Effect.gen(function*() {
      const { backup, jobs } = yield* hooked("--timeout", "500ms")
      yield* Effect.fork(jobs.asked("10 seconds"))
      yield* Effect.sleep("50 millis")
      const vzdump = yield* backup
      yield* vzdump.ended
      assert.match(
        vzdump.output(),
        /INFO: quiesce: nobody answered for guest 100 within 500ms: going on, the backup is crash-consistent at best\n/
      )
      assert.strictEqual(vzdump.process.exitCode, 0)
      assert.deepStrictEqual((yield* jobs.list).map(({ phase }) => phase), ["failed"])
    }))

  live("with 'fail' a guest that is not quiet is left out", ["flock"], () =>
    Effect.gen(function*() {
      const { backup, host } = yield* hooked("--without-answer", "fail")
      const vzdump = yield* backup
      yield* vzdump.ended
      assert.strictEqual(vzdump.process.exitCode, 255)
      assert.match(vzdump.output(), /ERROR: Backup of VM 100 failed - command '.*backup-start.*' failed: exit code 1/)
      assert.notInclude(vzdump.output(), "creating vzdump archive")
      assert.notInclude(host.guestText("lxc", 100), "lock:")
    }))

  live("the hook is killed: the question is void, and the backup has failed", ["flock"], () =>
    Effect.gen(function*() {
      const { backup, host, jobs } = yield* hooked()
      yield* Effect.fork(jobs.asked("10 seconds"))
      yield* Effect.sleep("50 millis")
      const vzdump = yield* backup
      const hooks = () =>
        Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) => {
          try {
            const words = Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")
            return words.includes(host.root) && words.includes("backup-start")
          } catch {
            return false
          }
        })
      yield* eventually("the guest is asked", () => hooks().length === 2)
      yield* Effect.repeat(Effect.delay(jobs.list, "10 millis"), { until: (all) => all.length > 0 })
      for (const pid of hooks()) process.kill(Number(pid), "SIGKILL")
      yield* vzdump.ended
      assert.strictEqual(vzdump.process.exitCode, 255)
      // the agent learns of it when the connection closes
      const [first] = yield* Effect.repeat(Effect.delay(jobs.list, "10 millis"), {
        until: ([status]) => status?.phase === "failed",
        times: 500
      })
      assert.strictEqual(first?.phase, "failed")
      yield* jobs.cancel(yield* begin(jobs))
    }))

  live("a backup that the guest has asked for is not held up", ["flock"], () =>
    Effect.gen(function*() {
      const { host, jobs } = yield* hooked()
      const status = yield* whole(jobs)
      assert.strictEqual(status.phase, "done", status.error)
      assert.deepStrictEqual(statusesOf(host), allWell)
      const log = Fs.readFileSync(Path.join(host.stateDir, "vzdump", status.runId, "log"), "utf8")
      assert.include(log, `INFO: quiesce: guest 'web' is quiet (run ${status.runId})\n`)
    }))
})
