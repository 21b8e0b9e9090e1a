/**
 * Commands in containers: those that hold and release, and the health tests that say what is up.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import type { Unit } from "../../src/domain/Stack.ts"
import type { StackControl } from "../../src/services/StackControl.ts"
import {
  controlOf,
  docker,
  failureOf,
  reasonOf,
  stack,
  timed,
  unitOf,
  unitsOf,
  until,
  up
} from "../internal/docker/site.ts"
import type { Healthcheck } from "../lab/docker/service.ts"
import { live } from "../support/live.ts"

const site = docker()

/** A container with these labels, and a control over it. */
const app = Effect.fnUntraced(function*(
  name: string,
  labels: Readonly<Record<string, string>>,
  healthcheck?: Healthcheck
) {
  const { engine, host } = yield* site
  const shop = yield* up(engine, name, { web: { labels, ...healthcheck && { healthcheck } } })
  const id = yield* shop.id("web")
  const control = yield* controlOf(host, name)
  const sh = (script: string) => engine.exec(id, ["sh", "-c", script])
  return { control, engine, host, id, name, sh, shop, unit: yield* unitOf(control, "web") }
})

const state = (control: StackControl["Type"], unit: Unit) =>
  Effect.map(control.observe(stack, unit), ({ detail, frozen, state }) => [state, detail, frozen])

const frozen = ["stopped", "held by its freeze command", true]
const unseen = ["unknown", "running, but its thaw command was not seen to end well", undefined]
const running = ["running", "running", undefined]

/** Writes down what is run, in order. */
const hooks = {
  "quiesce.exec.freeze": "echo freeze >> /log; test ! -e /no-freeze",
  "quiesce.exec.thaw": "echo thaw >> /log; test ! -e /no-thaw"
}
const failing = { argv: ["false"], timeoutMs: 1000 }
const exec = { ...hooks, "quiesce.stop": "exec" }

