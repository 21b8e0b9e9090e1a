/**
 * kill -9 of the agent at every boundary of a backup: the app is up, nothing is left behind, and nothing is called done
 * that is not. A killed agent is started again at once, as systemd would.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Scope } from "effect"
import * as Path from "node:path"
import { afterAll } from "vitest"
import type { RunEvent } from "../../src/domain/Report.ts"
import * as AgentSite from "./agentSite.ts"
import * as Hooks from "./hooks.ts"
import * as Inject from "./inject.ts"
import * as Traces from "./traces.ts"

const needs = ["tar", "zstd", "flock", "btrfs", "mount"] as const

/** How long the app may be down when its agent dies and comes back. */
const promised = 15_000

interface Kill {
  readonly name: string
  /** A hook of the agent's tools, from the stop of the app on. */
  readonly tool?: readonly [point: string, text: string]
  /** The agent dies after this event. */
  readonly after?: (event: RunEvent) => boolean
  /** The agent dies when this request has come, or when its answer has left. */
  readonly request?: readonly [text: string, when: "before" | "after"]
}

const done: Array<string> = []
afterAll(() => console.log(`${done.length} kills of an agent:\n${done.join("\n")}`))

const kill9 = "kill -9 $quiesce"

/** Kills the agent in a run, and checks all that must be so when both have come to rest. */
const survive = Effect.fnUntraced(function*(site: AgentSite.Site, kill: Kill) {
  const guest = AgentSite.only(site)
  const agent = site.agent()
  const die = () => agent.signal("SIGKILL")
  guest.hooks.disarm()
  site.hooks.disarm()
  if (kill.tool !== undefined) guest.hooks.arm("stop.after", AgentSite.armed(site, ...kill.tool))
  if (kill.request !== undefined) {
    const [text, when] = kill.request
    guest.proxy.once(text, when === "before" ? { kind: "reset" } : { kind: "cut", way: "down", after: 0 }, die)
  }
  const stops = AgentSite.downtimes(guest).length
  const run = yield* guest.start(["run", "--json"], {
    onEvent: (event) => kill.after?.(event) === true ? die() : undefined
  })
  const killed = yield* Effect.raceFirst(
    Effect.as(agent.ended, true),
    Effect.as(Effect.delay(run.ended, "1 second"), false)
  )
  if (killed) yield* site.restart
  const ended = yield* run.ended
  const report = yield* AgentSite.judged(guest, ended)
  yield* AgentSite.settled(site)
  const job = guest.jobs().find(({ runId }) => runId === report.runId)
  const seen = `${kill.name}: ${report.outcome}, ${report.error ?? "no error"}; the agent: ${job?.status.phase} ` +
    `${job?.status.error ?? ""}\n${agent.log()}${ended.stderr}`
  assert.isTrue(killed, seen)
  assert.include(["ok", "backup-failed", "refused"], report.outcome, seen)
  if (report.outcome !== "ok") assert.notStrictEqual(job?.status.phase, "done", seen)
  const downs = AgentSite.downtimes(guest).slice(stops)
  assert.isAtMost(downs.length, 1, "the app was stopped twice")
  assert.isBelow(downs[0] ?? 0, promised, seen)
  done.push(`  ${kill.name}: ${report.outcome}${downs[0] === undefined ? "" : `, down for ${downs[0]} ms`}`)
  return { ended, report, job, down: downs[0] }
})

const isPhase = (phase: string) => (event: RunEvent) => event.type === "phase" && event.phase === phase
const isState = (state: string) => (event: RunEvent) => event.type === "stack" && event.state === state

