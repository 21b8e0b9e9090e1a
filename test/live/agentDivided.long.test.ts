/**
 * kill -9 of either side of a divided agent in the middle of a backup: the app is up, soon, and nothing is called done that
 * is not. A killed side is started again, as systemd would.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as AgentSite from "./agentSite.ts"
import * as Divided from "./dividedSite.ts"
import * as Hooks from "./hooks.ts"
import * as Traces from "./traces.ts"

const tools = [...Divided.needs, "openssl"] as const

/** How long the app may be down when one side dies, and no other one comes. */
const promised = 15_000

const kill9 = ({ ended, signal }: AgentSite.Agent) => Effect.zipRight(Effect.sync(() => signal("SIGKILL")), ended)

describe("kill -9 of the front", () => {
  AgentSite.live(
    "in the transfer, or before the point: vzdump goes on, and is found again",
    tools,
    () =>
      Effect.gen(function*() {
        const { atPoint, copied, guest, host, site } = yield* Divided.withVzdump
        for (const [index, moment] of ["INFO: create storage snapshot", "INFO: Finished Backup"].entries()) {
          host.control({ atPoint, holdBefore: ["-", moment].slice(1 - index) })
          const run = yield* guest.start(["run", "--json"])
          yield* Hooks.eventually("it works", () => host.callsOf("started").length === index + 1)
          if (index === 1) yield* Hooks.eventually("the app is up", () => guest.log().length === 4)
          yield* kill9(site.agent())
          yield* site.restart
          host.go(index)
          const { code, report } = yield* run.ended
          assert.deepStrictEqual([code, report?.consistency.level, report?.error], [0, "application", null], moment)
          assert.strictEqual(copied(), "clean")
          assert.strictEqual(host.callsOf("started").length, index + 1, "one backup for one run")
        }
      })
  )

  AgentSite.live(
    "while the other side reads a snapshot of its own: it leaves nothing, and the next run is good",
    [...tools, "tar", "zstd", "btrfs", "mount"],
    () =>
      Effect.gen(function*() {
        const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs" }], isDivided: true })
        const guest = AgentSite.only(site)
        guest.hooks.arm("stop.after", AgentSite.armed(site, "tar.before", "hold"))
        const run = yield* guest.start(["run", "--json"])
        yield* site.hooks.held
        yield* Hooks.eventually("the app is up", () => guest.isUp() && guest.log().length === 2)
        yield* kill9(site.agent())
        // the other side knows at once that nobody wants it any longer
        yield* Hooks.eventually("nothing is left", () =>
          Traces.leftovers({ ...guest, directory: site.root })
            .filter((left) => !/^\d+: /.test(left)).length === 0)
        yield* site.restart
        const { report } = yield* run.ended
        assert.deepStrictEqual([report?.outcome, report?.consistency.level], ["backup-failed", "none"])
        assert.isTrue(guest.isUp())
        site.hooks.letGo()
        yield* AgentSite.settled(site)
        yield* AgentSite.good(site, guest)
      })
  )
})

describe("kill -9 of the engine's side", () => {
  AgentSite.live(
    "after the point: the app is up, and the same vzdump is followed to its end",
    tools,
    () =>
      Effect.gen(function*() {
        const { atPoint, copied, guest, host, site } = yield* Divided.withVzdump
        host.control({ atPoint, holdBefore: ["INFO: Finished Backup"] })
        const run = yield* guest.start(["run", "--json"])
        yield* Hooks.eventually("the app is up", () => guest.log().length === 2 && guest.isUp())
        yield* kill9(site.engine())
        yield* Effect.sleep("1 second")
        yield* site.restartEngine
        host.go()
        const { code, report } = yield* run.ended
        assert.deepStrictEqual([code, report?.consistency.level, report?.error], [0, "application", null])
        assert.strictEqual(copied(), "clean")
        assert.strictEqual(host.callsOf("started").length, 1)
        assert.strictEqual(AgentSite.downtimes(guest).length, 1)
      })
  )

  AgentSite.live(
    "before the point: the app is up at once, and nothing is claimed",
    tools,
    () =>
      Effect.gen(function*() {
        const { atPoint, guest, host, site } = yield* Divided.withVzdump
        host.control({ atPoint, holdBefore: ["INFO: create storage snapshot"] })
        const run = yield* guest.start(["run", "--json"])
        yield* Hooks.eventually("it works, and the app is down", () => host.callsOf("started").length === 1)
        yield* kill9(site.engine())
        const { report } = yield* run.ended
        assert.deepStrictEqual(
          [report?.outcome, report?.consistency.level],
          ["backup-failed", "none"],
          report?.error ?? ""
        )
        assert.isTrue(guest.isUp())
        assert.isBelow(AgentSite.downtimes(guest)[0] ?? Infinity, promised)
        // vzdump knows nothing of that
        host.go()
        yield* Hooks.eventually("vzdump has ended", () => host.callsOf("ended").length === 1)
        yield* site.restartEngine
        host.control({ atPoint })
        const next = yield* guest.quiesce(["run", "--json"])
        assert.strictEqual(next.report?.consistency.level, "application", next.stderr)
        assert.strictEqual(host.callsOf("started").length, 2)
      })
  )

  AgentSite.live(
    "in a snapshot or a transfer of its own: the app is up, the backup has failed, and the next run is good",
    [...tools, "tar", "zstd", "btrfs", "mount"],
    () =>
      Effect.gen(function*() {
        const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs" }], isDivided: true })
        const guest = AgentSite.only(site)
        for (const point of ["btrfs.before", "btrfs.after", "tar.before", "tar.after"]) {
          site.hooks.disarm()
          guest.hooks.arm("stop.after", AgentSite.armed(site, point, "kill -9 $quiesce"))
          const engine = site.engine()
          const stops = AgentSite.downtimes(guest).length
          const run = yield* guest.start(["run", "--json"])
          yield* engine.ended
          const ended = yield* run.ended
          const report = yield* AgentSite.judged(guest, ended)
          assert.strictEqual(report.outcome, "backup-failed", `${point} ${report.error}`)
          assert.isBelow(AgentSite.downtimes(guest)[stops] ?? Infinity, promised, point)
          yield* site.restartEngine
        }
        site.hooks.disarm()
        yield* AgentSite.good(site, guest)
        yield* AgentSite.settled(site)
      })
  )
})
