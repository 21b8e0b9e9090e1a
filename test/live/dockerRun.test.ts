/**
 * `quiesce run` on real containers: what is stopped and started, in which order, and what is claimed of it.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as PostgresService from "../lab/docker/postgres.ts"
import { make as makeWriter } from "../lab/docker/postgresWriter.ts"
import type { Service } from "../lab/docker/service.ts"
import { live } from "../support/live.ts"
import { asItWas, ended, meddled, shared, shop, sourceOf } from "./dockerSite.ts"

const needs = ["docker", "tar", "zstd", "flock"] as const
const site = shared(["bb", "pg"])

/** A shell that runs this, and then waits for its end. */
const shell = (text: string): ReadonlyArray<string> => [
  "sh",
  "-c",
  `trap 'exit 0' TERM; ${text}; while :; do sleep 1 & wait $!; done`
]

describe("a Compose project", () => {
  live("PostgreSQL, what depends on it, and a client that is promised its rows", needs, () =>
    Effect.gen(function*() {
      const { docker, work } = yield* site
      const data = Path.join(sourceOf({ docker, work }, "pgshop"), "pg")
      Fs.mkdirSync(data)
      const server = yield* PostgresService.make({
        data,
        service: { labels: { "quiesce.exec.prepare": "psql -h 127.0.0.1 -qc CHECKPOINT" } }
      })
      const made = yield* shop({ docker, work }, "pgshop", {
        db: server.service,
        web: { dependsOn: { db: { condition: "service_healthy" } } },
        proxy: { dependsOn: { web: { condition: "service_started" } } }
      })
      const writer = yield* makeWriter(server)
      const before = yield* made.project.states
      const report = ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })
      assert.deepStrictEqual(report.warnings, [])
      yield* asItWas(made, before)

      const [db, web, proxy] = yield* Effect.all(
        ["db", "web", "proxy"].map((service) => Effect.map(made.project.inspect(service), ({ State }) => State))
      )
      const order = [
        proxy?.FinishedAt,
        web?.FinishedAt,
        db?.FinishedAt,
        db?.StartedAt,
        web?.StartedAt,
        proxy?.StartedAt
      ]
      assert.deepStrictEqual(order, order.toSorted(), "dependents go down first and come up last")

      yield* writer.next
      const kept = new Set((yield* server.query("select id::int4 from journal")).map((row) => Number(row["id"])))
      const lost = writer.acknowledged().filter(({ id }) => !kept.has(id))
      assert.deepStrictEqual(lost, [])
    }), 120_000)

  live("a health test that passes long before Docker would try it", needs, () =>
    Effect.gen(function*() {
      const ready: Service = {
        command: shell("rm -f /ready; sleep 1; touch /ready"),
        healthcheck: { test: ["CMD", "test", "-e", "/ready"], interval: "4 seconds" }
      }
      const made = yield* shop(yield* site, "slowhealth", {
        db: ready,
        web: { dependsOn: { db: { condition: "service_healthy" } } }
      })
      const before = yield* made.project.states
      const [stack] = ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" }).stacks
      assert.isAbove(stack?.downtimeMs ?? 0, 1_000)
      assert.isBelow(stack?.downtimeMs ?? 0, 3_900)
      yield* asItWas(made, before)
    }))

  live("what was down, paused or made for a moment is left alone", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "mixed", {
        db: {},
        web: { networkMode: "service:db" },
        job: { command: ["true"] },
        idle: {},
        still: {}
      })
      const { engine } = (yield* site).docker
      yield* engine.until(yield* made.project.id("job"), "over", ({ State }) => State.Status === "exited")
      yield* engine.stop(yield* made.project.id("idle"))
      yield* engine.pause(yield* made.project.id("still"))
      const oneOff = yield* made.project.oneOff("db")
      const started = Effect.map(engine.inspect(oneOff), ({ State }) => State.StartedAt)
      const [before, since] = [yield* made.project.states, yield* started]
      // what is paused stands still in the middle of whatever it did
      ended(yield* made.quiesce(["run", "--json"]), 3, { level: "none", reasons: ["not-shut-down"] })
      yield* asItWas(made, before)
      assert.strictEqual(yield* started, since)
      yield* engine.unpause(yield* made.project.id("still"))
      ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })
    }))

  live("thirty containers in three projects", needs, () =>
    Effect.gen(function*() {
      const at = yield* site
      const services: Readonly<Record<string, Service>> = {
        db: {},
        web: { scale: 5, dependsOn: { db: {} } },
        worker: { scale: 4, dependsOn: { db: {} } }
      }
      const names = ["ten1", "ten2", "ten3"]
      const stacks = Object.fromEntries(names.map((name) => [name, { docker: { project: name } }]))
      const [first, ...others] = yield* Effect.forEach(names, (name) => shop(at, name, services, { stacks }))
      if (first === undefined) throw new Error("no project")
      const before = yield* Effect.forEach([first, ...others], ({ project }) => project.states)
      assert.strictEqual(before.flatMap((states) => Object.values(states)).length, 30)
      const report = ended(yield* first.quiesce(["run", "--json"]), 0, { level: "application" })
      assert.strictEqual(report.stacks.length, 3)
      assert.deepStrictEqual(yield* Effect.forEach([first, ...others], ({ project }) => project.states), before)
    }), 120_000)

  live("another container that writes into the data, and one that only reads it", needs, () =>
    Effect.gen(function*() {
      const at = yield* site
      const source = sourceOf(at, "shared")
      const reader = yield* shop(at, "reader", { app: { volumes: [`${source}:/data:ro`] } })
      const made = yield* shop(at, "shared", { db: { volumes: [`${source}:/data`] } })
      ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })
      yield* shop(at, "writer", { app: { volumes: [`${source}:/data`] } })
      const report = ended(yield* made.quiesce(["run", "--json"]), 3, { reasons: ["shared-data"] })
      assert.isTrue(report.warnings.some((warning) => warning.includes("writer-app-1")), report.warnings.join())
      assert.deepStrictEqual(Object.values(yield* reader.project.states), ["running"])
    }))

  live("data outside of the backup is told", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "outside", { db: { volumes: ["elsewhere:/data"] } })
      const { stdout } = yield* made.quiesce(["plan"])
      assert.include(stdout, "NOT IN THE BACKUP")
      const report = ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })
      assert.isTrue(report.warnings.some((warning) => warning.includes("outside")), report.warnings.join())
    }))
})

