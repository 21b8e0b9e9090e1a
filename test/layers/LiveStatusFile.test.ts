import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { LiveRun } from "../../src/domain/LiveRun.ts"
import { RunId } from "../../src/domain/RunId.ts"
import * as LiveStatusFile from "../../src/layers/LiveStatusFile.ts"
import { LiveStatus } from "../../src/services/LiveStatus.ts"

const live: LiveRun = {
  runId: RunId.make("01936f00-0000-7000-8000-000000000001"),
  at: "2026-01-01T00:00:00.000Z",
  phase: "running",
  stacks: [],
  progress: null
}

const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "quiesce-test-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

describe("LiveStatusFile", () => {
  it.scopedLive("shows, replaces and clears; what is no state is nothing", () =>
    Effect.gen(function*() {
      const stateDir = yield* directory
      yield* Effect.gen(function*() {
        const status = yield* LiveStatus
        assert.isTrue(Option.isNone(yield* status.read))
        yield* status.publish(live)
        yield* status.publish({ ...live, phase: "done" })
        assert.deepStrictEqual(yield* status.read, Option.some({ ...live, phase: "done" as const }))
        assert.strictEqual(Fs.statSync(Path.join(stateDir, "live.json")).mode & 0o777, 0o600)
        Fs.writeFileSync(Path.join(stateDir, "live.json"), "{")
        assert.isTrue(Option.isNone(yield* status.read))
        yield* status.clear
        yield* status.clear
        assert.deepStrictEqual(Fs.readdirSync(stateDir), [])
      }).pipe(Effect.provide(LiveStatusFile.layer({ stateDir })))
    }))

  it.scopedLive("a directory that is gone harms nobody, a planted symlink is not followed", () =>
    Effect.gen(function*() {
      const stateDir = yield* directory
      const victim = Path.join(stateDir, "victim")
      Fs.writeFileSync(victim, "mine")
      Fs.symlinkSync(victim, Path.join(stateDir, "live.json.tmp"))
      const publish = Effect.flatMap(LiveStatus, (status) => status.publish(live))
      yield* Effect.provide(publish, LiveStatusFile.layer({ stateDir }))
      assert.strictEqual(Fs.readFileSync(victim, "utf8"), "mine")
      yield* Effect.provide(publish, LiveStatusFile.layer({ stateDir: Path.join(stateDir, "gone") }))
    }))
})
