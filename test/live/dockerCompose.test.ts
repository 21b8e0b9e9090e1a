/**
 * A project that the real Docker Compose has made, and that it knows as its own after the run.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { stringify } from "yaml"
import { compose, composeBinary } from "../lab/docker/compose.ts"
import { imageName } from "../lab/docker/images.ts"
import { idle } from "../lab/docker/service.ts"
import { live, skipsForbidden } from "../support/live.ts"
import { ended, shared, shop } from "./dockerSite.ts"

const site = shared(["bb"])

const service = { image: imageName("bb"), pull_policy: "never", network_mode: "none", command: idle }

describe("a project of the real Compose", () => {
  live("is held in its order, with its hooks named, and is the same to Compose afterwards", [
    "docker",
    "tar",
    "zstd",
    "flock"
  ], () =>
    Effect.gen(function*() {
      const program = yield* composeBinary
      if (Option.isNone(program)) return assert.isFalse(skipsForbidden, "there is no Compose v2, and none can be had")
      const at = yield* site
      // its own project is another one, and stays as it is
      const made = yield* shop(at, "bystander", { app: {} }, { stacks: { real: { docker: { project: "real" } } } })
      const file = Path.join(made.directory, "compose.yaml")
      Fs.writeFileSync(
        file,
        stringify({
          services: {
            db: {
              ...service,
              healthcheck: { test: ["CMD", "true"], interval: "1s" },
              pre_stop: [{ command: ["true"] }],
              volumes: [`${made.source}:/data`]
            },
            web: { ...service, scale: 2, depends_on: { db: { condition: "service_healthy" } } },
            side: { ...service, network_mode: "service:db" }
          }
        })
      )
      const run = (...words: ReadonlyArray<string>) =>
        compose(program.value, at.docker.host, "-f", file, "-p", "real", ...words)
      yield* run("up", "-d", "--quiet-pull")
      yield* Effect.addFinalizer(() => Effect.ignore(run("down", "-t", "1")))
      const ids = yield* run("ps", "-q")

      const { stdout } = yield* made.quiesce(["plan"])
      assert.match(stdout, /real: would stop (?:side|web-\d)(?:, (?:side|web-\d)){2}, then db/)
      assert.include(stdout, "db: pre_stop")
      assert.include(stdout, "in the backup")
      ended(yield* made.quiesce(["run", "--json"]), 0, { level: "application" })

      assert.strictEqual(yield* run("ps", "-q"), ids)
      assert.notInclude(yield* run("up", "-d", "--dry-run"), "Recreate")
      assert.deepStrictEqual(yield* made.project.states, { "app-1": "running" })
    }), 120_000)
})
