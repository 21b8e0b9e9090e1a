import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Report } from "../../src/domain/Report.ts"
import { RunId } from "../../src/domain/RunId.ts"
import * as ReportStoreFile from "../../src/layers/ReportStoreFile.ts"
import { ReportStore } from "../../src/services/ReportStore.ts"
import { live } from "../support/live.ts"
import { tempDir } from "./fixtures/support.ts"

const report = (n: number): Report => ({
  type: "report",
  schemaVersion: 1,
  runId: RunId.make(`01900000-0000-7000-8000-${String(n).padStart(12, "0")}`),
  startedAt: "2026-01-01T00:00:00.000Z",
  outcome: "ok",
  exitCode: 0,
  consistency: { level: "application", reasons: [] },
  mode: "snapshot",
  stacks: [],
  phases: [],
  totalMs: n,
  artifact: null,
  warnings: [],
  error: null
})

const sandbox = Effect.gen(function*() {
  const stateDir = Path.join(yield* tempDir, "state")
  const store = yield* ReportStore.pipe(Effect.provide(ReportStoreFile.layer({ stateDir })))
  return { stateDir, store, directory: Path.join(stateDir, "reports") }
})

describe("ReportStoreFile", () => {
  live("keeps the last 20, newest first", [], () =>
    Effect.gen(function*() {
      const { directory, store } = yield* sandbox
      assert.deepStrictEqual(yield* store.list, [])
      for (let n = 1; n <= 23; n++) yield* store.save(report(n))
      const kept = yield* store.list
      assert.deepStrictEqual(kept.map(({ totalMs }) => totalMs), Array.from({ length: 20 }, (_, n) => 23 - n))
      assert.deepStrictEqual(kept[0], report(23))
      assert.strictEqual(Fs.readdirSync(directory).length, 20)
    }))

  live("saves the same run again in its place, for this user alone", [], () =>
    Effect.gen(function*() {
      const { directory, store } = yield* sandbox
      yield* store.save(report(1))
      yield* store.save({ ...report(1), warnings: ["again"] })
      assert.deepStrictEqual((yield* store.list).map(({ warnings }) => warnings), [["again"]])
      const [file = ""] = Fs.readdirSync(directory)
      assert.strictEqual(Fs.statSync(Path.join(directory, file)).mode & 0o777, 0o600)
    }))

  live("leaves out what cannot be read", [], () =>
    Effect.gen(function*() {
      const { directory, store } = yield* sandbox
      yield* store.save(report(1))
      Fs.writeFileSync(Path.join(directory, "9.json"), "{\"type\":")
      Fs.writeFileSync(Path.join(directory, "8.json"), "")
      Fs.mkdirSync(Path.join(directory, "7.json"))
      Fs.symlinkSync("/etc/passwd", Path.join(directory, "6.json"))
      Fs.writeFileSync(Path.join(directory, "x.json.tmp"), "{}")
      assert.deepStrictEqual((yield* store.list).map(({ totalMs }) => totalMs), [1])
    }))

  live("fails typed where it cannot write", [], () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* sandbox
      Fs.writeFileSync(stateDir, "in the way")
      const error = yield* Effect.flip(store.save(report(1)))
      assert.strictEqual(error._tag, "ReportStoreError")
      assert.match(error.message, /could not save the report: .*not a directory/)
      assert.strictEqual((yield* Effect.flip(store.list)).operation, "read")
    }))
})
