/**
 * An engine that breaks, or does not answer: every question and order ends in time, with an error that says what it was,
 * and the same control works again as soon as the engine does.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import type { Unit } from "../../src/domain/Stack.ts"
import type { StackControl, StackControlError, StackNotFound } from "../../src/services/StackControl.ts"
import { controlOf, docker, failureOf, stack, stubborn, timed, unitOf, until, up } from "../internal/docker/site.ts"
import type { Fault } from "../lab/docker/proxy.ts"
import { live } from "../support/live.ts"

const site = docker()

type Control = StackControl["Type"]
type Failure = StackControlError | StackNotFound

const list = "GET /containers/json"
const inspect = "GET /containers/{id}/json"
const stop = "POST /containers/{id}/stop"
const start = "POST /containers/{id}/start"
const exec = "POST /containers/{id}/exec"
const execStart = "POST /exec/{id}/start"

/** What the control is asked to do, and the route at which it breaks. */
const operations: ReadonlyArray<
  readonly [name: string, route: string, run: (control: Control, unit: Unit) => Effect.Effect<unknown, Failure>]
> = [
  ["inspect", list, (control) => control.inspect(stack)],
  ["inspect", inspect, (control) => control.inspect(stack)],
  ["interference", list, (control, unit) => control.interference(stack, [unit])],
  ["observe", inspect, (control, unit) => control.observe(stack, unit)],
  ["stop", stop, (control, unit) => control.stop(stack, unit)],
  ["start", start, (control, unit) => control.start(stack, unit)],
  ["prepare", exec, (control) => control.prepare(stack)],
  ["prepare", execStart, (control) => control.prepare(stack)]
]

const unreachable = /cannot be reached: other side closed|cannot be reached: ECONNRESET|cannot be reached: EPIPE/
const notHttp = /is not that of a Docker engine: Response does not match/
const notJson = /is not that of a Docker engine: /

const faults: ReadonlyArray<readonly [name: string, fault: Fault, reason: RegExp, settled: boolean]> = [
  ["500", { _tag: "Status", status: 500 }, /answered 500 to .*: the proxy says so/, false],
  ["504 of a proxy", { _tag: "Status", status: 504, body: "<html>" }, /answered 504 to .*: <html>/, false],
  ["403", { _tag: "Status", status: 403, body: "" }, /answered 403 to .*: no reason is given/, true],
  ["409", { _tag: "Status", status: 409 }, /cannot do this now: the proxy says so/, true],
  ["garbage", { _tag: "Garbage" }, notHttp, false],
  ["half an answer", { _tag: "Truncated" }, notJson, false],
  ["a cut connection", { _tag: "Close" }, unreachable, false],
  ["a lost answer", { _tag: "LoseAnswer" }, unreachable, false]
]

/** Times that are short for tests. */
const hasty = (unit: Unit): Unit => ({ ...unit, stopTimeoutMs: 2000, startTimeoutMs: 2000 })

const app = Effect.fnUntraced(function*(name: string) {
  const { engine, proxy } = yield* site
  const shop = yield* up(engine, name, {
    web: { labels: { "quiesce.exec.prepare": "true", "quiesce.exec.timeout": "1s" } }
  })
  const control = yield* controlOf(proxy.host, name)
  yield* Effect.addFinalizer(() => proxy.behave)
  return { control, engine, proxy, shop, unit: hasty(yield* unitOf(control, "web")) }
})

const works = Effect.fnUntraced(function*(control: Control, unit: Unit) {
  yield* control.inspect(stack)
  yield* control.prepare(stack)
  assert.strictEqual((yield* control.stop(stack, unit)).seen?.state, "stopped")
  yield* control.start(stack, unit)
  assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
})

