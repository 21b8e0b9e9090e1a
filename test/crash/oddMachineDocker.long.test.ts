/**
 * A docker daemon that stands still past the limit of a hold: the app comes up once it answers again.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { asItWas, ended, shared, shop } from "../live/dockerSite.ts"
import { live } from "../support/live.ts"

const needs = ["docker", "tar", "zstd", "flock"] as const
const site = shared(["bb"])
const services = {
  db: { restart: "unless-stopped" },
  web: { restart: "unless-stopped", dependsOn: { db: {} } }
} as const

describe("a docker daemon that stands still in the hold", () => {
  live(
    "past the limit: the app comes up when it answers again, and nothing is claimed",
    needs,
    () =>
      Effect.gen(function*() {
        const { docker } = yield* site
        const made = yield* shop(yield* site, "frozen", services, {
          snapshot: "none",
          stack: { maxDowntime: "3s", maxDowntimeWithoutSnapshot: "3s" },
          limits: { resumeTimeout: "60s" }
        })
        const before = yield* made.project.states
        const run = yield* made.start(["run", "--json"])
        yield* made.held
        yield* docker.pause
        yield* Effect.sleep("6 seconds")
        yield* docker.resume
        const report = ended(yield* run.ended, 6)
        assert.strictEqual(report.outcome, "aborted")
        assert.notStrictEqual(report.consistency.level, "application")
        yield* asItWas(made, before)
      }),
    120_000
  )

  live(
    "longer than starts are tried: exit code 4, the marker stays, and recover brings it up",
    needs,
    () =>
      Effect.gen(function*() {
        const { docker } = yield* site
        const made = yield* shop(yield* site, "stuck", services, {
          snapshot: "none",
          stack: { maxDowntime: "3s", maxDowntimeWithoutSnapshot: "3s", startTimeout: "2s", stopTimeout: "2s" },
          limits: { resumeTimeout: "2s" }
        })
        const before = yield* made.project.states
        const run = yield* made.start(["run", "--json"])
        yield* made.held
        yield* docker.pause
        const report = ended(yield* run.ended, 4)
        assert.strictEqual(report.outcome, "resume-failed")
        assert.strictEqual(made.markers().length, 1)
        yield* docker.resume
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 0)
        yield* asItWas(made, before)
      }),
    180_000
  )
})