describe("how a container is held", () => {
  live("paused, and held by a command: not called more than it is", needs, () =>
    Effect.gen(function*() {
      const { docker, work } = yield* site
      const flag = Path.join(sourceOf({ docker, work }, "kinds"), "frozen")
      const made = yield* shop({ docker, work }, "kinds", {
        still: { labels: { "quiesce.stop": "pause" } },
        quiet: {
          volumes: [`${Path.dirname(flag)}:/data`],
          labels: {
            "quiesce.stop": "exec",
            "quiesce.exec.freeze": "touch /data/frozen",
            "quiesce.exec.thaw": "rm -f /data/frozen"
          }
        }
      }, { snapshot: "none" })
      const before = yield* made.project.states
      const run = yield* meddled(made, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* made.project.states, { ...before, "still-1": "paused" })
          assert.isTrue(Fs.existsSync(flag))
        }))
      ended(run, 3, { reasons: ["not-shut-down"] })
      yield* asItWas(made, before)
      assert.isFalse(Fs.existsSync(flag))
    }))

  live("a container that ignores SIGTERM is killed, and that is told", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "deaf", {
        db: { command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], stopGracePeriod: "1 second" }
      })
      const before = yield* made.project.states
      ended(yield* made.quiesce(["run", "--json"]), 3, { reasons: ["unclean-stop"] })
      yield* asItWas(made, before)
    }))

  live("a freeze command that fails: no backup, and the app is up and thawed", needs, () =>
    Effect.gen(function*() {
      const { docker, work } = yield* site
      const source = sourceOf({ docker, work }, "unfrozen")
      const made = yield* shop({ docker, work }, "unfrozen", {
        db: {
          volumes: [`${source}:/data`],
          labels: {
            "quiesce.exec.freeze": "touch /data/maintenance; exit 1",
            "quiesce.exec.thaw": "rm /data/maintenance"
          }
        }
      })
      const before = yield* made.project.states
      ended(yield* made.quiesce(["run", "--json"]), 1)
      yield* asItWas(made, before)
      assert.isFalse(Fs.existsSync(Path.join(source, "maintenance")))
    }))
})

