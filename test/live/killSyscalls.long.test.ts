/**
 * kill -9 of a run at every system call that touches its marker.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Path from "node:path"
import { afterAll } from "vitest"
import { live } from "../support/live.ts"
import * as Inject from "./inject.ts"
import { type Kill, next, survive, tally } from "./kill.ts"
import type { Live } from "./quiesce.ts"
import * as Site from "./site.ts"

// strace joins a process that is not its child, which Yama allows to root alone
const needs = ["postgres", "flock", "tar", "zstd", "strace", "root"] as const
const site = Site.shared(needs)
const kills = tally()
afterAll(() => console.log(kills.summary()))

const project = Effect.flatMap(
  site,
  (site) => Site.project(site, "traced", { stack: { stopTimeout: "2s" }, command: { prepare: ["true"] } })
)

/** Holds the run in its prepare command until it is traced. */
const traced = (project: Site.Project, output: string, kill?: Inject.Target): Kill => ({
  hooks: { "prepare.during": "hold" },
  env: { UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
  act: (live: Live) =>
    Effect.scoped(Effect.gen(function*() {
      yield* project.hooks.held
      const directory = Path.join(project.stateDir, "markers")
      const runId = live.events[0]?.runId ?? ""
      const files = [".json", ".copy.json", ".notes"].flatMap((end) => [`${runId}${end}`, `${runId}${end}.tmp`])
      const paths = [directory, ...files.map((file) => Path.join(directory, file))]
      yield* Inject.trace(live.pid, { paths, output, kill })
      project.hooks.letGo()
      yield* live.ended
    })).pipe(Effect.orDie)
})

describe("kill -9 of a run at a system call on its marker", () => {
  live("each of them", needs, () =>
    Effect.gen(function*() {
      const here = yield* site
      const traces = yield* project
      const output = Path.join(here.work, "trace")
      yield* survive(here, traces, traced(traces, output))
      const calls = Inject.read(output)
      assert.isAbove(calls.length, 20)
      for (const { call, line, nth } of calls) {
        const seen = yield* survive(here, traces, traced(traces, output, { call, nth }))
        assert.isTrue(seen.killed, line)
        kills.add(`before ${line}`, seen)
        // the others are followed by the run that is killed next
        if (nth % 3 === 1) yield* next(here, traces)
      }
      yield* next(here, traces)
    }), 240_000)
})
