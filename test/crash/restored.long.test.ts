/**
 * Restored from the very snapshot that a run has taken: in it the app is down, and the marker says so. What boots there
 * must come up from what lies there, without a word to the agent, whose backup is over long since.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loopMount, sh } from "../lab/loopfs.ts"
import { readLog } from "../lab/postgresDrill.ts"
import { execute } from "../lab/postgresInstall.ts"
import * as AgentSite from "../live/agentSite.ts"
import * as Site from "../live/site.ts"
import * as Traces from "../live/traces.ts"

const needs = ["postgres", "flock", "btrfs", "mount"] as const
const site = Site.shared(needs)

/** The disk of a guest, with its app and the state of quiesce, and what its host keeps of it after a backup. */
const backedUp = Effect.gen(function*() {
  const mount = yield* loopMount("btrfs")
  const [disk, kept] = [Path.join(mount, "disk"), Path.join(mount, "kept")]
  yield* sh(["btrfs", "subvolume", "create", disk])
  yield* sh(["chmod", "755", disk])
  const here = yield* Site.serve(yield* site, Path.join(disk, "notes"))
  const stateDir = Path.join(disk, "state")
  const host = yield* AgentSite.make({
    guests: [{
      snapshot: "btrfs",
      stateDir,
      app: { argv: here.server.argv, source: disk, place: Path.join(mount, ".quiesce") },
      transfer: { command: ["btrfs", "subvolume", "snapshot", "{snapshot}", kept] }
    }]
  })
  const guest = AgentSite.only(host)
  const promised = here.writer.acknowledged().map(({ id }) => id)
  const { code, report, stderr } = yield* guest.quiesce(["run", "--json"])
  assert.deepStrictEqual([code, report?.consistency.level], [0, "application"], `${stderr}\n${host.agent().log()}`)
  assert.isTrue(Fs.existsSync(kept))

  /** A rollback: what ran is gone as at a power loss, and the disk is what was kept of it. */
  const restore = Effect.gen(function*() {
    const [program, ...words] = here.server.argv.stop
    yield* Effect.ignore(execute([program, ...words.map((word) => word === "fast" ? "immediate" : word)], { cwd: "/" }))
    yield* sh(["btrfs", "subvolume", "delete", disk])
    yield* sh(["btrfs", "subvolume", "snapshot", kept, disk])
    assert.isFalse(yield* here.server.isRunning)
    assert.deepStrictEqual(Traces.markers(guest).length, 2)
  })

  const asked = () => guest.proxy.count("opened")
  const booted = Effect.gen(function*() {
    const before = asked()
    const said = Fs.statSync(here.server.log).size
    const ended = yield* guest.quiesce(["recover", "--json"])
    assert.strictEqual(asked(), before, "the agent was asked")
    assert.deepStrictEqual(Traces.markers(guest), [])
    assert.isTrue(yield* here.server.isRunning)
    const log = Fs.readFileSync(here.server.log).subarray(said).toString()
    assert.deepInclude(readLog(log), { wasShutDown: true, recovered: false }, log)
    const rows = new Set((yield* here.server.query("select id::int4 from journal")).map((row) => Number(row["id"])))
    assert.isAbove(promised.length, 0)
    assert.deepStrictEqual(promised.filter((id) => !rows.has(id)), [])
    const [ballast] = yield* here.server.query("select count(*)::int4 as rows from ballast")
    assert.strictEqual(Number(ballast?.["rows"]), here.rows)
    return { ...ended, answer: JSON.parse(ended.stdout) }
  })

  const pid = () => Fs.readFileSync(Path.join(here.server.data, "postmaster.pid"), "utf8").split("\n")[0]
  return { asked, booted, disk, guest, here, host, pid, report, restore, stateDir }
})

const started = { recovered: [{ stack: "app", unit: "app" }], failed: [], markers: 1, liveRun: false }

describe("restored from the snapshot of a run", () => {
  AgentSite.live(
    "PostgreSQL comes up clean, the agent is not asked, and all goes on as before",
    needs,
    () =>
      Effect.gen(function*() {
        const { asked, booted, guest, host, pid, report, restore } = yield* backedUp
        yield* restore
        const first = yield* booted
        assert.deepStrictEqual([first.code, first.answer], [0, { ...started, warnings: [] }])
        const [server, before] = [pid(), asked()]
        const second = yield* guest.quiesce(["recover"])
        assert.deepStrictEqual([second.code, second.stdout], [0, "no run left anything down"])
        assert.deepStrictEqual([pid(), asked()], [server, before])

        // the same machine: the next backup is one of its own
        yield* sh(["btrfs", "subvolume", "delete", Path.join(guest.source, "..", "kept")])
        const next = yield* guest.quiesce(["run", "--json"])
        assert.deepStrictEqual([next.code, next.report?.consistency.level], [0, "application"], host.agent().log())
        assert.notStrictEqual(next.report?.runId, report?.runId)
        assert.strictEqual(guest.jobs().length, 2)
      })
  )

  AgentSite.live(
    "a damaged marker: the other copy of it, or none and the configuration",
    needs,
    () =>
      Effect.gen(function*() {
        const { booted, guest, restore, stateDir } = yield* backedUp
        const markers = Path.join(stateDir, "markers")
        const tear = (pattern: RegExp, size: number) => {
          const names = Fs.readdirSync(markers).filter((name) => pattern.test(name))
          for (const name of names) Fs.truncateSync(Path.join(markers, name), size)
          return names.length
        }
        yield* restore
        assert.strictEqual(tear(/^[^.]+\.json$/, 0), 1)
        const one = yield* booted
        assert.deepInclude([one.code, { ...one.answer, warnings: [] }], { ...started, warnings: [] })
        assert.match(String(one.answer.warnings), /its first copy cannot be read .* the second was used/)

        yield* restore
        assert.strictEqual(tear(/^[^.]+\.copy\.json$/, 40), 1)
        const other = yield* booted
        assert.deepInclude([other.code, other.answer], { ...started, warnings: [] })

        yield* restore
        assert.strictEqual(tear(/\.json$/, 40), 2)
        const none = yield* booted
        assert.deepInclude([none.code, { ...none.answer, warnings: [] }], { ...started, warnings: [] })
        assert.match(String(none.answer.warnings), /cannot be read .*: every configured stack that is down is started/)
        assert.strictEqual(Fs.readdirSync(Path.join(stateDir, "damaged")).length, 3)
        assert.strictEqual((yield* guest.quiesce(["recover"])).stdout, "no run left anything down")
      })
  )
})
