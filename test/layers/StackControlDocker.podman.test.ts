/**
 * Where Podman answers otherwise than Docker. That it keeps the contract is tested beside the other controls.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { controlOf, podman, reasonOf, stack, stubborn, timed, unitOf, unitsOf, up } from "../internal/docker/site.ts"
import { live } from "../support/live.ts"
import { tempDir } from "./fixtures/support.ts"

const site = podman()

describe("Podman", () => {
  live("pauses and goes on; what it refuses is seen", ["podman"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "pause", { web: { labels: { "quiesce.stop": "pause" } } })
      const control = yield* controlOf(host, "pause")
      const unit = yield* unitOf(control, "web")
      const { seen } = yield* control.stop(stack, unit)
      assert.deepStrictEqual([seen?.state, seen?.frozen], ["stopped", true])
      assert.match(yield* reasonOf(control.stop(stack, unit)), /answered 500 to POST \S+\/pause: .*already paused/)
      assert.strictEqual((yield* control.observe(stack, unit)).state, "stopped")
      yield* control.start(stack, unit)
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
    }))

  live("does not stop what somebody has paused, and that is told", ["podman"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "paused", { web: {} })
      const control = yield* controlOf(host, "paused")
      const unit = yield* unitOf(control, "web")
      const id = yield* shop.id("web")
      yield* engine.pause(id)
      assert.match(yield* reasonOf(control.stop(stack, unit)), /answered 500 to POST \S+\/stop: .*paused/)
      assert.match(yield* reasonOf(control.start(stack, unit)), /answered 500 to POST \S+\/start: /)
      assert.strictEqual((yield* control.observe(stack, unit)).state, "unknown")
      yield* engine.unpause(id)
      assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
    }))

  live(
    "gives a container time to end also where it says 0, and tells a kill",
    ["podman"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        yield* up(engine, "grace", {
          web: {
            command: ["sh", "-c", "trap 'sleep 0.5; exit 0' TERM; while :; do sleep 1 & wait $!; done"],
            stopGracePeriod: "0 seconds"
          },
          db: { command: stubborn, stopGracePeriod: "1 second" }
        })
        const control = yield* controlOf(host, "grace")
        const { db, web } = yield* unitsOf(control)
        if (web === undefined || db === undefined) return assert.fail("two units")
        const [first, took] = yield* timed(control.stop(stack, web))
        assert.deepStrictEqual([first.clean, first.seen?.state], [true, "stopped"])
        assert.isAtLeast(took, 450)
        const second = yield* control.stop(stack, db)
        assert.deepStrictEqual([second.clean, second.seen?.detail], [false, "exited, exit code 137"])
        for (const unit of [db, web]) yield* control.start(stack, unit)
        for (const unit of [db, web]) assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
      })
  )

  live(
    "runs commands, and one that takes too long does not get the last word",
    ["podman"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const shop = yield* up(engine, "exec", {
          web: {
            labels: {
              "quiesce.stop": "exec",
              "quiesce.exec.freeze": "test -e /slow || exit 0; sleep 2; touch /frozen",
              "quiesce.exec.thaw": "rm -f /frozen; test ! -e /no-thaw || { echo no; false; }",
              "quiesce.exec.timeout": "1s"
            }
          }
        })
        const id = yield* shop.id("web")
        const control = yield* controlOf(host, "exec")
        const unit = yield* unitOf(control, "web")
        assert.strictEqual((yield* control.stop(stack, unit)).seen?.frozen, true)
        yield* engine.exec(id, ["touch", "/no-thaw"])
        assert.match(yield* reasonOf(control.start(stack, unit)), /its thaw command '.*' ended with 1: no$/)
        yield* engine.exec(id, ["rm", "/no-thaw"])
        yield* control.start(stack, unit)
        assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
        yield* engine.exec(id, ["touch", "/slow"])
        assert.include(yield* reasonOf(control.stop(stack, unit)), "within 1s")
        yield* control.start(stack, unit)
        yield* Effect.sleep("1500 millis")
        assert.strictEqual((yield* engine.exec(id, ["test", "!", "-e", "/frozen"])).code, 0)
      })
  )

  live("asks a health test at once", ["podman"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      yield* up(engine, "health", {
        web: { healthcheck: { test: ["CMD", "true"], interval: "1 minute" } },
        db: { healthcheck: { test: ["CMD", "false"], interval: "1 minute" } }
      })
      const control = yield* controlOf(host, "health")
      const { db, web } = yield* unitsOf(control)
      if (web === undefined || db === undefined) return assert.fail("two units")
      for (const unit of [db, web]) yield* Effect.zipRight(control.stop(stack, unit), control.start(stack, unit))
      yield* Effect.sleep("200 millis")
      assert.strictEqual((yield* control.observe(stack, web)).state, "running")
      assert.strictEqual((yield* control.observe(stack, db)).state, "changing")
    }))

  live("tells who shares data", ["podman"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const directory = Fs.realpathSync(yield* tempDir)
      yield* up(engine, "data", { db: { volumes: [`${directory}:/db`, "v:/v"] } })
      const control = yield* controlOf(host, "data")
      const units = Object.values(yield* unitsOf(control))
      assert.deepStrictEqual(yield* control.interference(stack, units), [])
      yield* up(engine, "other", {
        tool: { volumes: [`${directory}:/x`] },
        reader: { volumes: [`${directory}:/x:ro`] }
      })
      assert.deepStrictEqual(yield* control.interference(stack, units), [
        { reason: "shared-data", detail: `other-tool-1 runs and can write into ${directory}` }
      ])
    }))
})
