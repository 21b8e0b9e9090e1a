import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ContainerNotFound, EngineTimeout } from "../../../src/internal/docker/errors.ts"
import type { Summary } from "../../../src/internal/docker/schemas.ts"
import { interference, type Known } from "../../../src/internal/docker/witness.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { composeLabels, container, engineOf, idOf, summary } from "./fixtures.ts"

const known: Known = {
  ids: new Set([idOf("db"), idOf("sidecar")]),
  units: new Set([idOf("db")]),
  own: idOf("us"),
  projects: new Set(["shop"]),
  paths: ["/srv/db", "/backup/source"]
}

const nobody = engineOf({})

const seen = (running: ReadonlyArray<Summary>, engine = nobody, now = known) =>
  Effect.map(
    interference(engine, now, [{ identity: { id: idOf("db") } }], running),
    (found) => found.map(({ detail, reason }) => `${reason}: ${detail}`)
  )

const bind = (Source: string, RW = true, Type = "bind") => ({ Type, Source, Destination: "/x", RW })
const other = (...Mounts: ReadonlyArray<object>) => summary("other", {}, { Mounts })

describe("interference", () => {
  it.effect("is a container that can write where the stack does, or into what is backed up", () =>
    Effect.gen(function*() {
      const of = (path: string) => `shared-data: other runs and can write into ${path}`
      for (const path of ["/srv/db", "/srv", "/srv/db/wal", "/", "/backup/source/x", "/backup"]) {
        assert.deepStrictEqual(yield* seen([other(bind("/elsewhere"), bind(path))]), [of(path)])
      }
      assert.deepStrictEqual(yield* seen([other(bind("/srv/db", true, "volume"))]), [of("/srv/db")])
    }))

  it.effect("is none that only reads, writes elsewhere, or shares a socket or a tmpfs", () =>
    Effect.gen(function*() {
      const mounts = [
        bind("/srv/db", false),
        bind("/srv/db2"),
        bind("/srv/db", true, "tmpfs"),
        bind("/srv/db/s.sock")
      ]
      assert.deepStrictEqual(yield* seen([other(...mounts), other()]), [])
    }))

  it.effect("is not what the run holds, nor our own container", () =>
    Effect.gen(function*() {
      const running = ["db", "us"].map((name) => summary(name, composeLabels("db"), { Mounts: [bind("/srv/db")] }))
      assert.deepStrictEqual(yield* seen(running), [])
    }))

  it.effect("is what is left alone, where it writes", () =>
    Effect.gen(function*() {
      const sidecar = (...Mounts: ReadonlyArray<object>) => summary("sidecar", composeLabels("sidecar"), { Mounts })
      assert.deepStrictEqual(yield* seen([sidecar()]), [])
      assert.deepStrictEqual(yield* seen([sidecar(bind("/srv/db"))]), [
        "shared-data: sidecar runs and can write into /srv/db"
      ])
    }))

  it.effect("is a new container of the project", () =>
    Effect.gen(function*() {
      const made = summary("shop-db-1", composeLabels("db"), { Mounts: [] })
      assert.deepStrictEqual(yield* seen([made]), [
        "restarted-in-window: shop-db-1 of project shop has come up since the plan"
      ])
      assert.deepStrictEqual(yield* seen([summary("x", composeLabels("db", { project: "blog" }), { Mounts: [] })]), [])
    }))

  it.effect("is a container of the stack that the plan does not know, also where a later look does", () =>
    Effect.gen(function*() {
      const later = { ...known, units: new Set([idOf("db"), idOf("new")]), ids: new Set([idOf("db"), idOf("new")]) }
      assert.deepStrictEqual(yield* seen([summary("new", composeLabels("db"), { Mounts: [] })], nobody, later), [
        "restarted-in-window: new of project shop has come up since the plan"
      ])
      assert.deepStrictEqual(yield* seen([summary("new", {}, { Mounts: [] })], nobody, later), [
        "restarted-in-window: new has come up since the plan"
      ])
    }))

  it.effect("is a one-off container only where it writes", () =>
    Effect.gen(function*() {
      const labels = { ...composeLabels("db"), "com.docker.compose.oneoff": "True" }
      assert.deepStrictEqual(yield* seen([summary("run", labels, { Mounts: [] })]), [])
      assert.deepStrictEqual(yield* seen([summary("run", labels, { Mounts: [bind("/srv/db")] })]), [
        "shared-data: run runs and can write into /srv/db"
      ])
    }))

  it.scoped("is seen through symbolic links", () =>
    Effect.gen(function*() {
      const directory = Fs.realpathSync(yield* tempDir)
      const [real, link] = [Path.join(directory, "real"), Path.join(directory, "link")]
      Fs.mkdirSync(real)
      Fs.symlinkSync(real, link)
      assert.deepStrictEqual(
        yield* seen([other(bind(link))], nobody, { ...known, paths: [real] }),
        [`shared-data: other runs and can write into ${real}`]
      )
    }))
})

describe("an engine that lists no mounts", () => {
  it.effect("is asked for them", () =>
    Effect.gen(function*() {
      const engine = engineOf({
        inspect: () => Effect.succeed(container("other", { top: { Mounts: [bind("/srv")] } }))
      })
      for (const Mounts of [null, undefined]) {
        assert.deepStrictEqual(yield* seen([summary("other", {}, { Mounts })], engine), [
          "shared-data: other runs and can write into /srv"
        ])
      }
    }))

  it.effect("has lost what has gone meanwhile, and fails where it cannot tell", () =>
    Effect.gen(function*() {
      const asked = { host: "h", route: "GET" }
      const gone = engineOf({ inspect: () => new ContainerNotFound({ ...asked, reason: "gone" }) })
      assert.deepStrictEqual(yield* seen([summary("other")], gone), [])
      const stuck = engineOf({ inspect: () => new EngineTimeout({ ...asked, after: "10s" }) })
      assert.strictEqual((yield* Effect.flip(seen([summary("other")], stuck)))._tag, "EngineTimeout")
    }))
})
