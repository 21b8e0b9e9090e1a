/**
 * What people, containers and the daemon do in the middle of a run: at its end the app is as it was, or the exit code is 4
 * and a marker is there.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs"
import type { RunEvent } from "../../src/domain/Report.ts"
import type { Service } from "../lab/docker/service.ts"
import { live } from "../support/live.ts"
import { asItWas, ended, meddled, shared, type Shop, shop, sourceOf } from "./dockerSite.ts"

const needs = ["docker", "tar", "zstd", "flock"] as const
const site = shared(["bb"])

/** A container that is down a while after it was asked. */
const slow: Service = { command: ["sh", "-c", "trap 'sleep 2; exit 0' TERM; while :; do sleep 1 & wait $!; done"] }

const pair: Readonly<Record<string, Service>> = { db: {}, web: { dependsOn: { db: {} } } }

/** Waits until the containers are as before. */
const becomes = (shop: Shop, states: Readonly<Record<string, string>>) =>
  shop.project.states.pipe(
    Effect.repeat({
      until: (now) => JSON.stringify(now) === JSON.stringify(states),
      schedule: Schedule.spaced("50 millis")
    }),
    Effect.timeout("20 seconds"),
    Effect.orElse(() =>
      Effect.flatMap(shop.project.states, (now) => Effect.sync(() => assert.deepStrictEqual(now, states)))
    )
  )

const is = (state: string) => (event: RunEvent) => event.type === "stack" && event.state === state

describe("people", () => {
  live("start the stack in the middle of the hold", needs, () =>
    Effect.gen(function*() {
      const at = yield* site
      const made = yield* shop(at, "started", pair, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* meddled(made, () => made.project.up)
      ended(run, 3, { reasons: ["not-down-at-snapshot"] })
      yield* asItWas(made, before)
    }))

  live("start and stop it again in the middle of the hold", needs, () =>
    Effect.gen(function*() {
      const { docker } = yield* site
      const made = yield* shop(yield* site, "blinked", pair, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* meddled(made, () =>
        Effect.gen(function*() {
          const db = yield* made.project.id("db")
          yield* docker.engine.start(db)
          yield* docker.engine.stop(db)
        }))
      ended(run, 3, { reasons: ["restarted-in-window"] })
      yield* asItWas(made, before)
    }))

  live("stop it while it is being stopped", needs, () =>
    Effect.gen(function*() {
      const { docker } = yield* site
      const made = yield* shop(yield* site, "both", { db: slow }, { snapshot: "none" })
      const before = yield* made.project.states
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* made.start(["run", "--json"])
        yield* Effect.repeat(Effect.sync(() => run.events.some(is("stopping"))), { until: (so) => so, schedule: soon })
        yield* Effect.fork(docker.engine.stop(yield* made.project.id("db")))
        yield* made.held
        yield* made.letGo
        ended(yield* run.ended, 0, { level: "application" })
      }))
      yield* asItWas(made, before)
    }))

  live("make a container again while it is down", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "anew", pair, { snapshot: "none" })
      const [before, old] = [yield* made.project.states, yield* made.project.id("db")]
      const run = yield* meddled(made, () =>
        Effect.flatMap(made.project.recreate("db"), (id) =>
          Effect.flatMap(site, ({ docker }) =>
            docker.engine.stop(id))))
      const report = ended(run, 3)
      assert.include(report.consistency.reasons, "restarted-in-window")
      yield* asItWas(made, before)
      assert.notStrictEqual(yield* made.project.id("db"), old)
    }))

  live(
    "remove a container while it is down: the line that makes it again, and recover later",
    needs,
    () =>
      Effect.gen(function*() {
        const made = yield* shop(yield* site, "gone", pair, { snapshot: "none", limits: { resumeTimeout: "1s" } })
        const before = yield* made.project.states
        const run = yield* meddled(made, () => made.project.remove("db"))
        const report = ended(run, 4)
        assert.include(
          report.error ?? "",
          "docker compose -p gone --project-directory /srv/gone -f /srv/gone/compose.yaml up -d db"
        )
        assert.strictEqual((yield* made.project.states)["web-1"], "running", "the other one is up all the same")
        assert.strictEqual(made.markers().length, 1)
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 4)
        yield* made.project.up
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 0)
        yield* asItWas(made, before)
      }),
    90_000
  )

  live("a container of the project that comes up beside the stack", needs, () =>
    Effect.gen(function*() {
      const at = yield* site
      const made = yield* shop(at, "added", pair, { snapshot: "none" })
      const more = { ...pair, extra: {} }
      const run = yield* meddled(made, () =>
        Effect.gen(function*() {
          const { project } = yield* Effect.promise(() => import("../lab/docker/project.ts"))
          const grown = project(at.docker.engine, "added", { services: more })
          yield* grown.create
          yield* at.docker.engine.start(yield* grown.id("extra"))
        }))
      const report = ended(run, 3, { reasons: ["restarted-in-window"] })
      assert.isTrue(report.warnings.some((warning) => warning.includes("added-extra-1")), report.warnings.join())
    }))
})

