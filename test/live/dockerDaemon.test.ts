/**
 * The daemon ends, hangs or comes back in the middle of a run. At the end the app is as it was, or the exit code is 4, a
 * marker is there, and recover brings the app up once the daemon is back.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import type { RunEvent } from "../../src/domain/Report.ts"
import type { Service } from "../lab/docker/service.ts"
import { live } from "../support/live.ts"
import { asItWas, ended, meddled, shared, shop } from "./dockerSite.ts"
import { deadMan } from "./traces.ts"

const needs = ["docker", "tar", "zstd", "flock"] as const
const site = shared(["bb"])

const soon = Schedule.identity<boolean>().pipe(Schedule.addDelay(() => "10 millis"))

const saw = (events: ReadonlyArray<RunEvent>, state: string) =>
  Effect.sync(() => events.some((event) => event.type === "stack" && event.state === state)).pipe(
    Effect.repeat({ until: (so) => so, schedule: soon }),
    Effect.timeout("20 seconds")
  )

const slow: Service = {
  command: ["sh", "-c", "trap 'sleep 2; exit 0' TERM; while :; do sleep 1 & wait $!; done"],
  restart: "unless-stopped"
}

const lasting: Readonly<Record<string, Service>> = {
  db: { restart: "unless-stopped" },
  web: { restart: "unless-stopped", dependsOn: { db: {} } }
}

describe("the daemon", () => {
  live(
    "is restarted in the hold: what was stopped stays down, and is started by the run",
    needs,
    () =>
      Effect.gen(function*() {
        const { docker } = yield* site
        const made = yield* shop(yield* site, "again", lasting, { snapshot: "none" })
        const before = yield* made.project.states
        const run = yield* meddled(made, () =>
          Effect.gen(function*() {
            yield* docker.restart
            assert.deepStrictEqual(yield* made.project.states, { "db-1": "exited", "web-1": "exited" })
          }))
        ended(run, 0, { level: "application" })
        yield* asItWas(made, before)
      }),
    90_000
  )

  live(
    "is restarted in the hold, and starts by itself what has the policy 'always'",
    needs,
    () =>
      Effect.gen(function*() {
        const { docker } = yield* site
        const made = yield* shop(yield* site, "always", { db: { restart: "always" } }, { snapshot: "none" })
        const before = yield* made.project.states
        const run = yield* meddled(made, () => docker.restart)
        ended(run, 3, { reasons: ["not-down-at-snapshot"] })
        yield* asItWas(made, before)
      }),
    90_000
  )

  live("dies and comes back while a container is being stopped", needs, () =>
    Effect.gen(function*() {
      const { docker } = yield* site
      const made = yield* shop(yield* site, "midway", { db: slow }, { stack: { stopTimeout: "4s" } })
      const before = yield* made.project.states
      const run = yield* made.start(["run", "--json"])
      yield* saw(run.events, "stopping")
      yield* Effect.sleep("200 millis")
      yield* docker.kill
      yield* Effect.sleep("500 millis")
      yield* docker.start
      const { code, stderr } = yield* run.ended
      assert.include([1, 3], code, stderr)
      yield* asItWas(made, before)
    }), 90_000)

  live(
    "is gone when the containers are to be started: exit code 4, and recover when it is back",
    needs,
    () =>
      Effect.gen(function*() {
        const { docker } = yield* site
        const made = yield* shop(yield* site, "absent", lasting, { snapshot: "none", limits: { resumeTimeout: "2s" } })
        const before = yield* made.project.states
        const run = yield* meddled(made, () => docker.stop)
        const report = ended(run, 4)
        assert.include(report.error ?? "", "Docker engine")
        assert.strictEqual(made.markers().length, 1)
        yield* docker.start
        assert.deepStrictEqual(yield* made.project.states, { "db-1": "exited", "web-1": "exited" })
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 0)
        yield* asItWas(made, before)
      }),
    90_000
  )

  live("comes back while starts are tried again", needs, () =>
    Effect.gen(function*() {
      const { docker } = yield* site
      const made = yield* shop(yield* site, "late", lasting, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* made.start(["run", "--json"])
      yield* made.held
      yield* docker.stop
      yield* made.letGo
      yield* saw(run.events, "starting")
      yield* Effect.sleep("2 seconds")
      yield* docker.start
      const { code, stderr } = yield* run.ended
      // the look at the snapshot could not be had
      assert.strictEqual(code, 3, stderr)
      yield* asItWas(made, before)
    }), 90_000)

  live("hangs for a while in the hold", needs, () =>
    Effect.gen(function*() {
      const { docker } = yield* site
      const made = yield* shop(yield* site, "hung", lasting, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* made.start(["run", "--json"])
      yield* made.held
      yield* docker.pause
      yield* made.letGo
      yield* Effect.sleep("3 seconds")
      yield* docker.resume
      ended(yield* run.ended, 0, { level: "application" })
      yield* asItWas(made, before)
    }), 90_000)

  live(
    "is restarted like the machine, and nobody is left: only recover brings 'unless-stopped' up",
    needs,
    () =>
      Effect.gen(function*() {
        const { docker } = yield* site
        const made = yield* shop(yield* site, "reboot", lasting, { snapshot: "none" })
        const before = yield* made.project.states
        const run = yield* made.start(["run", "--json"])
        yield* made.held
        // a reboot takes the dead-man too
        process.kill(deadMan(made), "SIGKILL")
        run.signal("SIGKILL")
        yield* docker.restart
        assert.deepStrictEqual(yield* made.project.states, { "db-1": "exited", "web-1": "exited" })
        assert.strictEqual((yield* made.quiesce(["status"])).code, 4)
        const { code, stdout } = yield* made.quiesce(["recover"])
        assert.strictEqual(code, 0, stdout)
        assert.include(stdout, "reboot/db: started")
        yield* asItWas(made, before)
        yield* made.letGo
      }),
    90_000
  )
})
