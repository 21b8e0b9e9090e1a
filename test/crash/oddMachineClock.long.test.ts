/**
 * A wall clock that is set while an app is held down: every limit is one of real time, and no snapshot is waited for
 * longer than it takes.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as AgentSite from "../live/agentSite.ts"
import * as Hooks from "../live/hooks.ts"
import type * as Quiesce from "../live/quiesce.ts"
import * as Traces from "../live/traces.ts"
import { library } from "../support/live.ts"

const needs = ["tar", "zstd", "flock", "faketime"] as const

/** A clock of its own for a program and its children: it ticks as always, and shows what it is set to. */
const clockOf = (guest: AgentSite.Guest, first = "+0") => {
  const file = Path.join(guest.directory, "clock")
  const set = (text: string) => {
    Fs.writeFileSync(`${file}.new`, `${text}\n`)
    Fs.renameSync(`${file}.new`, file)
  }
  set(first)
  return {
    set,
    env: {
      LD_PRELOAD: library("faketime/libfaketime.so.1") ?? "",
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_NO_CACHE: "1",
      TZ: "UTC"
    }
  }
}

/** A host whose copy is held by the test, with its guest. */
const held = Effect.fnUntraced(function*(options: AgentSite.GuestOptions) {
  const host = yield* AgentSite.make({ guests: [options] })
  const guest = AgentSite.only(host)
  guest.hooks.arm("stop.after", AgentSite.armed(host, "cp.before", "hold"))
  return { guest, host }
})

const ended = (run: Quiesce.Live) =>
  Effect.timeoutFail(run.ended, { duration: "60 seconds", onTimeout: () => "it waits" })

describe("the wall clock is set in the hold", () => {
  for (const jump of ["+1h", "-1h", "+30d", "-30d"]) {
    AgentSite.live(
      `by ${jump}: the snapshot is taken, and the app comes up as if nothing were`,
      needs,
      () =>
        Effect.gen(function*() {
          const { guest, host } = yield* held({ maxDowntime: "40s", limits: { deadline: "50m" } })
          const clock = clockOf(guest)
          const run = yield* guest.start(["run", "--json"], { env: clock.env })
          yield* host.hooks.held
          clock.set(jump)
          yield* Effect.sleep("1 second")
          host.hooks.letGo()
          const { code, report } = yield* ended(run)
          assert.deepInclude({ code, ...report?.consistency }, { code: 0, level: "application", reasons: [] })
          assert.isTrue(guest.isUp())
          assert.isBelow(report?.stacks[0]?.downtimeMs ?? Number.NaN, 35_000)
          assert.isAbove(report?.stacks[0]?.downtimeMs ?? Number.NaN, 900)
        })
    )

    AgentSite.live(`by ${jump}: the limit is neither early nor late`, needs, () =>
      Effect.gen(function*() {
        const { guest, host } = yield* held({ maxDowntime: "4s", limits: { deadline: "50m" } })
        const clock = clockOf(guest)
        const run = yield* guest.start(["run", "--json"], { env: clock.env })
        yield* host.hooks.held
        clock.set(jump)
        yield* Hooks.eventually("the app is up", guest.isUp)
        host.hooks.letGo()
        const { code, report } = yield* ended(run)
        assert.deepStrictEqual([code, report?.outcome], [6, "aborted"])
        assert.include(report?.error ?? "", "the limit for downtime was reached")
        assert.include(report?.consistency.reasons ?? [], "limit-exceeded")
        assert.isAtLeast(report?.stacks[0]?.downtimeMs ?? Number.NaN, 4_000)
        yield* Traces.quiet(guest)
        assert.deepStrictEqual(Traces.markers(guest), [])
      }))
  }
})

describe("the wall clock is set in a run of watch", () => {
  for (const jump of ["2026-03-01 02:30:00", "2026-03-01 04:30:00", "2026-03-31 03:30:00", "2026-01-30 03:30:00"]) {
    AgentSite.live(
      `to ${jump}: the run ends well, and the daemon goes on and ends`,
      needs,
      () =>
        Effect.gen(function*() {
          const { guest, host } = yield* held({
            maxDowntime: "40s",
            limits: { deadline: "50m" },
            watch: { schedule: "30 3 * * *" }
          })
          const clock = clockOf(guest, "@2026-03-01 03:29:50")
          const daemon = yield* guest.start(["watch", "--json"], { env: clock.env })
          yield* host.hooks.held
          clock.set(`@${jump}`)
          yield* Effect.sleep("1 second")
          host.hooks.letGo()
          const report = () => daemon.events.find((event) => event.type === "report")
          yield* Hooks.eventually("the run has ended", () => report() !== undefined)
          const found = report()
          if (found?.type !== "report") return assert.fail()
          assert.deepInclude(found, { outcome: "ok", exitCode: 0 })
          assert.deepInclude(found.consistency, { level: "application", reasons: [] })
          assert.isTrue(guest.isUp())
          daemon.signal("SIGTERM")
          assert.strictEqual((yield* ended(daemon)).code, 143)
          assert.isTrue(guest.isUp())
          assert.deepStrictEqual(Traces.markers(guest), [])
        })
    )
  }
})