describe("what cannot be held is refused, and nothing is touched", () => {
  const cases: ReadonlyArray<readonly [name: string, Readonly<Record<string, Service>>, said: string]> = [
    ["a container that is removed when it stops", { db: { autoRemove: true } }, "is removed when it stops"],
    [
      "a circle",
      {
        db: { labels: { "quiesce.order": "2" } },
        web: { labels: { "quiesce.order": "1" }, dependsOn: { db: {} } }
      },
      "in a circle"
    ],
    ["a label without a meaning", { db: { labels: { "quiesce.stop": "halt" } } }, "quiesce.stop: expected stop, pause"],
    [
      "a container that restarts again and again",
      { db: {}, loop: { command: ["sh", "-c", "exit 3"], restart: "always" } },
      "restarts again and again"
    ]
  ]
  for (const [index, [name, services, said]] of cases.entries()) {
    live(name, needs, () =>
      Effect.gen(function*() {
        const at = yield* site
        const project = `refused${index}`
        const made = yield* shop(at, project, services)
        const before = yield* made.project.states
        const { code, stderr, stdout } = yield* made.quiesce(["plan"])
        assert.strictEqual(code, 7, stdout + stderr)
        assert.include(stdout + stderr, said)
        const report = ended(yield* made.quiesce(["run", "--json"]), 7)
        assert.include(report.error ?? "", said)
        // one that crashes all the time is in another state at each look
        if (!name.includes("again")) assert.deepStrictEqual(yield* made.project.states, before)
        assert.deepStrictEqual(made.markers(), [])
      }))
  }

  live("a job that others wait for, and that is at work", needs, () =>
    Effect.gen(function*() {
      const at = yield* site
      const first = `[ -e /data/done ] || { touch /data/done; exit 0; }`
      const made = yield* shop(at, "migration", {
        job: { command: shell(first), volumes: [`${sourceOf(at, "migration")}:/data`] },
        web: { dependsOn: { job: { condition: "service_completed_successfully" } } }
      })
      ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })
      yield* at.docker.engine.start(yield* made.project.id("job"))
      const before = yield* made.project.states
      const report = ended(yield* made.quiesce(["run", "--json"]), 7)
      assert.include(report.error ?? "", "is at work")
      yield* asItWas(made, before)
    }))

  live("a project that is not there", needs, () =>
    Effect.gen(function*() {
      const made = yield* shop(yield* site, "there", { db: {} }, { stacks: { x: { docker: { project: "ther" } } } })
      const report = ended(yield* made.quiesce(["run", "--json"]), 7)
      assert.include(report.error ?? "", "did you mean 'there'?")
    }))

  live("an engine that is not there", needs, () =>
    Effect.gen(function*() {
      const at = yield* site
      const made = yield* shop(at, "noengine", { db: {} })
      const config = Path.join(made.directory, "quiesce.yaml")
      Fs.writeFileSync(config, Fs.readFileSync(config, "utf8").replace(at.docker.host, "unix:///nowhere/docker.sock"))
      const report = ended(yield* made.quiesce(["run", "--json"]), 7)
      assert.include(report.error ?? "", "there is no Docker engine at unix:///nowhere/docker.sock")
    }))
})
