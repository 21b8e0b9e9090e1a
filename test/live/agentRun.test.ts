/**
 * Runs against an agent in a process of its own that end well: over TLS and over a UNIX socket, with a real PostgreSQL,
 * and with two guests that want the one slot of their host.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loopMount } from "../lab/loopfs.ts"
import { drill, unpack } from "../lab/postgresDrill.ts"
import * as AgentSite from "./agentSite.ts"
import * as Hooks from "./hooks.ts"
import * as Site from "./site.ts"
import * as Traces from "./traces.ts"

const needs = ["postgres", "flock", "tar", "zstd", "btrfs", "mount"] as const
const site = Site.shared(needs)

/** The moments of a run, in order: the phases, and the states of the app. */
const story = (events: ReadonlyArray<{ readonly type: string }>) =>
  events.flatMap((event) =>
    "state" in event ? [`app ${String(event.state)}`] : "phase" in event ? [String(event.phase)] : []
  )

describe("a run with an agent on this machine", () => {
  for (const via of ["tls", "socket"] as const) {
    AgentSite.live(
      `PostgreSQL on btrfs, over ${via}: down only until the snapshot, and the archive comes up clean`,
      needs,
      () =>
        Effect.gen(function*() {
          const mount = yield* loopMount("btrfs")
          const here = yield* Site.serve(yield* site, Path.join(mount, "notes"))
          const { argv, data } = here.server
          const app = { argv, source: data, place: Path.join(mount, ".quiesce") }
          const host = yield* AgentSite.make({ guests: [{ via, snapshot: "btrfs", app }] })
          const guest = AgentSite.only(host)
          // the transfer ends after the app is up, or never
          guest.hooks.arm("stop.after", AgentSite.armed(host, "tar.before", "hold"))
          const before = performance.now()
          const { code, events, report, stderr } = yield* guest.quiesce(["run", "--json"], {
            onEvent: (event) => event.type === "stack" && event.state === "running" ? host.hooks.letGo() : undefined
          })
          const after = performance.now()
          assert.deepStrictEqual([code, stderr], [0, ""], host.agent().log())
          assert.deepInclude(report, {
            outcome: "ok",
            consistency: { level: "application", reasons: [] },
            mode: "snapshot",
            warnings: [],
            error: null
          })
          // a phase that is over soon may not be seen
          assert.deepStrictEqual(story(events).filter((moment) => moment !== "running"), [
            "queued",
            "ready",
            "app preparing",
            "app stopping",
            "app stopped",
            "snapshotted",
            "app starting",
            "app running",
            "done"
          ])
          yield* here.writer.next
          const gap = here.writer.longestGap(before, after)
          const downtime = report?.stacks[0]?.downtimeMs ?? 0
          assert.isAbove(gap.millis, downtime * 0.7)
          const restored = Path.join(host.root, "restored")
          Fs.mkdirSync(restored)
          yield* unpack(report?.artifact ?? "", restored)
          const found = yield* drill(here.programs, restored)
          assert.deepInclude(found, { started: true, wasShutDown: true, recovered: false, ballast: here.rows })
          const promised = here.writer.acknowledged().filter(({ at }) => at < before).map(({ id }) => id)
          assert.isAbove(promised.length, 0)
          assert.deepStrictEqual(promised.filter((id) => !found.journal.has(id)), [])
          assert.deepStrictEqual(yield* Site.lost(here), [])
          assert.deepStrictEqual(Traces.everything(guest), [])
        })
    )
  }

  AgentSite.live(
    "without a snapshot the app comes up when the backup is done",
    ["tar", "zstd"],
    () =>
      Effect.gen(function*() {
        const host = yield* AgentSite.make({ guests: [{ snapshot: "none" }] })
        const guest = AgentSite.only(host)
        guest.hooks.arm("stop.after", AgentSite.armed(host, "tar.before", "sleep 1"))
        const { events, report } = yield* guest.quiesce(["run", "--json"])
        assert.strictEqual(report?.consistency.level, "application", report?.error ?? "")
        assert.strictEqual(yield* AgentSite.stateIn(report?.artifact ?? ""), "clean")
        assert.deepStrictEqual(story(events).slice(-4), ["running", "done", "app starting", "app running"])
        assert.isAtLeast(AgentSite.downtimes(guest)[0] ?? 0, 1_000)
      })
  )

  AgentSite.live(
    "the one slot of the host: the second guest waits as queued, with its app up",
    ["tar", "zstd"],
    () =>
      Effect.gen(function*() {
        const host = yield* AgentSite.make({ guests: [{ name: "web" }, { name: "db", via: "socket" }] })
        const [web, db] = host.guests
        if (web === undefined || db === undefined) return assert.fail()
        web.hooks.arm("stop.after", AgentSite.armed(host, "tar.before", "hold"))
        const first = yield* web.start(["run", "--json"])
        yield* host.hooks.held
        const second = yield* db.start(["run", "--json"])
        yield* Hooks.eventually("it is queued", () => story(second.events).length > 0)
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(story(second.events), ["queued"])
        assert.isTrue(db.isUp())
        assert.deepStrictEqual(db.log(), [])
        host.hooks.letGo()
        for (const [guest, run] of [[web, first], [db, second]] as const) {
          const ended = yield* run.ended
          const report = yield* AgentSite.judged(guest, ended)
          assert.deepStrictEqual([ended.code, report.consistency.level], [0, "application"])
        }
        const [done] = web.jobs().map(({ status }) => status.times?.["done"] ?? "")
        const [ready] = db.jobs().map(({ status }) => status.times?.["ready"] ?? "")
        assert.isTrue(done !== undefined && ready !== undefined && done <= ready, `${done} ${ready}`)
        yield* AgentSite.settled(host)
      })
  )
})
