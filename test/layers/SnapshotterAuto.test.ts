import { assert, describe } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as SnapshotterAuto from "../../src/layers/SnapshotterAuto.ts"
import * as SnapshotterNone from "../../src/layers/SnapshotterNone.ts"
import { Snapshotter } from "../../src/services/Snapshotter.ts"
import { loopMount, sh, tmpfs } from "../lab/loopfs.ts"
import { live } from "../support/live.ts"

const names = (path: string) => Effect.promise(() => Fs.readdir(path).then((all) => all.sort()))

const build = (source: string) =>
  Effect.flatMap(
    Layer.build(SnapshotterAuto.layer({ source, stateDir: "/s" })),
    (context) => Effect.provide(Snapshotter, context)
  )

const dataOn = (kind: "btrfs" | "xfs" | "ext4") =>
  Effect.gen(function*() {
    const mount = yield* loopMount(kind)
    const source = Path.join(mount, "data")
    yield* Effect.promise(() => Fs.mkdir(source))
    yield* Effect.promise(() => Fs.writeFile(Path.join(source, "file"), "text"))
    return { mount, source }
  })

describe("SnapshotterAuto", () => {
  live("uses the best that is proved", ["btrfs", "xfs", "flock"], () =>
    Effect.gen(function*() {
      for (
        const [kind, expected, passed] of [
          ["btrfs", "btrfs", []],
          ["xfs", "reflink", ["'btrfs'"]],
          ["ext4", "copy", ["'btrfs'", "'reflink'"]]
        ] as const
      ) {
        const { mount, source } = yield* dataOn(kind)
        const snapshotter = yield* build(source)
        const { notes, snapshotter: chosen } = yield* snapshotter.probe
        assert.strictEqual(chosen, expected)
        assert.deepStrictEqual(notes?.map((note) => note.split(" ")[1]), [...passed])
        assert.notInclude(yield* names(mount), ".quiesce")
        yield* snapshotter.prepare
        yield* Effect.scoped(Effect.gen(function*() {
          const { path } = Option.getOrThrow(yield* Effect.flatten(snapshotter.reserve))
          assert.deepStrictEqual(yield* names(path), ["file"])
        }))
        assert.deepStrictEqual(yield* snapshotter.sweep, [])
      }
    }))

  live("falls back to none where nothing else fits, and says why", ["mount", "flock"], () =>
    Effect.gen(function*() {
      const mount = yield* tmpfs(8)
      const source = Path.join(mount, "data")
      yield* Effect.promise(() => Fs.mkdir(source))
      yield* sh(["dd", "if=/dev/urandom", `of=${Path.join(source, "f")}`, "bs=1M", "count=6", "status=none"])
      const snapshotter = yield* build(source)
      assert.isTrue(Option.isNone(yield* Effect.scoped(Effect.flatten(snapshotter.reserve))), "take probes by itself")
      const { mode, notes = [] } = yield* snapshotter.probe
      assert.strictEqual(mode, "stop")
      assert.include(notes[0] ?? "", "not on a btrfs")
      assert.include(notes[1] ?? "", "cannot share blocks")
      assert.include(notes[2] ?? "", "needs 6.0 MiB")
      // the choice stays, whatever becomes possible later
      yield* Effect.promise(() => Fs.truncate(Path.join(source, "f"), 0))
      assert.strictEqual((yield* snapshotter.probe).snapshotter, "none")
    }))

  live("sweeps what a run with another choice left", ["btrfs", "flock"], () =>
    Effect.gen(function*() {
      const { mount, source } = yield* dataOn("btrfs")
      const [inside, beside] = [Path.join(mount, ".quiesce", "data"), Path.join(mount, ".quiesce", ".data.partial")]
      yield* sh(["mkdir", "-p", "-m", "700", beside])
      yield* sh(["btrfs", "subvolume", "snapshot", "-r", mount, inside])
      const snapshotter = yield* build(source)
      assert.deepStrictEqual([...yield* snapshotter.sweep].sort(), [beside, inside].sort())
    }))

  live("a source that is gone: nobody can", [], () =>
    Effect.gen(function*() {
      const snapshotter = yield* build("/nowhere/data")
      const error = yield* Effect.flip(snapshotter.probe)
      assert.include(error.message, "/nowhere/data: it does not exist")
      assert.include((yield* Effect.flip(Effect.scoped(Effect.flatten(snapshotter.reserve)))).message, "does not exist")
    }))
})

describe("SnapshotterNone", () => {
  live("takes nothing", [], () =>
    Effect.gen(function*() {
      const snapshotter = SnapshotterNone.make({ source: "/tmp", stateDir: "/s" })
      assert.deepStrictEqual(yield* snapshotter.probe, { snapshotter: "none", mode: "stop" })
      yield* snapshotter.prepare
      assert.isTrue(Option.isNone(yield* Effect.scoped(Effect.flatten(snapshotter.reserve))))
      assert.include(
        (yield* Effect.flip(SnapshotterNone.make({ source: "/nowhere", stateDir: "/s" }).probe)).message,
        "does not exist"
      )
    }))
})
