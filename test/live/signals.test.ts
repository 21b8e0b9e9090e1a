/**
 * Signals to a run that holds a real PostgreSQL: it is up before the exit, whatever is sent and however often.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { live } from "../support/live.ts"
import type { Hooks, Point } from "./hooks.ts"
import type { Live } from "./quiesce.ts"
import * as Site from "./site.ts"
import * as Traces from "./traces.ts"

const needs = ["postgres", "flock", "tar", "zstd"] as const
const site = Site.shared(needs)

interface Moment {
  readonly hooks: Readonly<Partial<Record<Point, string>>>
  /** A command of the stack that is never torn, and does not end before it is let go. */
  readonly untorn?: "start" | "stop"
  /** The server is not stopped at all. */
  readonly untouched?: true
}

const moments: Readonly<Record<string, Moment>> = {
  "in the prepare command": { hooks: { "prepare.during": "hold" }, untouched: true },
  "in the stop command": { hooks: { "stop.during": "hold", "stop.after": ":" }, untorn: "stop" },
  "in the hold": { hooks: { "stop.after": "arm cp.during hold" } },
  "in the start command": { hooks: { "start.during": "hold", "start.after": ":" }, untorn: "start" },
  "in the transfer": { hooks: { "stop.after": "arm tar.during hold" } }
}

const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

const arm = (hooks: Hooks, moment: Moment) => {
  hooks.disarm()
  for (const [point, text] of Object.entries(moment.hooks)) hooks.arm(point as Point, text)
}

const startedAt = (here: Site.Site) => here.server.query("select pg_postmaster_start_time()::text as at")

/** Sends the signals to a run at this moment, and checks all that must be so at its exit. */
const check = Effect.fnUntraced(function*(
  moment: Moment,
  signal: keyof typeof codes,
  count: number,
  send: (run: Live) => (signal: NodeJS.Signals) => void
) {
  const code = codes[signal]
  const here = yield* site
  const project = yield* Site.project(here, "signalled", { command: { prepare: ["true"] } })
  arm(project.hooks, moment)
  const before = yield* startedAt(here)
  const run = yield* project.start(["run", "--json"])
  yield* project.hooks.held
  yield* Effect.repeatN(Effect.delay(Effect.sync(() => send(run)(signal)), "40 millis"), count - 1)
  yield* Effect.sleep("150 millis")
  if (moment.untorn !== undefined) {
    assert.isUndefined(run.events.find(({ type }) => type === "report"), "it did not wait for the command")
  }
  project.hooks.letGo()
  const ended = yield* run.ended
  // nobody is left who could bring it up later
  assert.deepStrictEqual(Traces.everything(project), [])
  const after = yield* startedAt(here)
  assert.strictEqual(ended.code, code)
  assert.strictEqual(moment.untouched === true, before[0]?.["at"] === after[0]?.["at"])
  if (moment.untorn !== undefined) assert.isTrue(project.hooks.taken(`${moment.untorn}.after`), "it was torn")
  const [said, ...again] = ended.stderr.trimEnd().split("\n")
  assert.strictEqual(said, `quiesce: ${signal}: stopping; what is held down is brought up first`)
  assert.deepStrictEqual([...new Set(again)], count === 1 ? [] : again.slice(0, 1))
  assert.isAtMost(again.length, count - 1)
  // a run that waits for a command is there for all of them
  if (moment.untorn !== undefined) assert.strictEqual(again.length, count - 1)
  if (again.length > 0) {
    assert.strictEqual(again[0], `quiesce: ${signal}: still stopping; bringing an app up is never skipped`)
  }
  assert.strictEqual(ended.events.filter(({ type }) => type === "report").length, 1)
  assert.deepInclude(ended.report, { outcome: "aborted", exitCode: code, artifact: null, warnings: [] })
  assert.notStrictEqual(ended.report?.consistency.level, "application")
})

describe("a signal to a run", () => {
  for (const [when, moment] of Object.entries(moments)) {
    for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
      live(`${signal} ${when}`, needs, () => check(moment, signal, 1, (run) => run.signal))
    }
    live(`SIGINT three times ${when}`, needs, () => check(moment, "SIGINT", 3, (run) => run.signal))
  }
})

describe("^C in a terminal, which goes to the whole process group", () => {
  for (const [when, moment] of Object.entries(moments)) {
    live(`twice, ${when}`, needs, () => check(moment, "SIGINT", 2, (run) => run.signalGroup))
  }

  live("no row that the client was promised is lost", needs, () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Site.lost(yield* site), [])
    }))
})
