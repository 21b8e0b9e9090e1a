import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, FastCheck } from "effect"
import { longest } from "../../../src/domain/DurationText.ts"
import { isEnabled, label, type LabelInvalid, read, type Settings } from "../../../src/internal/docker/settings.ts"

const defaults: Settings = {
  how: "stop",
  stopTimeout: undefined,
  order: 0,
  health: "exec",
  prepare: undefined,
  freeze: undefined,
  thaw: undefined,
  execTimeout: Duration.seconds(30)
}

const settingsOf = (labels: Readonly<Record<string, string>>) => Effect.runSync(read("web", labels))

const refusalOf = (labels: Readonly<Record<string, string>>): LabelInvalid =>
  Effect.runSync(Effect.flip(read("web", labels)))

describe("the labels of a container", () => {
  it("need not be there", () => {
    assert.deepStrictEqual(settingsOf({}), defaults)
    assert.deepStrictEqual(settingsOf({ "quiesce.unknown": "x", "other.stop": "y" }), defaults)
  })

  it("say everything", () => {
    assert.deepStrictEqual(
      settingsOf({
        "quiesce.enable": "true",
        "quiesce.stack": "shop",
        "quiesce.stop": "exec",
        "quiesce.stop-timeout": "1m30s",
        "quiesce.order": "-5",
        "quiesce.health": "docker",
        "quiesce.exec.prepare": "psql -c CHECKPOINT",
        "quiesce.exec.freeze": "[\"freeze\", \"it all\"]",
        "quiesce.exec.thaw": " [\"thaw\"]",
        "quiesce.exec.timeout": "5s"
      }),
      {
        how: "exec",
        stopTimeout: Duration.seconds(90),
        order: -5,
        health: "docker",
        prepare: ["/bin/sh", "-c", "psql -c CHECKPOINT"],
        freeze: ["freeze", "it all"],
        thaw: ["thaw"],
        execTimeout: Duration.seconds(5)
      }
    )
  })

  for (const how of ["stop", "pause", "none"] as const) {
    it(`quiesce.stop=${how}`, () => assert.strictEqual(settingsOf({ [label.stop]: how }).how, how))
  }

  for (const health of ["exec", "docker", "none"] as const) {
    it(`quiesce.health=${health}`, () => assert.strictEqual(settingsOf({ [label.health]: health }).health, health))
  }

  for (const off of ["false", "FALSE", "0", "no", "No"]) {
    it(`quiesce.enable=${off} leaves it alone, whatever else is said`, () => {
      assert.strictEqual(settingsOf({ [label.enable]: off, [label.stop]: "pause" }).how, "none")
      assert.isFalse(isEnabled({ [label.enable]: off }))
    })
  }

  for (const on of ["true", "True", "1", "yes"]) {
    it(`quiesce.enable=${on}`, () => {
      assert.strictEqual(settingsOf({ [label.enable]: on, [label.stop]: "pause" }).how, "pause")
      assert.isTrue(isEnabled({ [label.enable]: on }))
    })
  }

  it("are not enabled where nothing is said", () => {
    assert.isFalse(isEnabled({}))
    assert.isFalse(isEnabled({ [label.enable]: "" }))
    assert.isFalse(isEnabled({ [label.enable]: "constructor" }))
  })

  it("give a time in seconds where there is no unit", () => {
    assert.deepStrictEqual(settingsOf({ [label.stopTimeout]: "90" }).stopTimeout, Duration.seconds(90))
    assert.deepStrictEqual(settingsOf({ [label.execTimeout]: "500ms" }).execTimeout, Duration.millis(500))
    assert.deepStrictEqual(settingsOf({ [label.stopTimeout]: "24d" }).stopTimeout, Duration.days(24))
  })

  const time = "a duration such as 30s or 2m"
  const words = "a command line, or a list of words in JSON"
  // the longest timer is 24 days: a longer one would never fire, and Infinity is no JSON
  const tooLong = ["25d", "9".repeat(20), "9".repeat(400), `${"9".repeat(400)}d`]
  const bad: ReadonlyArray<readonly [label: string, expected: string, values: ReadonlyArray<string>]> = [
    [label.enable, "true or false", ["", "on", "maybe", " true", "constructor", "__proto__"]],
    [label.stop, "stop, pause, exec, none", ["", "Stop", "kill", "pause "]],
    [label.stopTimeout, time, ["", "soon", "-1", "1.5", "5 s", "1s1m", "1e3", ...tooLong]],
    [label.order, "a whole number", ["", "1.5", "first", "+1", "1e3", "--1", "1234567"]],
    [label.health, "exec, docker, none", ["", "healthy", "Docker"]],
    [label.prepare, words, ["", "  ", "[", "[]", "[1]", "[\"a\", 2]", "[\"a\"] b"]],
    [label.freeze, words, ["", "[]"]],
    [label.thaw, words, ["", "[]"]],
    [label.execTimeout, time, ["", "never", ...tooLong]]
  ]
  for (const [name, expected, values] of bad) {
    for (const value of values) {
      it(`refuse ${name}=${JSON.stringify(value.slice(0, 24))}`, () => {
        assert.strictEqual(
          refusalOf({ [name]: value }).message,
          `container web: label ${name}: expected ${expected}, found "${value}"`
        )
      })
    }
  }

  it("want both commands for quiesce.stop=exec", () => {
    const message =
      "container web: label quiesce.stop: expected the labels quiesce.exec.freeze and quiesce.exec.thaw " +
      "beside it, found \"exec\""
    for (const given of [{}, { [label.freeze]: "f" }, { [label.thaw]: "t" }]) {
      assert.strictEqual(refusalOf({ [label.stop]: "exec", ...given }).message, message)
    }
    assert.strictEqual(settingsOf({ [label.stop]: "exec", [label.freeze]: "f", [label.thaw]: "t" }).how, "exec")
    assert.strictEqual(settingsOf({ [label.stop]: "exec", [label.enable]: "no" }).how, "none")
  })

  it("never throw, and what is read can be written as JSON", () => {
    const value = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.constantFrom("stop", "exec", "none", "true", "1m", "-7", "[\"a\"]", "[", "constructor", "__proto__"),
      FastCheck.bigInt().map(String),
      FastCheck.json()
    )
    FastCheck.assert(
      FastCheck.property(
        FastCheck.dictionary(FastCheck.constantFrom(...Object.values(label)), value),
        (labels) => {
          isEnabled(labels)
          const found = Effect.runSync(Effect.either(read("web", labels)))
          if (Either.isLeft(found)) return assert.include(found.left.message, found.left.label)
          const { execTimeout, order, stopTimeout } = found.right
          const numbers = [order, Duration.toMillis(execTimeout), Duration.toMillis(stopTimeout ?? 0)]
          assert.isTrue(numbers.every((number) => number <= Duration.toMillis(longest)), numbers.join())
        }
      ),
      { numRuns: 1000 }
    )
  })
})
