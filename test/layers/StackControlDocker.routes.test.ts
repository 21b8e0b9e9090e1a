/**
 * What the control asks of an engine, so that a proxy in front of its socket can allow that and nothing else.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import type { Service } from "../lab/docker/service.ts"
import { controlOf, docker, stack, unitOf, until, up } from "../internal/docker/site.ts"
import { live } from "../support/live.ts"

const site = docker()

const ping = "GET /_ping"
const version = "GET /version"
const list = "GET /containers/json"
const inspect = "GET /containers/{id}/json"
const stop = "POST /containers/{id}/stop"
const start = "POST /containers/{id}/start"
const command = ["POST /containers/{id}/exec", "POST /exec/{id}/start", "GET /exec/{id}/json"]

/** Every request of a whole cycle with one container of this kind, by a control that knows nothing yet. */
const cycle = Effect.fnUntraced(function*(name: string, service: Service, held: string) {
  const { engine, proxy } = yield* site
  yield* up(engine, name, { web: service, down: {} })
  yield* engine.stop(yield* Effect.map(engine.list(["com.docker.compose.service=down"]), ([one]) => one?.Id ?? ""))
  yield* proxy.forget
  const control = yield* controlOf(proxy.host, name)
  const unit = yield* unitOf(control, "web")
  const { units } = (yield* control.inspect(stack)).units
  yield* control.prepare(stack)
  assert.deepStrictEqual(yield* control.interference(stack, units), [])
  yield* control.stop(stack, unit)
  assert.strictEqual((yield* control.observe(stack, unit)).state, held)
  assert.deepStrictEqual(yield* control.interference(stack, units), [])
  yield* control.start(stack, unit)
  assert.strictEqual((yield* until(control, unit, "running")).state, "running")
  yield* control.start(stack, unit)
  return [...new Set(proxy.asked())].sort()
})

const test = { test: ["CMD-SHELL", "exit 0"], interval: "1 minute" } as const

const hooks = {
  "quiesce.exec.prepare": "true",
  "quiesce.exec.freeze": "true",
  "quiesce.exec.thaw": "true"
}

describe("a whole cycle asks", () => {
  const cases: ReadonlyArray<readonly [name: string, service: Service, routes: ReadonlyArray<string>]> = [
    ["plain", {}, [stop, start]],
    ["checked", { healthcheck: test }, [stop, start, ...command]],
    ["told", { healthcheck: test, labels: { "quiesce.health": "none" } }, [stop, start]],
    ["hooked", { labels: hooks }, [stop, start, ...command]],
    ["paused", { labels: { "quiesce.stop": "pause" } }, [
      "POST /containers/{id}/pause",
      "POST /containers/{id}/unpause"
    ]],
    ["frozen", { labels: { ...hooks, "quiesce.stop": "exec" } }, command]
  ]
  for (const [name, service, routes] of cases) {
    live(
      `${name}: ${routes.join(", ")} beside the questions, and nothing else`,
      ["docker"],
      () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* cycle(`routes-${name}`, service, "stopped"),
            [ping, version, list, inspect, ...routes].sort()
          )
        })
    )
  }

  live(
    "by its identity alone not even for a list, unless the container has gone",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, proxy } = yield* site
        const shop = yield* up(engine, "routes-identity", { web: {} })
        const unit = yield* unitOf(yield* controlOf(proxy.host, "routes-identity"), "web")
        yield* proxy.forget
        const control = yield* controlOf(proxy.host, "routes-identity")
        yield* control.stop(stack, unit)
        yield* control.start(stack, unit)
        assert.deepStrictEqual([...new Set(proxy.asked())].sort(), [ping, inspect, stop, start].sort())
        yield* shop.recreate("web")
        yield* proxy.forget
        yield* control.observe(stack, unit)
        assert.deepStrictEqual(proxy.asked(), [inspect, list, inspect, inspect])
      })
  )

  live("for the version in vain, where that is forbidden", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, proxy } = yield* site
      yield* up(engine, "routes-version", { web: {} })
      yield* proxy.misbehave({ on: version }, { _tag: "Status", status: 403 })
      const control = yield* controlOf(proxy.host, "routes-version")
      assert.strictEqual((yield* control.inspect(stack)).units.units.length, 1)
      assert.strictEqual(proxy.met(), 1)
      yield* proxy.behave
    }))
})