describe("an engine that breaks", () => {
  for (const [name, fault, reason, settled] of faults) {
    live(`${name} is an error that says so, and no more than that`, ["docker"], () =>
      Effect.gen(function*() {
        const { control, proxy, unit } = yield* app(`fault-${name.replaceAll(" ", "-")}`)
        for (const [operation, route, run] of operations) {
          // these have no body to be halved
          if (fault._tag === "Truncated" && (route === stop || route === start || route === execStart)) continue
          yield* proxy.misbehave({ on: route }, fault)
          const [error, took] = yield* timed(failureOf(run(control, unit)))
          assert.isAbove(proxy.met(), 0, operation)
          if (error._tag !== "StackControlError") return assert.fail(error.message)
          assert.match(error.reason, reason, `${operation} at ${route}`)
          assert.strictEqual(error.settled, settled, `${operation} at ${route}`)
          assert.isBelow(took, 3000, operation)
          yield* proxy.behave
          // a lost answer to a start or a stop has had its effect
          if (route === stop) yield* control.start(stack, unit)
          if (route === start) assert.strictEqual((yield* until(control, unit, "running")).state, "running")
        }
        yield* works(control, unit)
      }))
  }

  live(
    "a stop whose answer is lost is done, and a start whose answer is lost",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { control, proxy, shop, unit } = yield* app("lost")
        yield* proxy.misbehave({ on: /stop|start/ }, { _tag: "LoseAnswer" })
        const stopped = yield* failureOf(control.stop(stack, unit))
        assert.isFalse(stopped.settled)
        assert.deepStrictEqual(yield* shop.states, { "web-1": "exited" })
        assert.strictEqual((yield* control.observe(stack, unit)).state, "stopped")
        yield* failureOf(control.start(stack, unit))
        assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
        assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
      })
  )

  live("one broken answer to a question is no error, one to an order is", ["docker"], () =>
    Effect.gen(function*() {
      const { control, proxy, unit } = yield* app("once")
      for (const [operation, route, run] of operations) {
        yield* proxy.misbehave({ on: route, times: 1 }, { _tag: "Close" })
        const result = yield* Effect.either(run(control, unit))
        assert.strictEqual(result._tag, route.startsWith("GET") ? "Right" : "Left", operation)
        assert.strictEqual(proxy.met(), 1)
        yield* proxy.behave
      }
    }))

  live(
    "a stop that was sent is not called clean when what it left cannot be seen",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { control, proxy, unit } = yield* app("blind")
        // it is looked at after the stop only
        yield* proxy.misbehave({ on: inspect }, { _tag: "Status", status: 500 })
        const error = yield* failureOf(control.stop(stack, unit))
        assert.match(error.reason, /answered 500/)
        yield* proxy.behave
        assert.strictEqual((yield* control.observe(stack, unit)).state, "stopped")
        yield* control.start(stack, unit)
      })
  )

  live("a health test that cannot be run is not passed", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, proxy } = yield* site
      yield* up(engine, "no-exec", { web: { healthcheck: { test: ["CMD", "true"], interval: "2 seconds" } } })
      const control = yield* controlOf(proxy.host, "no-exec")
      const unit = hasty(yield* unitOf(control, "web"))
      yield* Effect.addFinalizer(() => proxy.behave)
      // as a proxy does that forbids commands
      yield* proxy.misbehave({ on: exec }, { _tag: "Status", status: 403 })
      yield* control.stop(stack, unit)
      yield* control.start(stack, unit)
      // it is not asked in the first moment
      yield* Effect.sleep("200 millis")
      const seen = yield* control.observe(stack, unit)
      assert.strictEqual(seen.state, "changing")
      assert.include(seen.detail, "its test could not be run: the Docker engine answered 403")
      // the verdict of the engine counts as well
      assert.strictEqual((yield* until(control, unit, "running")).state, "running")
    }))
})

