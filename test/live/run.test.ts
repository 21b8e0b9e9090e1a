/**
 * Runs of the built binary over a real PostgreSQL that end well, and what can be asked before, beside and after them.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Phase } from "../../src/domain/Backup.ts"
import { loopMount, sh } from "../lab/loopfs.ts"
import { drill, unpack } from "../lab/postgresDrill.ts"
import { live, type Need } from "../support/live.ts"
import * as Site from "./site.ts"
import * as Traces from "./traces.ts"

const needs = ["postgres", "flock", "tar", "zstd"] as const
const site = Site.shared(needs)

const startedAt = (here: Site.Site) => here.server.query("select pg_postmaster_start_time()::text as at")

/** A run that must end as it should, and what it says of itself. */
const good = Effect.fnUntraced(function*(here: Site.Site, project: Site.Project) {
  const ended = yield* project.quiesce(["run", "--json"])
  assert.deepInclude({ code: ended.code, stderr: ended.stderr }, { code: 0, stderr: "" })
  assert.deepInclude(ended.report, {
    outcome: "ok",
    exitCode: 0,
    consistency: { level: "application", reasons: [] },
    warnings: [],
    error: null
  })
  assert.isTrue(yield* here.server.isRunning)
  assert.deepStrictEqual(Traces.everything(project), [])
  return ended
})

/** The server comes up on the data, had been shut down, and has every row that was acknowledged before the moment. */
const restorable = Effect.fnUntraced(function*(here: Site.Site, home: string, before: number) {
  const found = yield* drill(here.programs, home)
  assert.deepInclude(found, { started: true, wasShutDown: true, recovered: false, ballast: here.rows })
  const promised = here.writer.acknowledged().filter(({ at }) => at < before).map(({ id }) => id)
  assert.isAbove(promised.length, 0)
  assert.deepStrictEqual(promised.filter((id) => !found.journal.has(id)), [])
})

const fresh = (here: Site.Site, name: string) => {
  const path = Path.join(here.work, name)
  Fs.mkdirSync(path)
  return path
}

describe("a run", () => {
  const places: ReadonlyArray<readonly [string, "btrfs" | "xfs" | undefined, ReadonlyArray<Phase>]> = [
    ["btrfs", "btrfs", ["running", "snapshotted", "done"]],
    ["reflink", "xfs", ["running", "snapshotted", "done"]],
    ["copy", undefined, ["running", "snapshotted", "done"]],
    ["none", undefined, ["running", "done"]]
  ]
  for (const [snapshot, kind, phases] of places) {
    const wanted: ReadonlyArray<Need> = kind === undefined ? needs : [...needs, kind, "mount"]
    live(
      `by '${snapshot}': application consistent, and its archive comes up clean`,
      wanted,
      () =>
        Effect.gen(function*() {
          const shared = yield* site
          const mount = kind === undefined ? undefined : yield* loopMount(kind)
          const here = mount === undefined ? shared : yield* Site.serve(shared, Path.join(mount, "notes"))
          const place = snapshot === "btrfs" && mount !== undefined ? Path.join(mount, ".quiesce") : undefined
          const project = yield* Site.project(here, `by ${snapshot}`, {
            snapshot,
            ...place === undefined ? {} : { place },
            command: { prepare: here.server.argv.prepare }
          })
          const before = performance.now()
          const { events, report } = yield* good(here, project)
          assert.deepStrictEqual(report?.phases.map(({ phase }) => phase), ["queued", "ready", ...phases])
          const order = events.flatMap((event) =>
            event.type === "stack" ? [event.state] : event.type === "phase" ? [event.phase] : []
          )
          const [point, up] = [phases[1] ?? "done", order.indexOf("running", order.indexOf("starting"))]
          assert.isBelow(order.indexOf("stopped"), order.indexOf("running"))
          assert.isBelow(order.indexOf(point), up)
          const gap = here.writer.longestGap(before, performance.now())
          assert.isAbove(gap.millis, (report?.stacks[0]?.downtimeMs ?? 0) * 0.7)
          const home = fresh(shared, `restored by ${snapshot}`)
          yield* unpack(report?.artifact ?? "", home)
          yield* restorable(here, home, before)
        })
    )
  }

  const copies: Readonly<Record<string, (to: string) => ReadonlyArray<string>>> = {
    cp: (to) => ["cp", "-a", "-T", "--", "{snapshot}", to],
    tar: (to) => ["sh", "-c", "mkdir \"$2\" && tar -C \"$1\" -cf - . | tar -C \"$2\" -xpf -", "sh", "{snapshot}", to]
  }
  for (const [name, argv] of Object.entries(copies)) {
    live(`hands its snapshot to a command: ${name}`, needs, () =>
      Effect.gen(function*() {
        const here = yield* site
        const home = fresh(here, `restored from ${name}`)
        const project = yield* Site.project(here, `to ${name}`, {
          transfer: { command: argv(Path.join(home, "data")) }
        })
        const before = performance.now()
        yield* good(here, project)
        yield* restorable(here, home, before)
      }))
  }

  live("leaves a stack alone that was down; restic then reads nothing anew from a btrfs snapshot", [
    ...needs,
    "btrfs",
    "mount",
    "restic"
  ], () =>
    Effect.gen(function*() {
      const mount = yield* loopMount("btrfs")
      const here = yield* Site.serve(yield* site, Path.join(mount, "notes"))
      const repository = fresh(here, "restic repository")
      const restic = ["restic", "-r", repository, "--no-cache", "--quiet"] as const
      const env = { RESTIC_PASSWORD: "lab" }
      yield* sh([...restic, "init"], { env })
      const command = ["sh", "-c", "exec \"$@\" >summary", "sh", ...restic, "backup", "--json", "{snapshot}"]
      const project = yield* Site.project(here, "to restic", {
        snapshot: "auto",
        place: Path.join(mount, ".quiesce"),
        transfer: { command }
      })
      project.hooks.arm("stop.before", ":")
      project.hooks.arm("start.before", ":")
      yield* here.server.stop
      const read = () =>
        Effect.gen(function*() {
          const { code, report } = yield* project.quiesce(["run", "--json"], { env })
          assert.deepStrictEqual([code, report?.consistency.level], [0, "application"])
          assert.deepInclude(report?.stacks[0], { stoppedAt: null, resumedAt: null, downtimeMs: null })
          assert.isFalse(yield* here.server.isRunning)
          return JSON.parse(Fs.readFileSync(Path.join(project.directory, "summary"), "utf8"))
        })
      const first = yield* read()
      assert.isAbove(first.files_new, 500)
      const second = yield* read()
      assert.deepInclude(second, { files_new: 0, files_changed: 0, files_unmodified: first.files_new })
      assert.isFalse(project.hooks.taken("stop.before") || project.hooks.taken("start.before"))
    }))
})

