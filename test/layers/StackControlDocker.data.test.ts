/**
 * Where containers keep data, whether a backup holds it, and who else can write there.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { StackControl } from "../../src/services/StackControl.ts"
import { controlOf, docker, stack, unitsOf, up } from "../internal/docker/site.ts"
import { project } from "../lab/docker/project.ts"
import * as Proxy from "../lab/docker/proxy.ts"
import type { Service } from "../lab/docker/service.ts"
import { live } from "../support/live.ts"
import { tempDir } from "./fixtures/support.ts"

const site = docker()

/** What interferes with a stack, told twice: with it up, and with it down. */
const interference = Effect.fnUntraced(function*(control: StackControl["Type"]) {
  const found = yield* control.interference(stack, Object.values(yield* unitsOf(control)))
  return found.map(({ detail, reason }) => `${reason}: ${detail}`)
})

/** A directory for data with a symbolic link to it. */
const places = Effect.map(tempDir, (directory) => {
  const real = Path.join(Fs.realpathSync(directory), "data")
  const link = Path.join(Fs.realpathSync(directory), "link")
  for (const path of ["db", "other"]) Fs.mkdirSync(Path.join(real, path), { recursive: true })
  Fs.symlinkSync(real, link)
  return { real, link }
})

describe("the data of a stack", () => {
  live("is told, and whether the backup holds it", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const { link, real } = yield* places
      const elsewhere = yield* tempDir
      const volumes = [
        `${real}/db:/real`,
        `${link}/db:/link`,
        `${elsewhere}:/elsewhere:ro`,
        "named:/volume",
        `${elsewhere}/x.sock:/socket.sock`
      ]
      yield* up(engine, "data", { web: { volumes, hostConfig: { Tmpfs: { "/scratch": "" } } } })
      const placesFor = (source?: string) =>
        Effect.gen(function*() {
          const control = yield* controlOf(host, "data", source === undefined ? {} : { source })
          const { data = [] } = yield* control.inspect(stack)
          return Object.fromEntries(data.map(({ covered, kind, path, target, writable }) => [
            target,
            [kind, path.replace(/^.*\/data\/volumes\//, "volumes/"), writable, covered]
          ]))
        })
      const told = (db: boolean | undefined, rest: boolean | undefined) => ({
        "/real": ["bind", `${real}/db`, true, db],
        "/link": ["bind", `${real}/db`, true, db],
        "/elsewhere": ["bind", elsewhere, false, rest],
        "/volume": ["volume", "volumes/data_named/_data", true, rest]
      })
      assert.deepStrictEqual(yield* placesFor(), told(undefined, undefined))
      assert.deepStrictEqual(yield* placesFor(real), told(true, false))
      assert.deepStrictEqual(yield* placesFor(link), told(true, false))
      assert.deepStrictEqual(yield* placesFor(`${real}/other`), told(false, false))
      assert.deepStrictEqual(yield* placesFor("/"), told(true, true))
    }))

  live("on another machine is not said to be in the backup of this one", ["docker"], () =>
    Effect.gen(function*() {
      const { engine } = yield* site
      const { real } = yield* places
      yield* up(engine, "remote", { web: { volumes: [`${real}/db:/db`] } })
      const local = yield* Proxy.make((yield* site).lab.socket)
      const covered = (host: string) =>
        Effect.gen(function*() {
          const { data = [] } = yield* (yield* controlOf(host, "remote", { source: real })).inspect(stack)
          return data.map(({ covered }) => covered)
        })
      assert.deepStrictEqual(yield* covered(local.host), [true])
      // Linux takes it for an address of this machine; the control cannot know that
      assert.deepStrictEqual(yield* covered(local.host.replace("127.0.0.1", "0.0.0.0")), [undefined])
    }))
})