describe("an engine that is slow", () => {
  live("is waited for", ["docker"], () =>
    Effect.gen(function*() {
      const { control, proxy, unit } = yield* app("slow")
      yield* proxy.misbehave({ on: /./ }, { _tag: "Delay", millis: 200 })
      const [, took] = yield* timed(works(control, unit))
      assert.isAtLeast(took, 6 * 200)
    }))

  live(
    "or does not answer an order, is waited for as long as the order may take",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { control, proxy, unit } = yield* app("silent")
        const short: Unit = { ...unit, stopTimeoutMs: 700, startTimeoutMs: 700 }
        yield* proxy.misbehave({ on: /^POST/ }, { _tag: "Silent" })
        const orders = [
          [stop, "700ms", control.stop(stack, short)],
          [start, "700ms", control.start(stack, short)],
          [exec, "1s", control.prepare(stack)]
        ] as const
        for (const [route, limit, order] of orders) {
          const [error, took] = yield* timed(failureOf(order))
          if (error._tag !== "StackControlError") return assert.fail(error.message)
          const asked = route.replace("{id}", route === exec ? "{id}" : String(unit.identity["id"]))
          assert.include(error.reason, `did not answer ${asked} within ${limit}`)
          assert.isFalse(error.settled)
          assert.isBelow(took, 2000)
        }
        yield* proxy.behave
        yield* works(control, unit)
      })
  )

  live("can be left: an interruption does not wait for it", ["docker"], () =>
    Effect.gen(function*() {
      const { control, proxy, unit } = yield* app("left")
      yield* proxy.misbehave({ on: /./ }, { _tag: "Silent" })
      for (const [, , run] of operations) {
        const [, took] = yield* timed(Effect.timeoutOption(run(control, unit), "100 millis"))
        assert.isBelow(took, 1000)
      }
      yield* proxy.behave
      yield* works(control, unit)
    }))
})

describe("a daemon that is down", () => {
  live("is said to be so, and the control works when it is back", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host, lab } = yield* site
      const shop = yield* up(engine, "daemon", { web: { restart: "unless-stopped" }, db: {} })
      const control = yield* controlOf(host, "daemon")
      const unit = yield* unitOf(control, "web")
      yield* control.stop(stack, unit)
      yield* lab.stop
      for (const call of [control.inspect(stack), control.observe(stack, unit), control.start(stack, unit)]) {
        const error = yield* failureOf(call)
        assert.match(error.message, /: there is no Docker engine at unix:\/\/\S+: start it, or name another address/)
      }
      yield* lab.start
      // as after a reboot: nobody but us starts it
      assert.deepStrictEqual(yield* shop.states, { "db-1": "exited", "web-1": "exited" })
      yield* control.start(stack, unit)
      assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
      yield* lab.kill
      const error = yield* failureOf(control.observe(stack, unit))
      assert.match(error.reason, /^the Docker engine at unix:\/\/\S+ does not answer \(connection refused\)/)
      yield* lab.start
      yield* control.start(stack, unit)
      assert.strictEqual((yield* control.observe(stack, unit)).state, "running")
    }))

  live("that stands still does not hold anybody for longer than it may, and may do late what it was told", [
    "docker"
  ], () =>
    Effect.gen(function*() {
      const { engine, host, lab } = yield* site
      yield* up(engine, "frozen", { web: {}, db: { command: stubborn, stopGracePeriod: "1 second" } })
      const control = yield* controlOf(host, "frozen")
      const web = yield* unitOf(control, "web")
      yield* Effect.acquireRelease(lab.pause, () => lab.resume)
      const questions = [control.inspect(stack), control.observe(stack, web), control.interference(stack, [web])]
      const [answers, [stopped, tookStop]] = yield* Effect.all([
        Effect.forEach(questions, (question) => timed(failureOf(question)), {
          concurrency: "unbounded"
        }),
        timed(failureOf(control.stop(stack, { ...web, stopTimeoutMs: 1000 })))
      ], { concurrency: 2 })
      for (const [{ message }, took] of answers) {
        assert.match(message, /did not answer GET \/containers\/\S+ within 10s$/)
        assert.isAtLeast(took, 9_900)
        assert.isBelow(took, 12_000)
      }
      assert.match(stopped.reason, /did not answer POST \S+ within 1s$/)
      assert.isFalse(stopped.settled)
      assert.isBelow(tookStop, 2000)
      yield* lab.resume
      // why it is not settled
      assert.strictEqual((yield* until(control, web, "stopped")).state, "stopped")
      yield* control.start(stack, web)
      assert.strictEqual((yield* control.observe(stack, web)).state, "running")
    }))
})
