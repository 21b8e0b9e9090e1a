import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as SnapshotterReflink from "../../src/layers/SnapshotterReflink.ts"
import { loopMount, sh, workDirectory } from "../lab/loopfs.ts"
import { attributes, listing, sampleData } from "../lab/sampleData.ts"
import { live } from "../support/live.ts"

const names = (path: string) => Effect.promise(() => Fs.readdir(path).then((all) => all.sort()))
const used = (path: string) =>
  Effect.map(Effect.promise(() => Fs.statfs(path)), ({ bfree, blocks, bsize }) => (blocks - bfree) * bsize)

for (const kind of ["xfs", "btrfs"] as const) {
  describe(`SnapshotterReflink on ${kind}`, () => {
    live("copies without using space, and removes the copy", [kind, "flock"], () =>
      Effect.gen(function*() {
        const mount = yield* loopMount(kind)
        const source = Path.join(mount, "data")
        yield* Effect.promise(() => Fs.mkdir(source))
        yield* sampleData(source)
        yield* sh(["dd", "if=/dev/urandom", `of=${Path.join(source, "big")}`, "bs=1M", "count=64", "status=none"])
        yield* sh(["sync", "-f", mount])
        const snapshotter = SnapshotterReflink.make({ source, stateDir: "/s" })
        assert.deepStrictEqual(yield* snapshotter.probe, { snapshotter: "reflink", mode: "copy" })
        assert.deepStrictEqual(yield* names(mount), ["data"], "the probe leaves nothing")
        yield* snapshotter.prepare
        const before = yield* used(mount)
        yield* Effect.scoped(Effect.gen(function*() {
          const taken = Option.getOrThrow(yield* Effect.flatten(snapshotter.reserve))
          assert.deepStrictEqual(taken, { path: Path.join(mount, ".quiesce", "data"), mode: "copy" })
          assert.isBelow((yield* used(mount)) - before, 8 << 20)
          yield* sh(["diff", "-r", "--no-dereference", "--exclude=fifo", source, taken.path])
          assert.deepStrictEqual(yield* listing(taken.path), yield* listing(source))
          assert.strictEqual(yield* attributes(taken.path), yield* attributes(source))
          yield* Effect.promise(() => Fs.writeFile(Path.join(source, "plain"), "changed"))
          assert.include(yield* Effect.promise(() => Fs.readFile(Path.join(taken.path, "plain"), "utf8")), "content of")
        }))
        assert.deepStrictEqual(yield* names(Path.join(mount, ".quiesce")), ["data.lock"])
      }))

    live("an empty source can be probed; a mount point is refused", [kind, "flock"], () =>
      Effect.gen(function*() {
        const mount = yield* loopMount(kind)
        const source = Path.join(mount, "empty")
        yield* Effect.promise(() => Fs.mkdir(source))
        yield* SnapshotterReflink.make({ source, stateDir: "/s" }).probe
        assert.deepStrictEqual(yield* names(mount), ["empty"])
        const error = yield* Effect.flip(SnapshotterReflink.make({ source: mount, stateDir: "/s" }).probe)
        assert.include(error.message, "is a mount point")
        assert.deepStrictEqual(yield* names(Path.dirname(mount)), ["image", "mount"])
      }))
  })
}

describe("SnapshotterReflink", () => {
  live("refuses a file system that cannot share blocks", ["mount", "flock"], () =>
    Effect.gen(function*() {
      const mount = yield* loopMount("ext4", { megabytes: 64 })
      for (const name of ["full", "empty"]) yield* Effect.promise(() => Fs.mkdir(Path.join(mount, name)))
      yield* Effect.promise(() => Fs.writeFile(Path.join(mount, "full", "file\nwith"), "text"))
      for (const name of ["full", "empty"]) {
        const error = yield* Effect.flip(
          SnapshotterReflink.make({ source: Path.join(mount, name), stateDir: "/s" }).probe
        )
        assert.include(error.message, "Operation not supported")
        assert.notInclude(yield* names(mount), ".quiesce")
      }
    }))

  live(
    "refuses what is mounted below the source, and files that cannot share their blocks",
    ["btrfs", "flock"],
    () =>
      Effect.gen(function*() {
        const mount = yield* loopMount("btrfs")
        const other = yield* workDirectory
        const source = Path.join(mount, "data")
        yield* Effect.promise(() => Fs.mkdir(Path.join(source, "below"), { recursive: true }))
        yield* sh(["mount", "--bind", other, Path.join(source, "below")])
        const snapshotter = SnapshotterReflink.make({ source, stateDir: "/s" })
        assert.include((yield* Effect.flip(snapshotter.probe)).message, "is mounted below the source")
        yield* sh(["umount", Path.join(source, "below")])
        yield* sh(["chattr", "+C", Path.join(source, "below")])
        yield* Effect.promise(() => Fs.writeFile(Path.join(source, "below", "file"), "x".repeat(10_000)))
        assert.include((yield* Effect.flip(snapshotter.probe)).message, "cannot share blocks")
      })
  )
})
