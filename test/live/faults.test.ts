/**
 * Runs over a real PostgreSQL in which something goes wrong: it is up at the end, or said to be down.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { RunEvent } from "../../src/domain/Report.ts"
import { tmpfs } from "../lab/loopfs.ts"
import { live } from "../support/live.ts"
import { strike } from "./kill.ts"
import * as Site from "./site.ts"
import * as Traces from "./traces.ts"

const needs = ["postgres", "flock", "tar", "zstd"] as const
const site = Site.shared(needs)

const startedAt = (here: Site.Site) => here.server.query("select pg_postmaster_start_time()::text as at")

/** The order of what was told, in words. */
const order = (events: ReadonlyArray<RunEvent>): ReadonlyArray<string> =>
  events.flatMap((event) => event.type === "stack" ? [event.state] : event.type === "phase" ? [event.phase] : [])

/** A run that ends with this code, after which the server is up and nothing is left. */
const ends = Effect.fnUntraced(function*(here: Site.Site, project: Site.Project, code: number, stderr = /^$/) {
  const ended = yield* project.quiesce(["run", "--json"])
  const up = yield* here.server.isRunning
  const { report } = ended
  assert.strictEqual(
    ended.code,
    code,
    `${report?.outcome}, ${report?.error}, ${report?.warnings.join()} ${ended.stderr}`
  )
  assert.match(ended.stderr, stderr)
  assert.isTrue(up, "the app is down")
  assert.deepStrictEqual(Traces.everything(project), [])
  if (report === undefined) return yield* Effect.dieMessage("there is no report")
  const artifacts = Fs.existsSync(project.backups) ? Fs.readdirSync(project.backups) : []
  return { report, events: ended.events, order: order(ended.events), artifacts }
})

describe("a stop command", () => {
  live("that fails: nothing was stopped, and nothing is backed up", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "stop fails", { stack: { stopTimeout: "1s" } })
      project.hooks.arm("stop.before", "echo 'no such luck' >&2; exit 1")
      const before = yield* startedAt(here)
      const { artifacts, report } = yield* ends(here, project, 1)
      assert.strictEqual(report.outcome, "backup-failed")
      assert.match(report.warnings.join(), /exit code 1: no such luck/)
      assert.deepStrictEqual(yield* startedAt(here), before)
      assert.deepStrictEqual(artifacts, [])
    }))

  live("that says yes while the app is up: nothing is backed up", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "stop lies", {
        command: { stop: ["true"] },
        stack: { stopTimeout: "1s" }
      })
      const before = yield* startedAt(here)
      const { artifacts, report } = yield* ends(here, project, 1)
      assert.match(report.error ?? "", /could not be stopped: notes/)
      assert.include(report.consistency.reasons, "not-verified-down")
      assert.deepStrictEqual(yield* startedAt(here), before)
      assert.deepStrictEqual(artifacts, [])
    }))

  live(
    "that does not end, while the app is down: a backup, but not called consistent",
    needs,
    () =>
      Effect.gen(function*() {
        const here = yield* site
        const project = yield* Site.project(here, "stop hangs", { stack: { stopTimeout: "1s" } })
        project.hooks.arm("stop.after", "sleep 30")
        const { artifacts, report } = yield* ends(here, project, 3)
        assert.deepInclude(report, {
          outcome: "ok-degraded",
          consistency: { level: "none", reasons: ["unclean-stop"] }
        })
        assert.strictEqual(artifacts.length, 2)
      })
  )
})

describe("a start command", () => {
  live("that fails at first is tried again", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "start fails once")
      project.hooks.arm("start.before", "exit 1")
      const { order, report } = yield* ends(here, project, 0)
      assert.deepStrictEqual(order.filter((word) => word === "failed"), ["failed"])
      assert.strictEqual(report.consistency.level, "application")
    }))

  live(
    "that fails for good: 4, the marker stays, and recover finishes once the cause is mended",
    needs,
    () =>
      Effect.gen(function*() {
        const here = yield* site
        const start = ["sh", "-c", "test ! -e broken && exec \"$@\"", "sh", ...here.server.argv.start] as const
        const project = yield* Site.project(here, "start fails", {
          command: { start },
          limits: { resumeTimeout: "1s" }
        })
        const broken = Path.join(project.directory, "broken")
        Fs.writeFileSync(broken, "")
        const ended = yield* project.quiesce(["run", "--json"])
        assert.strictEqual(ended.code, 4)
        assert.deepInclude(ended.report, { outcome: "resume-failed", exitCode: 4 })
        assert.match(ended.report?.error ?? "", /NOT UP/)
        assert.isAbove(Traces.markers(project).length, 0)
        assert.deepStrictEqual(Traces.leftovers(project), [])
        assert.strictEqual((yield* project.quiesce(["status"])).code, 4)
        assert.strictEqual((yield* project.quiesce(["recover"])).code, 4)
        // the next run does not stop more while this is down
        const next = yield* project.quiesce(["run", "--json"])
        assert.deepStrictEqual([next.code, next.report?.outcome], [4, "resume-failed"])
        assert.isFalse(yield* here.server.isRunning)
        Fs.rmSync(broken)
        const recovered = yield* project.quiesce(["recover", "--json"])
        assert.strictEqual(recovered.code, 0)
        assert.deepInclude(JSON.parse(recovered.stdout), { recovered: [{ stack: "notes", unit: "notes" }], failed: [] })
        assert.isTrue(yield* here.server.isRunning)
        assert.strictEqual((yield* project.quiesce(["status"])).code, 0)
        assert.deepStrictEqual(Traces.everything(project), [])
      })
  )

  live(
    "whose daemon keeps our pipes open does not hang the run, and the daemon lives on",
    needs,
    () =>
      Effect.gen(function*() {
        const here = yield* site
        const script = "\"$@\" || exit; sleep 120 & echo $! >daemon"
        const project = yield* Site.project(here, "start leaves a daemon", {
          command: { start: ["sh", "-c", script, "sh", ...here.server.argv.start] }
        })
        const daemon = () => Number(Fs.readFileSync(Path.join(project.directory, "daemon"), "utf8"))
        yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(daemon(), "SIGKILL")))
        const { report } = yield* ends(here, project, 0)
        assert.isBelow(report.stacks[0]?.downtimeMs ?? Number.NaN, 10_000)
        assert.isTrue(Fs.existsSync(`/proc/${daemon()}`))
      })
  )
})

