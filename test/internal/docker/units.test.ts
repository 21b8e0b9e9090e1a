import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { longest } from "../../../src/domain/DurationText.ts"
import { Unit } from "../../../src/domain/Stack.ts"
import { type Identity, isIdentity } from "../../../src/internal/docker/identity.ts"
import type { Member } from "../../../src/internal/docker/members.ts"
import { type StackLimits, unitOf } from "../../../src/internal/docker/units.ts"
import { composeLabels, type Given, idOf, member, service } from "./fixtures.ts"

const host = "unix:///var/run/docker.sock"
const second = 1e9

const unit = (one: Member, limits: StackLimits = {}): Unit & { readonly identity: Partial<Identity> } =>
  unitOf(one, [one], limits, host)

const web = (given: Given = {}, limits: StackLimits = {}) => unit(member("web", given), limits)

describe("the grace of a container", () => {
  const label = { "quiesce.stop-timeout": "7s" }
  const limits = { stopTimeout: Duration.seconds(20) }
  const own = { StopTimeout: 33 }
  const cases: ReadonlyArray<readonly [string, Given, StackLimits, grace: number | undefined, seconds: number]> = [
    ["says nothing", {}, {}, undefined, 10],
    ["is the container's own", { config: own }, {}, undefined, 33],
    ["is that of the stack before the container's own", { config: own }, limits, 20, 20],
    ["is that of the label before all", { config: own, labels: label }, limits, 7, 7],
    ["is never without end", { config: { StopTimeout: -1 } }, {}, 60, 60],
    ["is not 0, which nobody has asked for", { config: { StopTimeout: 0 } }, {}, 10, 10],
    ["is 0 where the label says so", { labels: { "quiesce.stop-timeout": "0" } }, {}, 0, 0],
    ["is without end for the container, not for the label", { config: { StopTimeout: -1 }, labels: label }, {}, 7, 7],
    ["is given in whole seconds", { labels: { "quiesce.stop-timeout": "1500ms" } }, {}, 2, 2],
    ["is no longer than a timer", { config: { StopTimeout: 1e12 } }, {}, undefined, Duration.toSeconds(longest)]
  ]
  for (const [name, given, limits, grace, seconds] of cases) {
    it(name, () => {
      const made = web(given, limits)
      assert.strictEqual(made.identity.grace, grace)
      assert.strictEqual(made.stopTimeoutMs, seconds * 1000 + 10_000)
    })
  }

  it("has the time of the freeze command before it", () => {
    const labels = { "quiesce.exec.freeze": "f", "quiesce.exec.timeout": "4s" }
    assert.strictEqual(web({ labels }).stopTimeoutMs, 10_000 + 10_000 + 4_000)
  })
})

describe("the time from a start to being up", () => {
  const check = (more: object) => ({ config: { Healthcheck: { Test: ["CMD", "true"], ...more } } })

  it("is a minute without a health test", () => {
    assert.strictEqual(web().startTimeoutMs, 60_000)
    assert.strictEqual(web({ config: { Healthcheck: { Test: ["NONE"] } } }).startTimeoutMs, 60_000)
  })

  it("is what the health test allows", () => {
    const given = check({ Interval: 10 * second, Timeout: 5 * second, Retries: 3, StartPeriod: 30 * second })
    assert.strictEqual(web(given).startTimeoutMs, 75_000)
    assert.strictEqual(web(given).identity.gate, "exec")
    assert.strictEqual(web({ ...given, labels: { "quiesce.health": "docker" } }).startTimeoutMs, 75_000)
  })

  it("is never very short, and never longer than a timer", () => {
    assert.strictEqual(web(check({ Interval: 1e6, Timeout: 1e6, Retries: 1 })).startTimeoutMs, 10_000)
    assert.strictEqual(web(check({ Retries: 1e9 })).startTimeoutMs, Duration.toMillis(longest))
  })

  it("is a minute where the test does not count", () => {
    const sick = { ...check({}), state: { Health: { Status: "unhealthy" } } }
    assert.strictEqual(web(sick).startTimeoutMs, 60_000)
    assert.strictEqual(web(sick).identity.gate, "running")
    assert.strictEqual(web({ ...check({}), labels: { "quiesce.health": "none" } }).startTimeoutMs, 60_000)
  })

  it("is that of the stack before all, with the time of the thaw command", () => {
    const limits = { startTimeout: Duration.seconds(5) }
    assert.strictEqual(web(check({}), limits).startTimeoutMs, 5_000)
    assert.strictEqual(web({ labels: { "quiesce.exec.thaw": "t" } }, limits).startTimeoutMs, 35_000)
  })
})

describe("the unit of a container", () => {
  it("says enough to find it and to start it", () => {
    assert.deepStrictEqual(web().identity, {
      engine: host,
      id: idOf("web"),
      name: "web",
      how: "stop",
      gate: "running"
    })
    const labels = {
      ...composeLabels("web", { number: 2 }),
      "quiesce.stop": "exec",
      "quiesce.exec.freeze": "[\"freeze\"]",
      "quiesce.exec.thaw": "thaw it",
      "quiesce.exec.timeout": "2s"
    }
    assert.deepStrictEqual(web({ labels }).identity, {
      engine: host,
      id: idOf("web"),
      name: "web",
      how: "exec",
      gate: "running",
      freeze: { argv: ["freeze"], timeoutMs: 2000 },
      thaw: { argv: ["/bin/sh", "-c", "thaw it"], timeoutMs: 2000 },
      compose: {
        project: "shop",
        service: "web",
        number: 2,
        workingDir: "/srv/shop",
        configFiles: ["/srv/shop/compose.yaml"]
      }
    })
  })

  it("comes after the others that are held", () => {
    const [db, one] = [service("db"), service("web", "db:service_healthy:true")]
    assert.deepStrictEqual(unitOf(one, [db, one], {}, host).after, [{ unit: db.unit, until: "up" }])
    assert.deepStrictEqual(unitOf(one, [one], {}, host).after, [])
  })

  it("comes back from a marker as it was", () => {
    const json = Schema.parseJson(Unit)
    const labels = { ...composeLabels("web"), "quiesce.stop-timeout": "3s", "quiesce.exec.thaw": "t" }
    for (const made of [web(), web({ labels }), web({ config: { StopTimeout: 1e300 } })]) {
      const back = Schema.decodeSync(json)(Schema.encodeSync(json)(made))
      assert.deepStrictEqual(back, made)
      assert.isTrue(isIdentity(back.identity))
    }
  })
})
