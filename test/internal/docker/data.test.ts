import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Data from "../../../src/internal/docker/data.ts"
import type { Mount } from "../../../src/internal/docker/schemas.ts"
import { tempDir } from "../../layers/fixtures/support.ts"

const mount = (Source: string, more: Partial<Mount> = {}): Mount => ({
  Type: "bind",
  Source,
  Destination: "/data",
  RW: true,
  ...more
})

it("a tmpfs and a socket hold no data", () => {
  assert.isTrue(Data.hasData(mount("/srv/db")))
  assert.isTrue(Data.hasData(mount("/var/lib/docker/volumes/v/_data", { Type: "volume", RW: false })))
  assert.isFalse(Data.hasData(mount("/run/x", { Type: "tmpfs" })))
  assert.isFalse(Data.hasData(mount("", { Type: "tmpfs" })))
  assert.isFalse(Data.hasData(mount("/var/run/docker.sock")))
})

describe("where a container can write", () => {
  it.scoped("is known as it was given, and without symbolic links", () =>
    Effect.gen(function*() {
      const directory = Fs.realpathSync(yield* tempDir)
      const [real, link] = [Path.join(directory, "real"), Path.join(directory, "link")]
      Fs.mkdirSync(real)
      Fs.symlinkSync(real, link)
      assert.deepStrictEqual(yield* Data.writablePaths([mount(link), mount(real), mount("/not/here")]), [
        link,
        real,
        "/not/here"
      ])
    }))

  it.effect("is not where it can only read, nor a socket or a tmpfs", () =>
    Effect.gen(function*() {
      const mounts = [mount("/a", { RW: false }), mount("/b.sock"), mount("/c", { Type: "tmpfs" }), mount("")]
      assert.deepStrictEqual(yield* Data.writablePaths(mounts), [])
    }))
})

it("paths have something in common when one holds the other", () => {
  assert.strictEqual(Data.shared(["/srv/db"], ["/srv/db"]), "/srv/db")
  assert.strictEqual(Data.shared(["/x", "/srv"], ["/srv/db"]), "/srv")
  assert.strictEqual(Data.shared(["/srv/db/wal"], ["/y", "/srv/db"]), "/srv/db/wal")
  assert.strictEqual(Data.shared(["/"], ["/srv/db"]), "/")
  assert.strictEqual(Data.shared(["/srv/..db"], ["/srv"]), "/srv/..db")
  assert.isUndefined(Data.shared(["/srv/db2", "/srv/d", "/sr"], ["/srv/db"]))
  assert.isUndefined(Data.shared([], ["/srv/db"]))
  assert.isUndefined(Data.shared(["/srv/db"], []))
})

describe("a path of our container on the engine's machine", () => {
  const own = {
    Mounts: [
      mount("/volumes/all", { Destination: "/data" }),
      mount("/volumes/db", { Destination: "/data/db" }),
      mount("/elsewhere", { Destination: "" })
    ]
  }

  it.effect("is that of the nearest mount", () =>
    Effect.gen(function*() {
      const path = (here: string) => Data.onEngine(here, own)
      assert.strictEqual(yield* path("/data"), "/volumes/all")
      assert.strictEqual(yield* path("/data/web/x"), "/volumes/all/web/x")
      assert.strictEqual(yield* path("/data/db/pg"), "/volumes/db/pg")
      assert.strictEqual(yield* path("/data/db2"), "/volumes/all/db2")
      assert.isUndefined(yield* path("/other"))
      assert.isUndefined(yield* Data.onEngine("/data", { Mounts: [] }))
    }))
})
