import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Layer, Logger } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import * as JobStoreFile from "../../src/layers/JobStoreFile.ts"
import { type JobRecord, JobStore } from "../../src/services/JobStore.ts"
import { tempDir } from "./fixtures/support.ts"

const storeAt = (stateDir: string) =>
  Effect.flatMap(Layer.build(JobStoreFile.layer({ stateDir })), (context) => Effect.provide(JobStore, context))

const setUp = Effect.gen(function*() {
  const stateDir = Path.join(yield* tempDir, "state")
  return { stateDir, store: yield* storeAt(stateDir) }
})

const idAt = (n: number) => RunId.RunId.make(`0000000${n}-0000-7000-8000-000000000000`)

const record = (guest: string, n: number, phase = "queued"): JobRecord => ({
  version: 1,
  guest,
  runId: idAt(n),
  status: { runId: idAt(n), revision: 1, phase }
})

describe("JobStoreFile", () => {
  it.scoped("gives back what was saved, the oldest first, also to the next process", () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      assert.deepStrictEqual(yield* store.list, [])
      const handled = { ...record("web1", 3), handle: "UPID:x" }
      for (const one of [handled, record("db1", 1), record("web1", 2)]) yield* store.save(one)
      const all = [record("db1", 1), record("web1", 2), handled]
      assert.deepStrictEqual(yield* store.list, all)
      const again = yield* storeAt(stateDir)
      assert.deepStrictEqual(yield* again.list, all)
      yield* store.save(record("web1", 2, "done"))
      assert.deepStrictEqual((yield* again.list)[1], record("web1", 2, "done"))
      assert.strictEqual(Fs.statSync(Path.join(stateDir, "jobs/web1", `${idAt(2)}.json`)).mode & 0o777, 0o600)
    }))

  it.scoped("forgets one; one that is not there is a success", () =>
    Effect.gen(function*() {
      const { store } = yield* setUp
      yield* store.remove(record("web1", 1))
      yield* store.save(record("web1", 1))
      yield* store.save(record("web1", 2))
      yield* store.remove(record("web1", 1))
      yield* store.remove(record("web1", 1))
      assert.deepStrictEqual(yield* store.list, [record("web1", 2)])
    }))

  it.scoped("leaves what is damaged or foreign alone, and says so", () => {
    const lines: Array<string> = []
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ message }) => {
        lines.push(String(message))
      })
    )
    return Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      for (const n of [1, 2, 3, 4]) yield* store.save(record("web1", n))
      const directory = Path.join(stateDir, "jobs", "web1")
      const path = (n: number) => Path.join(directory, `${idAt(n)}.json`)
      Fs.writeFileSync(path(1), "{")
      Fs.writeFileSync(path(2), Fs.readFileSync(path(3)))
      Fs.rmSync(path(4))
      Fs.symlinkSync(path(3), path(4))
      Fs.writeFileSync(Path.join(directory, "notes.txt"), "")
      Fs.writeFileSync(`${path(5)}.tmp`, "half")
      Fs.writeFileSync(Path.join(stateDir, "jobs", "file"), "")
      assert.deepStrictEqual(yield* store.list, [record("web1", 3)])
      assert.strictEqual(lines.length, 4, lines.join("\n"))
      for (const n of [1, 2, 4]) assert.isTrue(lines.some((line) => line.includes(path(n))))
      assert.isTrue(Fs.existsSync(path(1)) && Fs.existsSync(path(2)))
    }).pipe(Effect.provide(logger))
  })

  it.scoped("writes nowhere else, whatever the names", () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      for (const guest of ["..", "../x", "a/b", "", "a\0b", "a..b"]) {
        for (const call of [store.save(record(guest, 1)), store.remove(record(guest, 1))]) {
          assert.isTrue(Either.isLeft(yield* Effect.either(call)), JSON.stringify(guest))
        }
      }
      const wrong = { ...record("web1", 1), runId: "../../x" as RunId.RunId }
      assert.isTrue(Either.isLeft(yield* Effect.either(store.save(wrong))))
      assert.isTrue(Either.isLeft(yield* Effect.either(store.remove(wrong))))
      assert.isFalse(Fs.existsSync(stateDir))
    }))
})