describe("the backup", () => {
  live("whose transfer fails: 1, and the app was up long before", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const command = ["sh", "-c", "sleep 1; echo 'no route' >&2; exit 9", "sh", "{snapshot}"]
      const project = yield* Site.project(here, "transfer fails", { transfer: { command } })
      const { order, report } = yield* ends(here, project, 1)
      assert.deepInclude(report, { outcome: "backup-failed", artifact: null })
      assert.match(report.error ?? "", /exit code 9:\s*no route/)
      assert.isBelow(order.indexOf("running", order.indexOf("starting")), order.lastIndexOf("failed"))
    }))

  live(
    "that is not at its snapshot in time: 6, its end never before the start of the app, no archive",
    needs,
    () =>
      Effect.gen(function*() {
        const here = yield* site
        const project = yield* Site.project(here, "limit", { stack: { maxDowntime: "1s" } })
        const cancelled = Path.join(project.directory, "cancelled")
        const text = `trap ": >${cancelled.replaceAll(" ", "\\\\ ")}; exit 1" TERM; sleep 30 & wait`
        project.hooks.arm("stop.after", `arm cp.before '${text}'`)
        const { artifacts, events, order, report } = yield* ends(here, project, 6)
        const starting = events.find((event) => event.type === "stack" && event.state === "starting")
        const begun = starting?.type === "stack" ? Date.parse(starting.at) : Number.NaN
        assert.isAtLeast(Fs.statSync(cancelled).mtimeMs, begun, "it was cancelled before the app was started")
        assert.deepInclude(report, { outcome: "aborted", artifact: null })
        assert.include(report.consistency.reasons, "limit-exceeded")
        assert.match(report.error ?? "", /the limit for downtime was reached/)
        assert.isBelow(report.stacks[0]?.downtimeMs ?? Number.NaN, 5_000)
        assert.isAbove(order.lastIndexOf("running"), order.indexOf("starting"))
        assert.notInclude(order, "done")
        assert.deepStrictEqual(artifacts, [])
      })
  )

  live(
    "whose disk is full in the middle of the copy: 1, nothing is left",
    ["root", ...needs],
    () =>
      Effect.gen(function*() {
        const shared = yield* site
        const disk = yield* tmpfs(150)
        const here = yield* Site.serve(shared, Path.join(disk, "notes"))
        const project = yield* Site.project(here, "disk full")
        const filler = Path.join(disk, "filler")
        project.hooks.arm("stop.after", `arm cp.before "head -c 110M /dev/zero >'${filler}'"`)
        project.hooks.arm("start.before", `rm '${filler}'`)
        const { artifacts, report } = yield* ends(here, project, 1)
        assert.match(report.error ?? "", /No space left on device/)
        assert.deepStrictEqual(artifacts, [])
      })
  )

  live("whose prepare fails is only warned about", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "prepare fails", {
        command: { prepare: ["sh", "-c", "echo 'not today' >&2; exit 1"] }
      })
      const { report } = yield* ends(here, project, 0)
      assert.strictEqual(report.consistency.level, "application")
      assert.match(report.warnings.join(), /prepare.*exit code 1: not today/)
    }))

  live("whose prepare hangs is not waited for", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "prepare hangs", {
        command: { prepare: ["sleep", "60"] },
        limits: { prepareTimeout: "500ms" }
      })
      const { report } = yield* ends(here, project, 0)
      assert.strictEqual(report.consistency.level, "application")
      assert.match(report.warnings.join(), /prepare: .*(not done within|did not end in time)/)
    }))
})

describe("the run after a dead one", () => {
  live("heals what nobody has healed, and says so", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "heals")
      project.hooks.replace("sh", "echo armed >&3; exec 3>&-; cat >/dev/null")
      yield* strike(project, { hooks: { "start.before": "kill -9 $quiesce; exit 1" } })
      assert.isFalse(yield* here.server.isRunning)
      const { report } = yield* ends(here, project, 0, /^(quiesce: info: stack 'notes' is (starting|running)\n)+$/)
      assert.strictEqual(report.consistency.level, "application")
      assert.match(report.warnings.join(), /'notes' was left down by a dead run; it is up/)
    }))
})