describe("kill -9 of the agent", () => {
  AgentSite.live("when a request has come, and when its answer is about to leave", needs, () =>
    Effect.gen(function*() {
      const site = yield* AgentSite.make({ guests: [{ via: "socket", snapshot: "btrfs" }] })
      const guest = AgentSite.only(site)
      const requests = [
        "GET /v1/health",
        "POST /v1/backups HTTP",
        "GET /v1/backups/",
        "/prepare HTTP",
        "/quiesced HTTP"
      ]
      for (const text of requests) {
        for (const when of ["before", "after"] as const) {
          const { report } = yield* survive(site, { name: `${when} ${text}`, request: [text, when] })
          if (text === "GET /v1/health") assert.strictEqual(report.exitCode, 7)
          // it is asked again, and there is one backup
          if (text === "POST /v1/backups HTTP") assert.strictEqual(report.exitCode, 0, when)
        }
      }
      // once the backup was asked for, there is one for each run
      const asked = guest.jobs().map(({ runId }) => runId)
      assert.strictEqual(new Set(asked).size, asked.length)
      yield* AgentSite.good(site, guest)
      yield* AgentSite.settled(site)
    }))

  AgentSite.live("at each of its phases", needs, () =>
    Effect.gen(function*() {
      const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs" }] })
      const phases = ["queued", "ready", "running", "snapshotted"].map((phase) => [phase, isPhase(phase)] as const)
      const states = ["stopping", "stopped", "starting", "running"].map((state) =>
        [`the app is '${state}'`, isState(state)] as const
      )
      const progress = ["the transfer", (event: RunEvent) => event.type === "progress"] as const
      for (const [name, after] of [...phases, ...states, progress]) {
        // a phase that is over at once may not be seen
        const seen: Pick<Kill, "tool"> = name === "running" ? { tool: ["btrfs.before", "sleep 1"] } : {}
        const { report } = yield* survive(site, { name, after, ...seen })
        if (name === "snapshotted" || name === "the transfer") assert.strictEqual(report.exitCode, 1, name)
      }
      yield* AgentSite.good(site, AgentSite.only(site))
      yield* AgentSite.settled(site)
    }))

  AgentSite.live("while it takes the snapshot, reads it, and drops it", needs, () =>
    Effect.gen(function*() {
      const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs" }] })
      const later = (point: string) => `arm ${point} "kill -9 \\$quiesce"`
      const tools: ReadonlyArray<readonly [string, string, string]> = [
        ["before the snapshot", "btrfs.before", kill9],
        ["beside the snapshot", "btrfs.during", kill9],
        ["after the snapshot", "btrfs.after", kill9],
        ["before the transfer", "tar.before", kill9],
        ["in the transfer", "tar.during", kill9],
        ["after the transfer", "tar.after", kill9],
        ["before the drop", "tar.after", later("btrfs.before")],
        ["after the drop", "tar.after", later("btrfs.after")]
      ]
      for (const [name, point, text] of tools) {
        const { report } = yield* survive(site, { name, tool: [point, text] })
        if (point !== "tar.after") assert.strictEqual(report.exitCode, 1, name)
      }
      yield* AgentSite.good(site, AgentSite.only(site))
      yield* AgentSite.settled(site)
    }))

  AgentSite.live(
    "at a system call that makes its journal or its archive durable",
    [...needs, "strace", "root"],
    () =>
      Effect.gen(function*() {
        const site = yield* AgentSite.make({
          guests: [{ snapshot: "btrfs" }],
          env: { UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" }
        })
        const guest = AgentSite.only(site)
        const output = Path.join(site.root, "trace")
        // only the first backup makes directories, and syncs them from above
        yield* AgentSite.good(site, guest)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Inject.trace(site.agent().pid, { paths: [], output })
          yield* AgentSite.good(site, guest)
        }))
        const calls = Inject.read(output).filter(({ call }) => call === "rename" || call === "fsync")
        const renames = calls.filter(({ call }) => call === "rename")
        assert.isAtLeast(renames.length, 5, "four of the journal and one of the archive")
        // before a rename the old is durable, after it the new
        const chosen = calls.filter(({ call, nth }) => call === "rename" || nth % 3 === 0)
        const scope = yield* Effect.scope
        for (const { call, line, nth } of chosen) {
          const name = `before ${line.replaceAll(site.root, "").slice(0, 100)}`
          yield* Effect.scoped(Effect.gen(function*() {
            yield* Inject.trace(site.agent().pid, { paths: [], output, kill: { call, nth } })
            // its new agent lives longer than the trace
            yield* Scope.extend(survive(site, { name }), scope)
          }))
        }
        yield* AgentSite.good(site, guest)
        yield* AgentSite.settled(site)
      }),
    150_000
  )

  AgentSite.live("while it starts, again and again", needs, () =>
    Effect.gen(function*() {
      const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs", limits: { agentPatience: "40s" } }] })
      const guest = AgentSite.only(site)
      guest.hooks.arm("stop.after", AgentSite.armed(site, "tar.during", kill9))
      const run = yield* guest.start(["run", "--json"])
      yield* site.agent().ended
      for (const millis of [100, 300, 450, 600, 800]) {
        yield* Effect.scoped(Effect.timeoutOption(site.restart, millis))
      }
      yield* site.restart
      const ended = yield* run.ended
      const report = yield* AgentSite.judged(guest, ended)
      assert.deepStrictEqual([ended.code, report.outcome], [1, "backup-failed"])
      yield* AgentSite.settled(site)
      assert.include(guest.jobs()[0]?.status.error ?? "", "the agent ended in the middle of this backup")
      yield* AgentSite.good(site, guest)
    }))

  AgentSite.live("and it does not come back: the app does, in time", needs, () =>
    Effect.gen(function*() {
      const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs", maxDowntime: "3s" }] })
      const guest = AgentSite.only(site)
      guest.hooks.arm("stop.after", "hold")
      const run = yield* guest.start(["run", "--json"])
      yield* guest.hooks.held
      yield* site.kill9
      guest.hooks.letGo()
      const ended = yield* run.ended
      assert.deepStrictEqual([ended.code, ended.report?.outcome], [6, "aborted"])
      assert.isTrue(guest.isUp())
      assert.isBelow(AgentSite.downtimes(guest)[0] ?? 0, promised)
      assert.deepStrictEqual(Traces.everything(guest), [])
      yield* site.restart
      yield* AgentSite.settled(site)
      yield* AgentSite.good(site, guest)
    }))

  AgentSite.live(
    "while a backup waits for the slot: it still waits afterwards, with its app up",
    needs,
    () =>
      Effect.gen(function*() {
        const site = yield* AgentSite.make({ guests: [{ name: "web" }, { name: "db" }] })
        const [web, db] = site.guests
        if (web === undefined || db === undefined) return assert.fail()
        web.hooks.arm("stop.after", AgentSite.armed(site, "tar.before", "hold"))
        const first = yield* web.start(["run", "--json"])
        yield* site.hooks.held
        const second = yield* db.start(["run", "--json"])
        yield* Hooks.eventually("it is queued", () => second.events.some(isPhase("queued")))
        assert.deepStrictEqual(db.log(), [])
        yield* site.kill9
        site.hooks.letGo()
        yield* site.restart
        const broken = yield* first.ended
        assert.deepStrictEqual([broken.code, broken.report?.outcome], [1, "backup-failed"])
        yield* AgentSite.judged(web, broken)
        const ended = yield* second.ended
        const report = yield* AgentSite.judged(db, ended)
        assert.deepStrictEqual([ended.code, report.consistency.level], [0, "application"])
        yield* AgentSite.settled(site)
      })
  )
})
