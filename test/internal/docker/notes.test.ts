import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Member } from "../../../src/internal/docker/members.ts"
import { notesOn } from "../../../src/internal/docker/notes.ts"
import type { Summary } from "../../../src/internal/docker/schemas.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { composeLabels, type Given, idOf, member, summary } from "./fixtures.ts"

const notes = (members: ReadonlyArray<Member>, running: ReadonlyArray<Summary> = []) => notesOn(members, running)

const policy = (Name: string): Given => ({ host: { RestartPolicy: { Name } } })
const reboot = (who: string) =>
  `${who}: after a reboot in the hold Docker does not start them again; 'quiesce recover' at boot does`

/** The notes on one container, without that on a reboot, which every held container has. */
const on = (given: Given, running: ReadonlyArray<Summary> = []) =>
  Effect.map(notes([member("web", given)], running), (all) => all.filter((note) => note !== reboot("web")))

describe("a person is told", () => {
  it.effect("what the restart policies mean", () =>
    Effect.gen(function*() {
      const all = ["no", "on-failure", "unless-stopped", "always"].map((name) => member(name, policy(name)))
      assert.deepStrictEqual(yield* notes(all), [
        "restart policy 'always' (always): a restart of the daemon in the hold starts them again; the backup is then " +
        "not called application consistent",
        reboot("no, on-failure, unless-stopped")
      ])
      assert.deepStrictEqual(yield* notes([member("a", { ...policy("always"), state: { Status: "exited" } })]), [])
    }))

  it.effect("what is left alone, paused, or held by a command", () =>
    Effect.gen(function*() {
      const how = (name: string) => member(name, { labels: { "quiesce.stop": name } })
      const exec = member("exec", {
        labels: { "quiesce.stop": "exec", "quiesce.exec.freeze": "f", "quiesce.exec.thaw": "t" }
      })
      assert.deepStrictEqual(yield* notes([how("none"), how("pause"), exec]), [
        "none: left alone, as the label says",
        "pause: paused, not stopped; that is crash consistent at best",
        "exec: held by a command, not stopped; that is crash consistent at best"
      ])
    }))

  it.effect("what is paused or unhealthy already", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* on({ state: { Status: "paused" } }), [
        "web: is paused and stays so; its data is crash consistent at best"
      ])
      const sick = { state: { Health: { Status: "unhealthy" } } }
      assert.deepStrictEqual(yield* on(sick), [
        "web: is unhealthy now, so after the start it need only be running"
      ])
      assert.deepStrictEqual(yield* on({ state: { Health: { Status: "healthy" } } }), [])
    }))

  it.effect("of a PostgreSQL that SIGTERM does not end", () =>
    Effect.gen(function*() {
      const note = "web: PostgreSQL with stop signal SIGTERM waits for its clients and is killed at the end of the " +
        "grace period; set 'stop_signal: SIGINT'"
      const pg = (config: Readonly<Record<string, unknown>>) => on({ config: { Image: "postgres:17", ...config } })
      for (const StopSignal of [undefined, "", "SIGTERM", "TERM", "15"]) {
        assert.deepStrictEqual(yield* pg({ StopSignal }), [note], String(StopSignal))
      }
      for (const StopSignal of ["SIGINT", "SIGQUIT", "2"]) assert.deepStrictEqual(yield* pg({ StopSignal }), [])
      const images = [
        "postgres",
        "docker.io/library/postgres@sha256:0",
        "postgis/postgis:16",
        "pgvector/pgvector:pg17",
        "timescale/timescaledb-ha:pg16",
        "bitnami/postgresql:15",
        "registry:5000/postgres"
      ]
      for (const Image of images) assert.deepStrictEqual(yield* pg({ Image }), [note], Image)
      for (const Image of ["mypostgres", "postgres-exporter", "dpage/pgadmin4", "postgrest/postgrest"]) {
        assert.deepStrictEqual(yield* pg({ Image }), [], Image)
      }
      assert.deepStrictEqual(yield* pg({ Image: "mine", Env: ["PGDATA=/d"] }), [note])
    }))

  it.effect("of a container that loses its network", () =>
    Effect.gen(function*() {
      const joined = (to: string, State = "running") =>
        summary("side", {}, { State, HostConfig: { NetworkMode: `container:${idOf(to)}` } })
      assert.deepStrictEqual(yield* on({}, [joined("web")]), [
        "side uses the network of web and is not held with it: it loses its network"
      ])
      assert.deepStrictEqual(yield* on({}, [joined("other")]), [])
      assert.deepStrictEqual(yield* on({ labels: { "quiesce.stop": "pause" } }, [joined("web")]), [
        "web: paused, not stopped; that is crash consistent at best"
      ])
      const both = [member("web"), member("side", { host: { NetworkMode: `container:${idOf("web")}` } })]
      assert.deepStrictEqual(yield* notes(both, [joined("web")]), [reboot("web, side")])
    }))

  it.effect("of what could meddle, and of one-off containers of the project", () =>
    Effect.gen(function*() {
      const image = (Image: string) => summary("other", {}, { Image })
      for (const name of ["willfarrell/autoheal:1.2", "containrrr/watchtower", "ouroboros@sha256:0"]) {
        assert.deepStrictEqual(yield* on({}, [image(name)]), [
          `other (${name}) may start or replace containers in the hold; that is seen, and told`
        ])
      }
      assert.deepStrictEqual(yield* on({}, [image("my-watchtower-page"), image("nginx")]), [])
      const oneOff = (project: string) =>
        summary("run", { ...composeLabels("web", { project }), "com.docker.compose.oneoff": "True" })
      const shop = [
        member("web", { labels: { ...composeLabels("web"), "com.docker.compose.project.config_files": "" } })
      ]
      assert.deepStrictEqual(yield* notes(shop, [oneOff("shop"), oneOff("blog")]), [
        reboot("web"),
        "run: a one-off container of the project; it is left alone"
      ])
    }))

  it.scoped("of the hooks of Compose, which nobody runs", () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const file = Path.join(directory, "compose.yaml")
      const hook = "pre_stop: [{ command: x }]"
      Fs.writeFileSync(file, `services: { web: { ${hook} }, other: { ${hook} } }`)
      const web = (files: string) =>
        member("web", { labels: { ...composeLabels("web"), "com.docker.compose.project.config_files": files } })
      const own = "web: pre_stop: Compose's own hooks are run by Compose alone; use quiesce.exec.freeze and .thaw"
      assert.deepStrictEqual(yield* notes([web(file)]), [reboot("web"), own])
      assert.deepStrictEqual(yield* notes([web(`${file},/gone/a.yaml,/gone/b.yaml`)]), [
        reboot("web"),
        own,
        "/gone/a.yaml, /gone/b.yaml cannot be read here: whether it has hooks is not known; Compose's own are not run"
      ])
    }))
})
