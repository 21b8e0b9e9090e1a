import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { EngineRefused } from "../../../src/internal/docker/errors.ts"
import * as Health from "../../../src/internal/docker/health.ts"
import { container, engineOf } from "./fixtures.ts"

const second = 1e9

const checked = (Healthcheck: unknown, more: Readonly<Record<string, unknown>> = {}, Status = "starting") =>
  container("web", { config: { Healthcheck, ...more }, state: { Health: { Status } } })

const withTest = (...Test: ReadonlyArray<string>) => checked({ Test })

describe("the words of a health test", () => {
  it("are those of CMD", () => {
    assert.deepStrictEqual(Health.testOf(withTest("CMD", "pg_isready", "-q")), ["pg_isready", "-q"])
  })

  it("go to the shell of the image", () => {
    assert.deepStrictEqual(Health.testOf(withTest("CMD-SHELL", "a && b")), ["/bin/sh", "-c", "a && b"])
    const test = { Test: ["CMD-SHELL", "a && b"] }
    assert.deepStrictEqual(Health.testOf(checked(test, { Shell: ["/bin/bash", "-lc"] })), [
      "/bin/bash",
      "-lc",
      "a && b"
    ])
    assert.deepStrictEqual(Health.testOf(checked(test, { Shell: null })), ["/bin/sh", "-c", "a && b"])
  })

  it("are none where there is no test", () => {
    const none = [undefined, null, {}, { Test: null }, { Test: [] }, { Test: ["NONE"] }, { Test: ["CMD"] }]
    for (const check of [...none, { Test: ["NEW-KIND", "x"] }]) {
      assert.isUndefined(Health.testOf(checked(check)), JSON.stringify(check))
    }
  })
})

describe("the time that a health test may take", () => {
  const budget = (check: Readonly<Record<string, number>>) =>
    Health.budgetMs({ Test: [], Interval: 0, Timeout: 0, Retries: 0, StartPeriod: 0, ...check })

  it("is the start period and all retries", () => {
    assert.strictEqual(
      budget({ Interval: 5 * second, Timeout: 2 * second, Retries: 4, StartPeriod: 60 * second }),
      60_000 + 4 * 7_000
    )
  })

  it("takes the defaults of the engine for zeros", () => {
    assert.strictEqual(budget({}), 3 * 60_000)
    assert.strictEqual(budget({ Interval: second }), 3 * 31_000)
    assert.strictEqual(budget({ Timeout: second }), 3 * 31_000)
    assert.strictEqual(budget({ Retries: 1 }), 60_000)
    assert.strictEqual(budget({ StartPeriod: second }), 181_000)
    assert.strictEqual(budget({ Interval: -1, Timeout: -1, Retries: -1, StartPeriod: -1 }), 3 * 60_000)
  })
})

describe("what counts as up", () => {
  it("is what the label wants, where there is a test", () => {
    for (const wanted of ["exec", "docker"] as const) {
      assert.strictEqual(Health.gateOf(withTest("CMD", "true"), wanted), wanted)
      assert.strictEqual(Health.gateOf(withTest("NONE"), wanted), "running")
    }
    assert.strictEqual(Health.gateOf(withTest("CMD", "true"), "none"), "running")
  })

  it("is no more than running for what is unhealthy now", () => {
    const sick = checked({ Test: ["CMD", "false"] }, {}, "unhealthy")
    assert.strictEqual(Health.gateOf(sick, "exec"), "running")
    assert.strictEqual(Health.gateOf(sick, "docker"), "running")
  })
})

describe("whether a container is up", () => {
  const asked: Array<unknown> = []
  const answering = (exitCode: number, output = "") =>
    engineOf({
      exec: (_, argv, limit) => {
        asked.push([argv, Duration.toMillis(limit)])
        return Effect.succeed({ exitCode, output })
      }
    })
  const nobody = engineOf({})
  const starting = withTest("CMD", "test", "-e", "/up")

  it.effect("is not asked where there is nothing to ask, or the engine has said it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Health.isUp(nobody, starting, "running"), Option.none())
      assert.deepStrictEqual(yield* Health.isUp(nobody, withTest("NONE"), "exec"), Option.none())
      const healthy = checked({ Test: ["CMD", "true"] }, {}, "healthy")
      for (const gate of ["exec", "docker"] as const) {
        assert.deepStrictEqual(yield* Health.isUp(nobody, healthy, gate), Option.none())
      }
    }))

  it.effect("waits for the engine where the label says so", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Health.isUp(nobody, starting, "docker"), Option.some("its health is 'starting'"))
    }))

  it.effect("is what its test says", () =>
    Effect.gen(function*() {
      asked.length = 0
      assert.deepStrictEqual(yield* Health.isUp(answering(0, "fine"), starting, "exec"), Option.none())
      assert.deepStrictEqual(
        yield* Health.isUp(answering(1, "first\nlast"), starting, "exec"),
        Option.some("its health is 'starting', its test ended with 1: last")
      )
      assert.deepStrictEqual(
        yield* Health.isUp(answering(3), starting, "exec"),
        Option.some("its health is 'starting', its test ended with 3")
      )
      assert.deepStrictEqual(asked, Array.from({ length: 3 }, () => [["test", "-e", "/up"], 10_000]))
    }))

  it.effect("waits for the test as long as the engine would, but never long", () =>
    Effect.gen(function*() {
      asked.length = 0
      yield* Health.isUp(answering(0), checked({ Test: ["CMD", "true"], Timeout: 2 * second }), "exec")
      yield* Health.isUp(answering(0), checked({ Test: ["CMD", "true"], Timeout: 60 * second }), "exec")
      assert.deepStrictEqual(asked, [[["true"], 2_000], [["true"], 10_000]])
    }))

  it.effect("is not known where the test cannot be run", () =>
    Effect.gen(function*() {
      const refused = new EngineRefused({ host: "h", route: "POST /x", status: 403, reason: "forbidden" })
      const engine = engineOf({ exec: () => refused })
      assert.deepStrictEqual(
        yield* Health.isUp(engine, starting, "exec"),
        Option.some(
          "its health is 'starting', its test could not be run: the Docker engine answered 403 to POST /x: forbidden"
        )
      )
    }))
})
