/**
 * A daemon that takes one backup after the other, over TLS and a network that does what it wants, from an agent that is
 * killed now and then. QUIESCE_CYCLES: how many backups. QUIESCE_SEED: another course of events.
 */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Either, Schema } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { Report } from "../../src/domain/Report.ts"
import type { AgentWatchTask } from "../lab/agentWatchProcess.ts"
import type { Fault } from "../lab/chaosProxy.ts"
import { live } from "../support/live.ts"
import * as AgentSite from "./agentSite.ts"
import * as Hooks from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"
import * as Traces from "./traces.ts"

const cycles = Number(process.env["QUIESCE_CYCLES"] ?? 40)
const seed = Number(process.env["QUIESCE_SEED"] ?? 1)

/** mulberry32: from 0 to 1. */
const randomOf = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Megabytes of memory that the process has. */
const memoryOf = (pid: number) => {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return Number(kilobytes) / 1024
}

/** The engine's own journal: what it read, and whether another transfer was at work. */
const transfer = `
exec 9>>lock
flock -n 9 || echo "overlap $QUIESCE_RUN_ID -" >> engine
echo "begin $QUIESCE_RUN_ID $(cat "$1/state")" >> engine
sleep 0.05
echo "end $QUIESCE_RUN_ID -" >> engine
`

const decode = Schema.decodeUnknownEither(Schema.parseJson(Report))

/** The daemon as a child process, and what its runs have reported. */
const start = (program: string, guest: AgentSite.Guest) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const ended = yield* Deferred.make<number | null>()
      const task: AgentWatchTask = { config: guest.config, bin: Quiesce.bin }
      const child = ChildProcess.spawn(process.execPath, [program, JSON.stringify(task)], {
        cwd: guest.directory,
        env: { PATH: guest.hooks.path, HOME: "/nonexistent", LANG: "C.UTF-8" },
        stdio: ["ignore", "pipe", "pipe"]
      })
      const reports: Array<Report> = []
      const told: Array<string> = []
      let stderr = ""
      child.stderr.on("data", (chunk: Buffer) => void (stderr += chunk.toString("utf8")))
      ReadLine.createInterface({ input: child.stdout }).on("line", (line) => {
        told.push(line)
        const report = decode(line)
        if (Either.isRight(report)) reports.push(report.right)
      })
      child.once("close", (code) => Deferred.unsafeDone(ended, Effect.succeed(code)))
      return {
        pid: child.pid ?? 0,
        end: () => void child.kill("SIGTERM"),
        ended: Deferred.await(ended),
        reports,
        told,
        stderr: () => stderr
      }
    }),
    ({ ended, pid }) => Effect.zipRight(Effect.sync(() => isAlive(pid) && process.kill(pid, "SIGKILL")), ended)
  )

const isAlive = (pid: number) => Fs.existsSync(`/proc/${pid}/status`)

