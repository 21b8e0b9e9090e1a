import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { live } from "../support/live.ts"
import { initialize, load } from "./postgres.ts"
import { drill, readLog, unpack } from "./postgresDrill.ts"
import { execute, install } from "./postgresInstall.ts"
import { workDirectory } from "./postgresWorkDirectory.ts"
import { longestGap, make as makeWriter } from "./postgresWriter.ts"

const lab = Effect.gen(function*() {
  const work = yield* workDirectory({ prefix: "quiesce lab", needsBytes: 500e6 })
  const programs = yield* install(work)
  const server = yield* initialize(programs, Path.join(work, "notes"))
  return { work, programs, server }
})

describe("the gap that a client sees", () => {
  it("is the longest one that touches the time asked for", () => {
    const moments = [0, 100, 110, 120, 300, 310, 1000]
    assert.deepStrictEqual(longestGap(moments, 105, 305), { from: 120, to: 300, millis: 180 })
    assert.deepStrictEqual(longestGap(moments, 200, 250), { from: 120, to: 300, millis: 180 })
    assert.strictEqual(longestGap(moments, 300, 310).millis, 10)
    assert.deepStrictEqual(longestGap(moments, 900, 5000), { from: 1000, to: 5000, millis: 4000 })
    assert.strictEqual(longestGap([], 0, 100).millis, 0)
  })
})

describe("the log of a start", () => {
  it("tells a clean copy from one that needs recovery", () => {
    const clean = readLog("2026-01-01 UTC [1] LOG:  database system was shut down at 2026-01-01 00:00:00 UTC\n")
    assert.deepStrictEqual(clean, {
      wasShutDown: true,
      recovered: false,
      evidence: "database system was shut down at 2026-01-01 00:00:00 UTC"
    })
    const torn = readLog("x LOG:  database system was not properly shut down; automatic recovery in progress\n")
    assert.isTrue(torn.recovered)
    assert.isFalse(torn.wasShutDown)
  })
})

describe("the PostgreSQL lab", () => {
  live("runs a server by the commands that a stack has", ["postgres"], () =>
    Effect.gen(function*() {
      const { server } = yield* lab
      const { prepare, start, status, stop } = server.argv
      yield* execute(prepare)
      yield* execute(stop)
      assert.isFalse(yield* server.isRunning)
      assert.include(yield* execute(status, { accept: [3] }), "no server running")
      yield* execute(start)
      yield* execute(status)
      assert.isTrue(yield* server.isRunning)
      assert.include((yield* Effect.flip(server.query("select no_such_column"))).message, "no_such_column")
    }))

  live("shows a client the time in which the server is down", ["postgres"], () =>
    Effect.gen(function*() {
      const { server } = yield* lab
      const writer = yield* makeWriter(server)
      for (let row = 0; row < 5; row++) yield* writer.next
      const begin = performance.now()
      yield* server.stop
      yield* Effect.sleep("700 millis")
      yield* server.start
      yield* writer.next
      const gap = writer.longestGap(begin, performance.now())
      assert.isAbove(gap.millis, 700)
      assert.isBelow(gap.millis, 5000)
      const stored = yield* server.query("select id::int4 from journal")
      const ids = new Set(stored.map((row) => row["id"]))
      assert.isAbove(writer.acknowledged().length, 3)
      assert.isTrue(writer.acknowledged().every((row) => ids.has(row.id)))
    }))

  live("starts clean on an archive of a stopped server, and recovers on a copy of a running one", [
    "postgres",
    "tar",
    "zstd"
  ], () =>
    Effect.gen(function*() {
      const { programs, server, work } = yield* lab
      const { rows } = yield* load(server, { megabytes: 8 })
      const writer = yield* makeWriter(server)
      yield* server.stop
      const before = writer.acknowledged().map((row) => row.id)
      const archive = Path.join(work, "x.tar.zst")
      yield* execute(["tar", "-I", "zstd", "-cf", archive, "-C", server.home, "data"])
      yield* server.start
      yield* writer.next
      yield* unpack(archive, Path.join(work, "restored"))
      const clean = yield* drill(programs, Path.join(work, "restored"))
      assert.deepInclude(clean, { started: true, wasShutDown: true, recovered: false, ballast: rows })
      assert.isTrue(before.every((id) => clean.journal.has(id)))

      const copy = Path.join(work, "copy")
      yield* Effect.promise(() => Fs.mkdir(copy))
      yield* execute(["cp", "-a", server.data, copy], { accept: [1] })
      const torn = yield* drill(programs, copy)
      assert.isTrue(torn.recovered)
      assert.isFalse(torn.wasShutDown)
    }))

  live("leaves neither processes nor files", ["postgres"], () =>
    Effect.gen(function*() {
      const { pid, work } = yield* Effect.scoped(Effect.gen(function*() {
        const { server, work } = yield* lab
        const text = yield* Effect.promise(() => Fs.readFile(Path.join(server.data, "postmaster.pid"), "utf8"))
        return { pid: text.split("\n")[0], work }
      }))
      yield* Effect.flip(Effect.tryPromise(() => Fs.access(work)))
      // it may stay a zombie until process 1 takes notice
      yield* Effect.tryPromise(() => Fs.access(`/proc/${pid}`)).pipe(
        Effect.flip,
        Effect.retry({ times: 50, schedule: Schedule.spaced("100 millis") })
      )
    }))
})
