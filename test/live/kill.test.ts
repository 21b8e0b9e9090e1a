/**
 * kill -9 of a run at each of its boundaries: the dead-man alone brings the app back.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { live } from "../support/live.ts"
import { type Kill, next, survive, tally } from "./kill.ts"
import * as Site from "./site.ts"

const needs = ["postgres", "flock", "tar", "zstd"] as const
const site = Site.shared(needs)
const kills = tally()
afterAll(() => console.log(kills.summary()))

const now = "kill -9 $quiesce"
const soon = (seconds: number) => `sleep ${seconds}; kill -9 $quiesce`
const stack = (state: string): Pick<Kill, "after"> => ({
  after: (event) => event.type === "stack" && event.state === state
})
const phase = (phase: string): Pick<Kill, "after"> => ({
  after: (event) => event.type === "phase" && event.phase === phase
})

const points: Readonly<Record<string, Kill>> = {
  "before the lock": { hooks: { "flock.before": now }, unarmed: true },
  "after the lock": { hooks: { "flock.after": now }, unarmed: true },
  "at the first look at the stack": { hooks: { "status.during": now } },
  "in the preflight": { hooks: { "cp.during": now } },
  "before the dead-man is armed": { hooks: { "sh.before": now }, unarmed: true },
  "ready": phase("ready"),
  "in the prepare command": { hooks: { "prepare.during": now } },
  "in the sync before the stop": { hooks: { "sync.during": now } },
  "the stop noted, not begun": { hooks: { "stop.before": now } },
  "the stop noted, never begun": { hooks: { "stop.before": `${now}; exit 1` } },
  "at the begin of the stop command": { hooks: { "stop.during": now } },
  "in the middle of the stop command": { hooks: { "stop.during": soon(0.04) } },
  "after the stop command": { hooks: { "stop.after": now } },
  "at the look after the stop": { hooks: { "stop.after": `arm status.during '${now}'` } },
  "down, and noted": stack("stopped"),
  "the agent told": phase("running"),
  "at the begin of the snapshot": { hooks: { "stop.after": `arm cp.before '${now}'` } },
  "in the middle of the snapshot": { hooks: { "stop.after": `arm cp.during '${soon(0.02)}'` } },
  "in the sync of the snapshot": { hooks: { "stop.after": `arm sync.during '${now}'` } },
  "snapshotted": phase("snapshotted"),
  "at the look at the snapshot": { hooks: { "stop.after": `arm sync.after "arm status.during '${now}'"` } },
  "starting": stack("starting"),
  "before the start command, which never begins": { hooks: { "start.before": `${now}; exit 1` } },
  "at the begin of the start command": { hooks: { "start.during": now } },
  "in the middle of the start command": { hooks: { "start.during": soon(0.05) } },
  "with the start command": { hooks: { "start.during": "kill -9 $quiesce $child $$" } },
  "after the start command": { hooks: { "start.after": now } },
  "at the look after the start": { hooks: { "start.after": `arm status.during '${now}'` } },
  "up, not yet steady": stack("running"),
  "at the look whether it stays up": { hooks: { "start.after": `arm status.after "arm status.during '${now}'"` } },
  "at the begin of the transfer": { hooks: { "stop.after": `arm tar.before '${now}'` } },
  "in the middle of the transfer": { hooks: { "stop.after": `arm tar.during '${soon(0.1)}'` } },
  "at the end of the transfer": { hooks: { "stop.after": `arm tar.after '${now}'` } },
  "done": phase("done"),
  "at the report": { after: (event) => event.type === "report" }
}

describe("kill -9 of a run: the app is up, and nothing is left", () => {
  for (const [name, kill] of Object.entries(points)) {
    live(name, needs, () =>
      Effect.gen(function*() {
        const here = yield* site
        const project = yield* Site.project(here, "killed", {
          stack: { stopTimeout: "3s" },
          command: { prepare: ["true"] }
        })
        const seen = yield* survive(here, project, kill)
        yield* next(here, project)
        kills.add(name, seen)
        // on a busy machine these come when the run has ended already
        assert.isTrue(seen.killed || name === "done" || name === "at the report")
      }))
  }
  live("no row that the client was promised is lost", needs, () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Site.lost(yield* site), [])
    }))
})