describe("interference", () => {
  const cases: ReadonlyArray<
    readonly [
      name: string,
      service: (real: string, link: string) => Service,
      expected: (real: string) => string | undefined
    ]
  > = [
    ["same", (real) => ({ volumes: [`${real}/db:/x`] }), (real) => `${real}/db`],
    ["parent", (real) => ({ volumes: [`${real}:/x`] }), (real) => real],
    ["below", (real) => ({ volumes: [`${real}/db/wal:/x`] }), (real) => `${real}/db/wal`],
    ["linked", (_, link) => ({ volumes: [`${link}/db:/x`] }), (real) => `${real}/db`],
    ["reader", (real) => ({ volumes: [`${real}:/x:ro`] }), () => undefined],
    ["apart", (real) => ({ volumes: [`${real}/other:/x`] }), () => undefined]
  ]
  for (const [name, service, expected] of cases) {
    live(`of another container: ${name}`, ["docker"], () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const { link, real } = yield* places
        Fs.mkdirSync(`${real}/db/wal`)
        yield* up(engine, `own-${name}`, { db: { volumes: [`${real}/db:/db`] } })
        const control = yield* controlOf(host, `own-${name}`)
        assert.deepStrictEqual(yield* interference(control), [])
        yield* up(engine, `other-${name}`, { tool: service(real, link) })
        const path = expected(real)
        const found = path === undefined ? [] : [`shared-data: other-${name}-tool-1 runs and can write into ${path}`]
        assert.deepStrictEqual((yield* interference(control)).map((text) => text.replace(link, real)), found)
        // one that only exists does not write
        yield* engine.stop((yield* engine.list([`com.docker.compose.project=other-${name}`]))[0]?.Id ?? "")
        assert.deepStrictEqual(yield* interference(control), [])
      }))
  }

  live("where the stack knows its data by a link and the other does not", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const { link, real } = yield* places
      yield* up(engine, "by-link", { db: { volumes: [`${link}/db:/db`] } })
      const control = yield* controlOf(host, "by-link")
      yield* up(engine, "by-path", { tool: { volumes: [`${real}/db:/x`] } })
      assert.deepStrictEqual(yield* interference(control), [
        `shared-data: by-path-tool-1 runs and can write into ${real}/db`
      ])
    }))

  live(
    "of a container that shares a named volume, and of one that writes into what is backed up",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const { link, real } = yield* places
        yield* up(engine, "volumes", {
          db: { volumes: ["v:/db"] },
          left: { volumes: ["v:/x"], labels: { "quiesce.stop": "none" } },
          reader: { volumes: ["v:/x:ro"], labels: { "quiesce.stop": "none" } }
        })
        yield* up(engine, "stranger", { tool: { volumes: [`${real}/other:/x`] } })
        const control = yield* controlOf(host, "volumes", { source: link })
        const found = yield* interference(control)
        assert.strictEqual(found.length, 2)
        assert.match(found.sort()[0] ?? "", /^shared-data: stranger-tool-1 runs and can write into .*\/data\/other$/)
        assert.match(
          found[1] ?? "",
          /^shared-data: volumes-left-1 runs and can write into .*\/volumes\/volumes_v\/_data$/
        )
      })
  )

  live("of what comes up in the hold: a new container of the project, a one-off, one that is down at the plan", [
    "docker"
  ], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const { real } = yield* places
      const shop = yield* up(engine, "window", {
        db: { volumes: [`${real}/db:/db`] },
        idle: { labels: { "quiesce.stop": "none" } },
        tool: { volumes: [`${real}/db:/db`] }
      })
      yield* engine.stop(yield* shop.id("tool"))
      yield* engine.stop(yield* shop.id("idle"))
      const control = yield* controlOf(host, "window")
      const units = Object.values(yield* unitsOf(control))
      for (const unit of units) yield* control.stop(stack, unit)
      const now = Effect.map(control.interference(stack, units), (found) =>
        found.map(({ detail, reason }) => `${reason}: ${detail}`))
      assert.deepStrictEqual(yield* now, [])
      // it was known, and has no data
      yield* engine.start(yield* shop.id("idle"))
      assert.deepStrictEqual(yield* now, [])
      const harmless = yield* shop.oneOff("idle")
      assert.deepStrictEqual(yield* now, [])
      yield* engine.remove(harmless)
      const oneOff = yield* shop.oneOff("tool")
      assert.match((yield* now).join(), /^shared-data: window-tool-run-\w+ runs and can write into .*\/data\/db$/)
      yield* engine.remove(oneOff)
      const more = project(engine, "window", { services: { late: {} } })
      yield* more.up
      assert.deepStrictEqual(yield* now, [
        "restarted-in-window: window-late-1 of project window has come up since the plan"
      ])
      yield* more.remove("late")
      yield* shop.recreate("db")
      const replaced = ["restarted-in-window: window-db-1 of project window has come up since the plan"]
      assert.deepStrictEqual(yield* now, replaced)
      // a look of somebody else at the same control is no new plan
      yield* control.inspect(stack)
      assert.deepStrictEqual(yield* now, replaced)
    }))
})
