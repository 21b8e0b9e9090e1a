/**
 * kill -9 of a controller whose agent is another process: the app is back by the dead-man, the agent ends the backup by
 * itself, and nothing new begins before that.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as AgentSite from "./agentSite.ts"
import * as Hooks from "./hooks.ts"
import type * as Quiesce from "./quiesce.ts"
import * as Traces from "./traces.ts"

const needs = ["tar", "zstd", "flock", "btrfs", "mount"] as const

describe("kill -9 of the controller", () => {
  const site = (agent = {}) =>
    Effect.gen(function*() {
      const host = yield* AgentSite.make({ guests: [{ snapshot: "btrfs" }], agent })
      return { host, guest: AgentSite.only(host) }
    })

  const back = Effect.fnUntraced(function*(guest: AgentSite.Guest, ended: Quiesce.Ended) {
    assert.strictEqual(ended.signal, "SIGKILL")
    yield* Hooks.eventually("the app is back", guest.isUp)
    assert.deepStrictEqual(yield* Traces.quiet(guest), [])
    assert.deepStrictEqual(Traces.markers(guest), [])
    assert.strictEqual(AgentSite.downtimes(guest).length, 1)
    assert.isBelow(AgentSite.downtimes(guest)[0] ?? 0, 15_000)
  })

  AgentSite.live(
    "before it says that the app is down: the agent waits no longer than it should",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site({ readyTimeout: "2s" })
        guest.hooks.arm("stop.after", "kill -9 $quiesce")
        yield* back(guest, yield* guest.quiesce(["run", "--json"]))
        yield* AgentSite.settled(host)
        assert.include(guest.jobs()[0]?.status.error ?? "", "nobody said within 2s that the app is down")
        yield* AgentSite.good(host, guest)
      })
  )

  AgentSite.live(
    "while the agent still waits for it: the next run does not begin, and the app is not touched",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site()
        guest.hooks.arm("stop.after", "kill -9 $quiesce")
        yield* back(guest, yield* guest.quiesce(["run", "--json"]))
        const busy = yield* guest.quiesce(["run", "--json"])
        assert.deepStrictEqual([busy.code, busy.report?.outcome], [5, "busy"])
        assert.strictEqual(guest.log().length, 2, "the app was stopped for a backup that could not begin")
        yield* host.kill9
        yield* host.restart
        yield* AgentSite.settled(host)
        yield* AgentSite.good(host, guest)
      })
  )

  AgentSite.live(
    "while the snapshot is taken: the backup goes on to its end, and nobody calls it application",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site()
        guest.hooks.arm("stop.after", AgentSite.armed(host, "btrfs.before", "hold"))
        const run = yield* guest.start(["run", "--json"])
        yield* host.hooks.held
        run.signal("SIGKILL")
        yield* back(guest, yield* run.ended)
        const busy = yield* guest.quiesce(["run", "--json"])
        assert.deepStrictEqual([busy.code, busy.report?.outcome], [5, "busy"])
        host.hooks.letGo()
        yield* AgentSite.settled(host)
        const [job] = guest.jobs()
        assert.strictEqual(job?.status.phase, "done")
        assert.strictEqual(yield* AgentSite.stateIn(job?.status.artifact ?? ""), "dirty", "this test tests nothing")
        const status = yield* guest.quiesce(["status", "--json"])
        assert.notInclude(status.stdout, job?.runId ?? "")
        yield* AgentSite.good(host, guest)
      })
  )

  AgentSite.live("in the transfer: the backup goes on to its end", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site()
      guest.hooks.arm("stop.after", AgentSite.armed(host, "tar.before", "hold"))
      const run = yield* guest.start(["run", "--json"])
      yield* host.hooks.held
      yield* Hooks.eventually("the app is up", guest.isUp)
      run.signal("SIGKILL")
      yield* back(guest, yield* run.ended)
      host.hooks.letGo()
      yield* AgentSite.settled(host)
      const [job] = guest.jobs()
      assert.strictEqual(job?.status.phase, "done")
      assert.strictEqual(yield* AgentSite.stateIn(job?.status.artifact ?? ""), "clean")
      yield* AgentSite.good(host, guest)
    }))
})
