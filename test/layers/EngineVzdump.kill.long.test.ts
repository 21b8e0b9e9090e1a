import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import { agentOf, ended, until } from "../lab/vzdump/drive.ts"
import { type LabHost, labHost } from "../lab/vzdump/host.ts"
import { live } from "../support/live.ts"
import { alive, eventually, start } from "./fixtures/support.ts"

/** An agent of a process of its own, that has died at this place. */
const deadAgent = Effect.fnUntraced(function*(host: LabHost, dieAt: string) {
  const outfile = Path.join(host.root, "agent.mjs")
  yield* Effect.promise(() =>
    build({
      entryPoints: [new URL("../lab/vzdump/agentProcess.ts", import.meta.url).pathname],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      logLevel: "error",
      banner: { js: "import{createRequire as __r}from\"node:module\";const require=__r(import.meta.url);" }
    })
  )
  const runId = yield* RunId.make
  const task = { runId, stateDir: host.stateDir, host: host.paths, dieAt }
  const agent = yield* start([process.execPath, outfile, JSON.stringify(task)])
  yield* Effect.timeout(agent.ended, "15 seconds")
  assert.strictEqual(agent.process.signalCode, "SIGKILL", agent.output())
  return runId
})

/** The process of the command, as the run directory has it. */
const vzdumpOf = (host: LabHost, runId: RunId.RunId) =>
  Number.parseInt(Fs.readlinkSync(Path.join(host.stateDir, "vzdump", runId, "process")), 10)

const sessionOf = (pid: number) =>
  Number(Fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[3])

describe("EngineVzdump: the agent is killed", () => {
  for (const dieAt of ["before remember", "after remember", "before spawn"]) {
    live(`${dieAt}: nothing was started, and nothing is`, ["flock"], () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const runId = yield* deadAgent(host, dieAt)
        const { jobs } = yield* agentOf(host)
        const status = yield* ended(jobs, runId)
        assert.strictEqual(status.phase, "failed")
        assert.match(status.error ?? "", /the agent ended before vzdump was started/)
        yield* Effect.sleep("300 millis")
        assert.deepStrictEqual(host.calls(), [])
      }))
  }

  const boundaries = ["after spawn", "running", "snapshotted", "before end", "after end"]
  for (const dieAt of boundaries) {
    for (
      const [log, outcome] of [["run-lxc-snapshot-1vol-ok", "done"], ["run-lxc-archive-failed", "failed"]] as const
    ) {
      live(
        `${dieAt}: the backup goes on, and has ${outcome} for the next agent`,
        ["flock"],
        () =>
          Effect.gen(function*() {
            const host = yield* labHost
            host.control({ log, delay: 20 })
            const runId = yield* deadAgent(host, dieAt)
            if (dieAt.startsWith("after spawn") || dieAt === "running" || dieAt === "snapshotted") {
              assert.strictEqual(host.callsOf("ended").length, 0, "the agent must have died before the end")
            }
            // an agent that comes before the shell has become vzdump gives it up, and nothing is started
            const link = Path.join(host.stateDir, "vzdump", runId, "process")
            yield* eventually("it is vzdump", () => Fs.readdirSync(Path.dirname(link)).includes("process"))
            const { jobs } = yield* agentOf(host)
            const status = yield* ended(jobs, runId)
            assert.strictEqual(status.phase, outcome, status.error)
            assert.isDefined(status.times?.["snapshotted"])
            assert.strictEqual(status.effectiveMode, "snapshot")
            if (outcome === "done") {
              assert.match(status.artifact ?? "", /vzdump-lxc-100-.*\.tar\.zst$/)
            } else assert.match(status.error ?? "", /exit code 2/)
            assert.strictEqual(host.callsOf("called").length, 1)
            // a failure is told before vzdump has cleaned up
            yield* eventually("vzdump has ended", () => host.callsOf("ended").length === 1)
          })
      )
    }
  }

  live(
    "three agents in turn, each killed or closed, and the log is told from its first line",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        host.control({ holdBefore: ["creating vzdump", "archive file size"] })
        const runId = yield* deadAgent(host, "running")
        const second = yield* agentOf(host)
        assert.strictEqual((yield* until(second.jobs, runId, "running")).phase, "running")
        yield* second.close
        host.go(0)
        const third = yield* agentOf(host)
        assert.strictEqual((yield* until(third.jobs, runId, "snapshotted")).phase, "snapshotted")
        yield* third.close
        host.go(1)
        const { jobs } = yield* agentOf(host)
        assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
        assert.strictEqual(host.callsOf("called").length, 1)
      })
  )

  live("the exit code is lost: the log of the task says how it ended", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: ["creating vzdump"] })
      const runId = yield* deadAgent(host, "running")
      const { jobs } = yield* agentOf(host)
      yield* until(jobs, runId, "running")
      const vzdump = vzdumpOf(host, runId)
      yield* eventually("the UPID is known", () => Fs.existsSync(Path.join(host.stateDir, "vzdump", runId, "upid")))
      process.kill(sessionOf(vzdump), "SIGKILL")
      host.go()
      const status = yield* ended(jobs, runId)
      assert.strictEqual(status.phase, "done", status.error)
      assert.isFalse(Fs.existsSync(Path.join(host.stateDir, "vzdump", runId, "exit")))
    }))

  live("the exit code and the task are lost: never a success", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: ["Backup job finished"] })
      const runId = yield* deadAgent(host, "snapshotted")
      yield* eventually("it has finished but for its end", () => host.guestText("lxc", 100).includes("lock") === false)
      const vzdump = vzdumpOf(host, runId)
      Fs.writeFileSync(host.paths.pidFile, "")
      Fs.rmSync(Path.join(host.stateDir, "vzdump", runId, "upid"), { force: true })
      process.kill(sessionOf(vzdump), "SIGKILL")
      process.kill(vzdump, "SIGKILL")
      host.go()
      const { jobs } = yield* agentOf(host)
      const status = yield* ended(jobs, runId)
      assert.strictEqual(status.phase, "failed")
      assert.match(status.error ?? "", /nobody knows how it ended/)
    }))

  live("an agent that is closed leaves its backup alone", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: ["creating vzdump"] })
      const runId = yield* RunId.make
      const first = yield* agentOf(host)
      yield* first.jobs.request(runId)
      yield* until(first.jobs, runId, "ready")
      yield* first.jobs.quiesced(runId)
      yield* until(first.jobs, runId, "running")
      yield* first.close
      assert.isTrue(alive(vzdumpOf(host, runId)))
      assert.notStrictEqual(sessionOf(vzdumpOf(host, runId)), sessionOf(process.pid))
      host.go()
      const { jobs } = yield* agentOf(host)
      assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
    }))
})
