/**
 * A controller that stands still while it holds an app, as on a machine that is suspended, and an agent that does.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as AgentSite from "../live/agentSite.ts"
import * as Hooks from "../live/hooks.ts"
import * as Traces from "../live/traces.ts"

const needs = ["tar", "zstd", "flock"] as const

/** A run that holds its app, and whose copy the test holds. */
const held = Effect.fnUntraced(function*(maxDowntime: string) {
  const host = yield* AgentSite.make({ guests: [{ maxDowntime }] })
  const guest = AgentSite.only(host)
  guest.hooks.arm("stop.after", AgentSite.armed(host, "cp.before", "hold"))
  const run = yield* guest.start(["run", "--json"])
  yield* host.hooks.held
  return { guest, host, run }
})

/** How long after `SIGCONT` the app may be down: a start on a busy machine. */
const soon = 15_000

describe("a controller that stands still in the hold", () => {
  for (const [when, early] of [["while it does", true], ["after it has woken", false]] as const) {
    AgentSite.live(
      `past its limit, with the snapshot ${when}: it resumes at once, and claims nothing`,
      needs,
      () =>
        Effect.gen(function*() {
          const { guest, host, run } = yield* held("4s")
          run.signal("SIGSTOP")
          if (early) host.hooks.letGo()
          yield* Effect.sleep("6 seconds")
          assert.isFalse(guest.isUp(), "this test tests nothing")
          const woken = performance.now()
          run.signal("SIGCONT")
          yield* Hooks.eventually("the app is up", guest.isUp)
          assert.isBelow(performance.now() - woken, soon)
          host.hooks.letGo()
          const ended = yield* run.ended
          assert.deepStrictEqual([ended.code, ended.report?.outcome], [6, "aborted"])
          assert.include(ended.report?.consistency.reasons ?? [], "limit-exceeded")
          assert.notStrictEqual(ended.report?.consistency.level, "application")
          assert.isAtLeast(ended.report?.stacks[0]?.downtimeMs ?? Number.NaN, 6_000)
          yield* AgentSite.settled(host)
          yield* AgentSite.good(host, guest)
        })
    )
  }

  AgentSite.live("and not past its limit: it goes on as if nothing were", needs, () =>
    Effect.gen(function*() {
      const { guest, host, run } = yield* held("60s")
      run.signal("SIGSTOP")
      host.hooks.letGo()
      yield* Effect.sleep("3 seconds")
      run.signal("SIGCONT")
      const ended = yield* run.ended
      assert.deepStrictEqual([ended.code, ended.report?.outcome], [0, "ok"])
      const report = yield* AgentSite.judged(guest, ended)
      assert.strictEqual(report.consistency.level, "application")
      yield* AgentSite.settled(host)
    }))

  AgentSite.live("and is killed while it does: the dead-man resumes", needs, () =>
    Effect.gen(function*() {
      const { guest, host, run } = yield* held("60s")
      run.signal("SIGSTOP")
      run.signal("SIGKILL")
      yield* Hooks.eventually("the app is up", guest.isUp)
      host.hooks.letGo()
      assert.deepStrictEqual(yield* Traces.quiet(guest), [])
      assert.deepStrictEqual(Traces.markers(guest), [])
      yield* AgentSite.settled(host)
    }))
})

describe("an agent that stands still in the hold", () => {
  AgentSite.live(
    "past the limit: the app comes up, and the backup is never called application consistent",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host, run } = yield* held("3s")
        host.agent().signal("SIGSTOP")
        yield* Hooks.eventually("the app is up", guest.isUp)
        host.agent().signal("SIGCONT")
        host.hooks.letGo()
        const ended = yield* run.ended
        assert.deepStrictEqual([ended.code, ended.report?.outcome], [6, "aborted"])
        assert.notStrictEqual(ended.report?.consistency.level, "application")
        assert.isAtLeast(ended.report?.stacks[0]?.downtimeMs ?? Number.NaN, 3_000)
        yield* AgentSite.settled(host)
        yield* AgentSite.good(host, guest)
      })
  )

  AgentSite.live(
    "for a while: the snapshot is seen once it answers, and the claim is true",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host, run } = yield* held("60s")
        host.agent().signal("SIGSTOP")
        host.hooks.letGo()
        yield* Effect.sleep("3 seconds")
        assert.isFalse(guest.isUp(), "nobody has said that the snapshot is there")
        host.agent().signal("SIGCONT")
        const ended = yield* run.ended
        assert.strictEqual(ended.code, 0, ended.report?.error ?? "")
        assert.strictEqual((yield* AgentSite.judged(guest, ended)).consistency.level, "application")
        yield* AgentSite.settled(host)
      })
  )
})