describe("quiesce.stop=exec", () => {
  live("freezes and thaws, and stops nothing", ["docker"], () =>
    Effect.gen(function*() {
      const { control, sh, shop, unit } = yield* app("exec", exec)
      const { clean, seen } = yield* control.stop(stack, unit)
      assert.deepStrictEqual([clean, seen?.state, seen?.frozen, seen?.ended], [true, "stopped", true, undefined])
      assert.deepStrictEqual(yield* state(control, unit), frozen)
      assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
      assert.strictEqual((yield* sh("cat /log")).output, "freeze\nthaw\n")
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))

  live("a freeze command that fails holds nothing, and is thawed", ["docker"], () =>
    Effect.gen(function*() {
      const { control, sh, unit } = yield* app("exec-no-freeze", exec)
      yield* sh("touch /no-freeze")
      assert.strictEqual(
        yield* reasonOf(control.stop(stack, unit)),
        "could not stop stack 'app' (unit 'web'): its freeze command '/bin/sh -c echo freeze >> /log; test ! -e " +
          "/no-freeze' ended with 1"
      )
      assert.deepStrictEqual(yield* state(control, unit), unseen)
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
      assert.strictEqual((yield* sh("cat /log")).output, "freeze\nthaw\n")
    }))

  live("a thaw command that fails leaves it frozen, until one ends well", ["docker"], () =>
    Effect.gen(function*() {
      const { control, sh, unit } = yield* app("exec-no-thaw", {
        ...exec,
        "quiesce.exec.thaw": "echo a lock is held >&2; rm /once"
      })
      yield* control.stop(stack, unit)
      assert.match(
        yield* reasonOf(control.start(stack, unit)),
        /its thaw command '.*' ended with 1: a lock is held\nrm: can't remove '\/once'/
      )
      assert.deepStrictEqual(yield* state(control, unit), frozen)
      yield* sh("touch /once")
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))

  live("what is not up for want of its thaw command is thawed all the same", ["docker"], () =>
    Effect.gen(function*() {
      // a server that does not answer while it is locked
      const { control, unit } = yield* app("exec-unhealthy", {
        ...exec,
        "quiesce.exec.freeze": "touch /frozen",
        "quiesce.exec.thaw": "rm /frozen"
      }, { test: ["CMD", "test", "!", "-e", "/frozen"], interval: "1 minute" })
      yield* control.stop(stack, unit)
      const [, took] = yield* timed(control.start(stack, unit))
      assert.isBelow(took, 3000)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))

  live(
    "another process knows of no freeze, and takes it for up only after its own thaw",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { control, host, name, sh, unit } = yield* app("exec-fresh", exec)
        yield* control.stop(stack, unit)
        const other = yield* controlOf(host, name)
        assert.deepStrictEqual(yield* state(other, unit), unseen)
        yield* other.start(stack, unit)
        assert.deepStrictEqual(yield* state(other, unit), running)
        assert.strictEqual((yield* sh("cat /log")).output, "freeze\nthaw\n")
      })
  )

  live("one that was started again or made again meanwhile is not held", ["docker"], () =>
    Effect.gen(function*() {
      const { control, engine, id, shop, unit } = yield* app("exec-restart", exec)
      yield* control.stop(stack, unit)
      yield* engine.stop(id)
      yield* engine.start(id)
      assert.deepStrictEqual(yield* state(control, unit), unseen)
      yield* control.start(stack, unit)
      yield* control.stop(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), frozen)
      yield* shop.recreate("web")
      assert.deepStrictEqual(yield* state(control, unit), unseen)
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))

  live(
    "one that has gone down meanwhile is started, and thawed when it is up",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { control, engine, id, shop, unit } = yield* app("exec-down", {
          ...exec,
          // as it would fail in a server that is not up yet
          "quiesce.exec.thaw": "test -e /run/up"
        }, { test: ["CMD-SHELL", "test -e /tmp/seen && touch /run/up || ! touch /tmp/seen"], interval: "1 minute" })
        yield* control.stop(stack, unit)
        yield* engine.stop(id)
        assert.strictEqual((yield* control.observe(stack, unit)).state, "stopped")
        yield* control.start(stack, unit)
        assert.deepStrictEqual(yield* state(control, unit), running)
        assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
      })
  )

  live("a freeze command that takes too long does not get the last word", ["docker"], () =>
    Effect.gen(function*() {
      const labels = {
        "quiesce.stop": "exec",
        "quiesce.exec.freeze": "sleep 3; touch /frozen",
        "quiesce.exec.thaw": "rm -f /frozen",
        "quiesce.exec.timeout": "1s"
      }
      const { control, host, name, sh, unit } = yield* app("exec-slow", labels)
      assert.match(
        yield* reasonOf(control.stop(stack, unit)),
        /did not answer POST \/containers\/\{id\}\/exec within 1s$/
      )
      assert.deepStrictEqual(yield* state(control, unit), unseen)
      // also for a process that has not sent it
      const other = yield* controlOf(host, name)
      const [, took] = yield* timed(other.start(stack, unit))
      assert.isAbove(took, 1000)
      assert.deepStrictEqual(yield* state(other, unit), running)
      yield* Effect.sleep("500 millis")
      assert.strictEqual((yield* sh("test ! -e /frozen")).code, 0)
    }))

  live("a freeze command that never ends is thawed, and not called so", ["docker"], () =>
    Effect.gen(function*() {
      const labels = {
        ...exec,
        "quiesce.exec.freeze": "echo $$ > /pid; exec sleep 100",
        "quiesce.exec.timeout": "500ms"
      }
      const { control, sh, unit } = yield* app("exec-endless", labels)
      const short = { ...unit, startTimeoutMs: 1500 }
      yield* failureOf(control.stop(stack, short))
      assert.include(
        yield* reasonOf(control.start(stack, short)),
        "its thaw command was run, but its freeze command has not ended yet"
      )
      assert.deepStrictEqual(yield* state(control, short), unseen)
      assert.strictEqual((yield* sh("cat /log")).output, "thaw\n")
      yield* sh("kill $(cat /pid)")
      // the engine may take a while to see its end
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, short), running)
    }))
})