describe("many backups in a row", () => {
  live(`${cycles} of them`, ["flock"], () =>
    Effect.gen(function*() {
      const random = randomOf(seed)
      const between = (least: number, most: number) => Math.round(least + random() * (most - least))
      const site = yield* AgentSite.make({
        guests: [{
          transfer: { command: ["sh", "-c", transfer, "transfer", "{snapshot}"] },
          maxDowntime: "3s",
          limits: { agentTimeout: "1s", agentPatience: "6s", deadline: "30s", pollInterval: "50ms" },
          watch: { requests: true, retry: { window: "5s", minDelay: "100ms", maxDelay: "500ms" } }
        }],
        agent: { readyTimeout: "4s" }
      })
      const guest = AgentSite.only(site)
      const program = yield* AgentSite.bundle("agentWatchProcess", site.root)
      const daemon = yield* start(program, guest)

      const faults: ReadonlyArray<() => readonly [Fault, millis: number]> = [
        () => [{ kind: "delay", millis: between(20, 300) }, between(200, 1_000)],
        () => [{ kind: "reset" }, between(1, 200)],
        () => [{ kind: "drop" }, between(100, 1_500)],
        () => [{ kind: "drop", way: "down" }, between(100, 700)],
        () => [{ kind: "cut", way: "down", after: between(0, 4_000) }, between(50, 500)],
        () => [{ kind: "cut", way: "up", after: between(0, 2_000) }, between(50, 500)],
        () => [{ kind: "half-close", way: "up" }, between(50, 300)],
        () => [{ kind: "refuse" }, between(50, 900)],
        () => [{ kind: "garbage" }, between(50, 300)]
      ]
      const kills = new Set([Math.floor(cycles / 5), Math.floor(cycles / 3)])
      const memory: Array<readonly [cycle: number, daemon: number, agent: number]> = []
      let rounds = 0
      while (daemon.reports.length < cycles && isAlive(daemon.pid)) {
        const [fault, millis] = faults[rounds++ % faults.length]?.() ?? assert.fail()
        yield* Effect.sleep(between(100, 1_600))
        yield* guest.proxy.set(fault)
        yield* Effect.sleep(millis)
        yield* guest.proxy.set({ kind: "pass" })
        const cycle = daemon.reports.length
        if (kills.delete(cycle) || [...kills].some((at) => at < cycle && kills.delete(at))) {
          yield* site.kill9
          yield* Effect.sleep(between(0, 500))
          yield* site.restart
        }
        memory.push([cycle, memoryOf(daemon.pid), memoryOf(site.agent().pid)])
      }
      yield* Effect.sleep("1 second")
      daemon.end()
      const code = yield* daemon.ended
      assert.include([0, 130, 143], code, daemon.stderr())

      // at rest
      yield* Hooks.eventually("the app is up", guest.isUp)
      assert.deepStrictEqual(Traces.markers(guest), [])
      yield* AgentSite.settled(site)

      // honest
      const { reports } = daemon
      const engine = Fs.readFileSync(Path.join(site.root, "host", "engine"), "utf8").trimEnd().split("\n").map((line) =>
        line.split(" ")
      )
      const inEngine = (what: string, runId: string) =>
        engine.filter(([word, id]) => word === what && id === runId).map(([, , state]) => state)
      assert.deepStrictEqual(engine.filter(([what]) => what === "overlap"), [])
      for (const report of reports) {
        const { consistency, outcome, runId } = report
        const seen = JSON.stringify(report)
        if (consistency.level === "application") assert.deepStrictEqual(inEngine("begin", runId), ["clean"], seen)
        if (outcome === "ok" || outcome === "ok-degraded") assert.lengthOf(inEngine("end", runId), 1, seen)
        assert.isAtMost(inEngine("begin", runId).length, 1, `two backups for one run: ${seen}`)
        assert.notStrictEqual(outcome, "resume-failed", seen)
      }
      const downs = AgentSite.downtimes(guest)
      const counts = (words: ReadonlyArray<string>) =>
        [...new Set(words)].map((word) => `${words.filter((other) => other === word).length} ${word}`).join(", ")
      console.log([
        `${reports.length} runs: ${counts(reports.map(({ outcome }) => outcome))}`,
        `${counts(guest.proxy.journal().map(({ what }) => what))} on the network, seed ${seed}`,
        `down ${downs.length} times, for ${Math.max(...downs)} ms at most`,
        `memory of daemon and agent in MB: ${
          memory.filter((_, index) => index % Math.ceil(memory.length / 8) === 0).map(([at, daemon, agent]) =>
            `${at}: ${daemon.toFixed(0)} ${agent.toFixed(0)}`
          ).join("; ")
        }`
      ].join("\n"))
      assert.isAtLeast(reports.filter(({ outcome }) => outcome === "ok").length, cycles / 4)
      assert.isBelow(Math.max(...downs), 12_000)
      // the agent was killed in the first third of them
      const after = memory.filter(([cycle]) => cycle > cycles / 2)
      const [before, last] = [after[0], after.at(-1)]
      assert.isBelow((last?.[1] ?? 0) - (before?.[1] ?? 0), 60, "the memory of the daemon grows")
      assert.isBelow((last?.[2] ?? 0) - (before?.[2] ?? 0), 60, "the memory of the agent grows")
    }), 600_000)
})