const soon = Schedule.identity<boolean>().pipe(Schedule.addDelay(() => "10 millis"))

describe("containers", () => {
  live(
    "that end at once after their start: exit code 4, and recover once they are mended",
    needs,
    () =>
      Effect.gen(function*() {
        const at = yield* site
        const source = sourceOf(at, "broken")
        const body = "[ -e /data/broken ] && exit 7; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
        const made = yield* shop(at, "broken", {
          db: { command: ["sh", "-c", body], volumes: [`${source}:/data`] },
          web: { dependsOn: { db: {} } }
        }, { snapshot: "none", limits: { resumeTimeout: "2s" } })
        const before = yield* made.project.states
        const run = yield* meddled(made, () => Effect.sync(() => Fs.writeFileSync(`${source}/broken`, "")))
        assert.include(ended(run, 4).error ?? "", "broken/db")
        assert.deepStrictEqual(yield* made.project.states, { ...before, "db-1": "exited" })
        assert.strictEqual(made.markers().length, 1)
        Fs.rmSync(`${source}/broken`)
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 0)
        yield* asItWas(made, before)
      }),
    90_000
  )

  live(
    "that never become healthy again: exit code 4, what depends on them is up, recover once they are",
    needs,
    () =>
      Effect.gen(function*() {
        const at = yield* site
        const source = sourceOf(at, "ill")
        const made = yield* shop(at, "ill", {
          db: {
            volumes: [`${source}:/data`],
            healthcheck: { test: ["CMD-SHELL", "test ! -e /data/ill"], interval: "1 second", retries: 2 }
          },
          web: { dependsOn: { db: { condition: "service_healthy" } } }
        }, { snapshot: "none", limits: { resumeTimeout: "1s" }, stack: { startTimeout: "2s" } })
        const before = yield* made.project.states
        const run = yield* meddled(made, () => Effect.sync(() => Fs.writeFileSync(`${source}/ill`, "")))
        assert.include(ended(run, 4).error ?? "", "health")
        assert.deepStrictEqual(yield* made.project.states, before)
        assert.strictEqual(made.markers().length, 1)
        Fs.rmSync(`${source}/ill`)
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 0)
        yield* asItWas(made, before)
      }),
    90_000
  )
})

describe("the end of the run itself", () => {
  live("kill -9 in the hold: the dead-man brings the containers up", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "killed", pair, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* made.start(["run", "--json"])
      yield* made.held
      const began = performance.now()
      run.signal("SIGKILL")
      yield* becomes(made, before)
      assert.isBelow(performance.now() - began, 5_000)
      yield* Effect.repeat(Effect.sync(() => made.markers().length === 0), { until: (so) => so, schedule: soon }).pipe(
        Effect.timeout("10 seconds")
      )
      yield* made.letGo
    }))

  live("kill -9 while a container is being stopped: it comes up after its stop", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "midstop", { db: slow }, { stack: { stopTimeout: "4s" } })
      const before = yield* made.project.states
      const run = yield* made.start(["run", "--json"])
      yield* Effect.repeat(Effect.sync(() => run.events.some(is("stopping"))), { until: (so) => so, schedule: soon })
      yield* Effect.sleep("300 millis")
      run.signal("SIGKILL")
      yield* Effect.repeat(Effect.sync(() => made.markers().length === 0), { until: (so) => so, schedule: soon }).pipe(
        Effect.timeout("30 seconds")
      )
      yield* asItWas(made, before)
      const { State } = yield* made.project.inspect("db")
      assert.notStrictEqual(State.FinishedAt, "0001-01-01T00:00:00Z", "the stop went on without its run")
    }), 90_000)

  live("SIGTERM in the hold", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "terminated", pair, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* made.start(["run", "--json"])
      yield* made.held
      run.signal("SIGTERM")
      const { code } = yield* run.ended
      assert.strictEqual(code, 143)
      yield* asItWas(made, before)
    }))
})