describe("a stop with commands", () => {
  live("freezes before, and thaws when it is up again; in every cycle", ["docker"], () =>
    Effect.gen(function*() {
      const { control, engine, id, sh, unit } = yield* app("stop-hooks", hooks)
      for (const cycle of [1, 2]) {
        assert.strictEqual((yield* control.stop(stack, unit)).clean, true)
        yield* control.start(stack, unit)
        assert.deepStrictEqual(yield* state(control, unit), running)
        assert.strictEqual((yield* sh("cat /log")).output, "freeze\nthaw\n".repeat(cycle))
      }
      // what the thaw of an earlier start did does not count for this one, also where somebody else has stopped it
      for (const stop of [control.stop(stack, unit), engine.stop(id)]) {
        yield* stop
        yield* failureOf(control.start(stack, { ...unit, identity: { ...unit.identity, thaw: failing } }))
        assert.deepStrictEqual(yield* state(control, unit), unseen)
        yield* control.start(stack, unit)
        assert.deepStrictEqual(yield* state(control, unit), running)
      }
    }))

  live("is not sent when the freeze fails", ["docker"], () =>
    Effect.gen(function*() {
      const { control, sh, shop, unit } = yield* app("stop-no-freeze", hooks)
      yield* sh("touch /no-freeze")
      yield* failureOf(control.stop(stack, unit))
      assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
      assert.deepStrictEqual(yield* state(control, unit), unseen)
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))

  live("is thawed also where only the thaw brings it up", ["docker"], () =>
    Effect.gen(function*() {
      // a mode of maintenance that is kept on disk, and that the health test sees
      const { control, unit } = yield* app("stop-maintenance", {
        "quiesce.exec.freeze": "touch /maintenance",
        "quiesce.exec.thaw": "rm /maintenance"
      }, { test: ["CMD", "test", "!", "-e", "/maintenance"], interval: "1 minute" })
      const short = { ...unit, startTimeoutMs: 31_000 }
      yield* control.stop(stack, short)
      yield* control.start(stack, short)
      assert.deepStrictEqual(yield* state(control, short), running)
    }))
})

describe("quiesce.exec.prepare", () => {
  live(
    "is run in every container that is up and held, and its failure is told",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const labels = { "quiesce.exec.prepare": "echo p >> /log; test ! -e /no" }
        const shop = yield* up(engine, "prepare", {
          db: { labels },
          web: { labels },
          alone: { labels: { ...labels, "quiesce.stop": "none" } },
          down: { labels }
        })
        yield* engine.stop(yield* shop.id("down"))
        const control = yield* controlOf(host, "prepare")
        yield* control.prepare(stack)
        yield* control.prepare(stack)
        const log = (service: string) =>
          Effect.flatMap(shop.id(service), (id) => engine.exec(id, ["sh", "-c", "cat /log || :"]))
        assert.strictEqual((yield* log("db")).output, "p\np\n")
        assert.strictEqual((yield* log("web")).output, "p\np\n")
        assert.notInclude((yield* log("alone")).output, "p\np\n")
        yield* engine.exec(yield* shop.id("web"), ["touch", "/no"])
        assert.strictEqual(
          yield* reasonOf(control.prepare(stack)),
          "could not prepare stack 'app': web: '/bin/sh -c echo p >> /log; test ! -e /no' ended with 1: "
        )
      })
  )
})

