import { assert, describe } from "@effect/vitest"
import { Effect, Ref } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../../src/domain/RunId.ts"
import type { VzdumpExit } from "../../../src/domain/VzdumpLog.ts"
import { follow } from "../../../src/internal/vzdump/follow.ts"
import type { EngineJob, JobChange } from "../../../src/services/Engine.ts"
import { samples } from "../../lab/vzdump/host.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { live } from "../../support/live.ts"

const sample = Fs.readFileSync(Path.join(samples, "run-qemu-snapshot-qga-ok.log"), "utf8")

/** Follows a log whose end is told by `ended`, which is also where the log is written. */
const followed = (ended: (log: string, told: VzdumpExit | undefined) => VzdumpExit | undefined) =>
  Effect.gen(function*() {
    const directory = yield* tempDir
    const log = Path.join(directory, "log")
    const changes = yield* Ref.make<ReadonlyArray<JobChange>>([])
    const job: EngineJob = {
      runId: yield* RunId.make,
      report: (change) => Ref.update(changes, (all) => [...all, change]),
      ready: () => Effect.void,
      remember: () => Effect.void,
      cancelled: Effect.succeed(false)
    }
    const end = yield* Effect.either(
      follow(job, { vmid: 200, log, watched: directory, ended: (told) => Effect.sync(() => ended(log, told)) })
    )
    return { end, changes: yield* Ref.get(changes) }
  })

const vanished = { _tag: "Vanished" } as const

describe("a vzdump is followed", () => {
  live("what is told step by step, in the order of the log", [], () =>
    Effect.gen(function*() {
      const { changes, end } = yield* followed((log, told) => {
        Fs.writeFileSync(log, sample)
        return told
      })
      assert.deepStrictEqual(changes, [
        { phase: "running" },
        { effectiveMode: "snapshot" },
        { phase: "snapshotted" },
        { progress: { bytes: 16_777_216, totalBytes: 16_777_216 } }
      ])
      assert.strictEqual(end._tag, "Right")
    }))

  live("to the words that it wrote just before it was seen to be gone", [], () =>
    Effect.gen(function*() {
      const { end } = yield* followed((log, told) => {
        Fs.writeFileSync(log, sample.trimEnd())
        return told ?? vanished
      })
      assert.strictEqual(end._tag, "Right")
      const { end: torn } = yield* followed((log, told) => {
        Fs.writeFileSync(log, sample.slice(0, sample.indexOf("TASK OK") + 3))
        return told ?? vanished
      })
      assert.strictEqual(torn._tag, "Left")
    }))

  live("a word in its output is no exit code", [], () =>
    Effect.gen(function*() {
      const { end } = yield* followed((log) => {
        Fs.writeFileSync(log, sample)
        return vanished
      })
      assert.strictEqual(end._tag, "Left")
    }))
})