describe("beside a run", () => {
  live("a second one is busy, recover does nothing, and status tells", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "busy")
      project.hooks.arm("stop.after", "arm cp.during hold")
      const first = yield* project.start(["run", "--json"])
      yield* project.hooks.held
      const second = yield* project.quiesce(["run", "--json"])
      assert.strictEqual(second.code, 5)
      assert.deepInclude(second.report, { outcome: "busy", exitCode: 5, artifact: null })
      assert.include(second.report?.error ?? "", `(pid ${first.pid}, `)
      const recover = yield* project.quiesce(["recover", "--json"])
      assert.strictEqual(recover.code, 0)
      assert.deepInclude(JSON.parse(recover.stdout), { recovered: [], failed: [], markers: 1, liveRun: true })
      const status = yield* project.quiesce(["status", "--json"])
      const runId = first.events[0]?.runId
      assert.strictEqual(status.code, 0)
      assert.deepInclude(JSON.parse(status.stdout).markers[0], {
        name: runId,
        units: [{ stack: "notes", unit: "notes", state: "stopped" }]
      })
      assert.include(JSON.parse(status.stdout).liveRun, `run ${runId} (pid ${first.pid}, `)
      assert.isFalse(yield* here.server.isRunning)
      project.hooks.letGo()
      const ended = yield* first.ended
      assert.deepStrictEqual([ended.code, ended.report?.consistency.level], [0, "application"])
      assert.deepStrictEqual(Traces.everything(project), [])
      const after = yield* project.quiesce(["status", "--json"])
      assert.strictEqual(after.code, 0)
      const { liveRun, markers, reports } = JSON.parse(after.stdout)
      assert.deepStrictEqual({ liveRun, markers }, { liveRun: null, markers: [] })
      assert.deepInclude(reports, ended.report)
    }))

  live("plan, config, status and --dry-run touch nothing", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const project = yield* Site.project(here, "untouched", { command: { prepare: ["true"] } })
      for (const point of ["prepare.before", "stop.before", "start.before", "sh.before"] as const) {
        project.hooks.arm(point, ":")
      }
      const before = yield* startedAt(here)
      const told: ReadonlyArray<ReadonlyArray<string>> = [
        ["plan"],
        ["plan", "--json"],
        ["config", "show"],
        ["config", "check"],
        ["status"],
        ["run", "--dry-run"],
        ["recover"]
      ]
      for (const words of told) assert.strictEqual((yield* project.quiesce(words)).code, 0, words.join(" "))
      assert.deepStrictEqual(yield* startedAt(here), before)
      assert.deepStrictEqual(
        Fs.readdirSync(project.hooks.directory).filter((name) => name.endsWith(".taken")),
        []
      )
      assert.deepStrictEqual(Traces.everything(project), [])
      assert.isFalse(Fs.existsSync(project.backups))
    }))
})