describe("the health of a container", () => {
  /** Up a second after its start; the engine looks only after an interval. */
  const late = (interval: Healthcheck["interval"]): Healthcheck => ({
    test: ["CMD-SHELL", "test -e /dev/shm/up || { sleep 1; touch /dev/shm/up; false; }"],
    ...interval === undefined ? {} : { interval }
  })

  /** How long it takes from the start to being up. */
  const comesUp = (control: StackControl["Type"], unit: Unit) =>
    Effect.gen(function*() {
      yield* control.stop(stack, unit)
      return yield* timed(Effect.zipRight(control.start(stack, unit), until(control, unit, "running")))
    })

  live("is asked at once, not after an interval of 30 seconds", ["docker"], () =>
    Effect.gen(function*() {
      const { control, unit } = yield* app("health-exec", {}, late("30 seconds"))
      assert.strictEqual(unit.identity["gate"], "exec")
      const [seen, took] = yield* comesUp(control, unit)
      assert.strictEqual(seen.state, "running")
      assert.isBelow(took, 5000)
    }))

  live("is what the engine says, with quiesce.health=docker", ["docker"], () =>
    Effect.gen(function*() {
      const { control, engine, id, unit } = yield* app("health-docker", { "quiesce.health": "docker" }, {
        test: ["CMD", "true"],
        interval: "2 seconds"
      })
      yield* control.stop(stack, unit)
      const [, took] = yield* timed(control.start(stack, unit))
      assert.isBelow(took, 1500)
      assert.deepStrictEqual(yield* state(control, unit), ["changing", "its health is 'starting'", undefined])
      assert.strictEqual((yield* until(control, unit, "running")).state, "running")
      assert.strictEqual((yield* engine.inspect(id)).State.Health?.Status, "healthy")
    }))

  live("is not asked for, with quiesce.health=none", ["docker"], () =>
    Effect.gen(function*() {
      const { control, unit } = yield* app("health-none", { "quiesce.health": "none" }, {
        test: ["CMD", "false"],
        interval: "1 minute"
      })
      yield* control.stop(stack, unit)
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))

  live("is never up while its test fails, or hangs", ["docker"], () =>
    Effect.gen(function*() {
      const failing = yield* app("health-never", {}, { test: ["CMD-SHELL", "echo no; exit 2"], interval: "1 minute" })
      const hanging = yield* app("health-hangs", {}, {
        test: ["CMD", "sleep", "100"],
        timeout: "1 second",
        interval: "1 minute"
      })
      for (const { control, unit } of [failing, hanging]) {
        yield* control.stop(stack, unit)
        yield* control.start(stack, unit)
      }
      // it is not asked in the first moment
      yield* Effect.sleep("200 millis")
      assert.deepStrictEqual(yield* state(failing.control, failing.unit), [
        "changing",
        "its health is 'starting', its test ended with 2: no",
        undefined
      ])
      const [seen, took] = yield* timed(state(hanging.control, hanging.unit))
      assert.strictEqual(seen[0], "changing")
      assert.include(seen[1], "its test could not be run: ")
      assert.isBelow(took, 3000)
    }))

  live("counts for the order: a dependant waits until it is up", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      yield* up(engine, "health-order", {
        db: { healthcheck: { test: ["CMD", "true"], interval: "200 millis" } },
        web: { dependsOn: { db: { condition: "service_healthy" } } },
        side: { dependsOn: { db: { condition: "service_started" } } }
      })
      const units = yield* unitsOf(yield* controlOf(host, "health-order"))
      assert.deepStrictEqual(units["web"]?.after?.map(({ until }) => until), ["up"])
      assert.deepStrictEqual(units["side"]?.after?.map(({ until }) => until), ["started"])
    }))

  live("is not asked of what is unhealthy before the run", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "health-sick", {
        web: { healthcheck: { test: ["CMD", "false"], interval: "100 millis", retries: 1 } }
      })
      yield* engine.until(yield* shop.id("web"), "unhealthy", ({ State }) => State.Health?.Status === "unhealthy")
      const control = yield* controlOf(host, "health-sick")
      const unit = yield* unitOf(control, "web")
      assert.strictEqual(unit.identity["gate"], "running")
      yield* control.stop(stack, unit)
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* state(control, unit), running)
    }))
})
