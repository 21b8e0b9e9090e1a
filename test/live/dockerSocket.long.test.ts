/**
 * What is asked of an engine, and what happens when its socket answers late, wrongly or not at all.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Service } from "../lab/docker/service.ts"
import { live } from "../support/live.ts"
import { asItWas, type DockerSite, ended, shared, shop } from "./dockerSite.ts"
import * as Socket from "./dockerSocket.ts"

const needs = ["docker", "tar", "zstd", "flock"] as const
const site = shared(["bb"])

const looks = ["GET /_ping", "GET /version", "GET /containers/json", "GET /containers/{id}/json"]
const acts = ["POST /containers/{id}/stop", "POST /containers/{id}/start"]
const execs = ["POST /containers/{id}/exec", "POST /exec/{id}/start", "GET /exec/{id}/json"]

/** A project whose `quiesce.yaml` names the socket in front. */
const behind = Effect.fnUntraced(function*(at: DockerSite, name: string, services: Readonly<Record<string, Service>>) {
  const made = yield* shop(at, name, services, {
    limits: { resumeTimeout: "3s", prepareTimeout: "5s" },
    stack: { stopTimeout: "1s", startTimeout: "3s" }
  })
  const socket = yield* Socket.make(at.docker.socket, Path.join(made.directory, "front.sock"))
  const config = Path.join(made.directory, "quiesce.yaml")
  Fs.writeFileSync(config, Fs.readFileSync(config, "utf8").replace(at.docker.host, socket.host))
  return { made, socket }
})

describe("the routes that are used", () => {
  const cases: ReadonlyArray<readonly [name: string, service: Service, routes: ReadonlyArray<string>]> = [
    ["plain", {}, [...looks, ...acts]],
    ["health", { healthcheck: { test: ["CMD", "true"], interval: "30 seconds" } }, [...looks, ...acts, ...execs]],
    [
      "hooks",
      {
        labels: {
          "quiesce.exec.prepare": "true",
          "quiesce.exec.freeze": "true",
          "quiesce.exec.thaw": "true"
        }
      },
      [...looks, ...acts, ...execs]
    ],
    [
      "pause",
      { labels: { "quiesce.stop": "pause" } },
      [...looks, "POST /containers/{id}/pause", "POST /containers/{id}/unpause"]
    ]
  ]
  for (const [name, service, routes] of cases) {
    live(`are these and no others: ${name}`, needs, () =>
      Effect.gen(function*() {
        const { made, socket } = yield* behind(yield* site, `routes${name}`, { db: service })
        ended(yield* made.quiesce(["run", "--json"]), name === "pause" ? 3 : 0)
        assert.strictEqual((yield* made.quiesce(["plan"])).code, 0)
        assert.strictEqual((yield* made.quiesce(["recover"])).code, 0)
        assert.deepStrictEqual([...new Set(socket.routes())].sort(), [...routes].sort())
      }))
  }
})

describe("an engine that misbehaves", () => {
  const routes = [...looks.slice(2), ...acts]
  for (const behaviour of Socket.behaviours) {
    live(
      `${behaviour}: the app is as it was, or the exit code is 4 and a marker is there`,
      needs,
      () =>
        Effect.gen(function*() {
          const at = yield* site
          const one = Effect.fnUntraced(function*(route: string, index: number, times: number) {
            const { made, socket } = yield* behind(at, `${behaviour}${index}x${times}`, {
              db: { stopGracePeriod: "1 second" },
              web: { dependsOn: { db: {} }, stopGracePeriod: "1 second" }
            })
            const before = yield* made.project.states
            socket.spoil({ route, behaviour, times })
            const run = yield* made.quiesce(["run", "--json"])
            const what = `${behaviour} at ${route}, ${times} times: ${run.code} ${run.report?.error} ${run.stderr}`
            socket.spoil(undefined)
            if (run.code === 4) {
              assert.strictEqual(made.markers().length, 1, what)
              assert.strictEqual((yield* made.quiesce(["recover"])).code, 0, what)
            } else assert.include([0, 1, 3, 7], run.code, what)
            yield* asItWas(made, before).pipe(Effect.mapError((error) => new Error(`${what}\n${error.message}`)))
            if (times > 1) ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })
          }, Effect.scoped)
          // what lasts longer than one try
          const times = behaviour === "500" || behaviour === "close" ? [1, 3] : [1]
          const cases = routes.flatMap((route, index) => times.map((times) => one(route, index, times)))
          yield* Effect.all(cases, { concurrency: 4, discard: true })
        }),
      180_000
    )
  }
})
