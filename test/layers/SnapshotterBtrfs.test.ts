import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as SnapshotterBtrfs from "../../src/layers/SnapshotterBtrfs.ts"
import { bundleAgent, runAsNobody } from "../lab/agentBundle.ts"
import { loopMount, sh, workDirectory } from "../lab/loopfs.ts"
import { listing, sampleData } from "../lab/sampleData.ts"
import { live } from "../support/live.ts"

const exists = (path: string) => Effect.promise(() => Fs.access(path).then(() => true, () => false))
const names = (path: string) => Effect.promise(() => Fs.readdir(path).then((all) => all.sort(), () => ["(none)"]))
const subvolumes = (mount: string) =>
  Effect.map(
    sh(["btrfs", "subvolume", "list", "-o", mount]),
    (text) => text.trim().split("\n").filter(Boolean).map((line) => line.split(" path ")[1]).sort()
  )

/** A subvolume `data` with sample data, on a new btrfs. */
const subvolume = Effect.gen(function*() {
  const mount = yield* loopMount("btrfs")
  const source = Path.join(mount, "data")
  yield* sh(["btrfs", "subvolume", "create", source])
  yield* sampleData(source)
  return { mount, source, stateDir: Path.join(mount, "state") }
})

describe("SnapshotterBtrfs", () => {
  live("takes a read-only snapshot beside the subvolume and removes it", ["btrfs"], () =>
    Effect.gen(function*() {
      const { mount, source, stateDir } = yield* subvolume
      const snapshotter = SnapshotterBtrfs.make({ source, stateDir })
      assert.deepStrictEqual(yield* snapshotter.probe, { snapshotter: "btrfs", mode: "snapshot" })
      assert.deepStrictEqual(yield* names(mount), ["data"], "the probe leaves nothing")
      yield* snapshotter.prepare
      const before = yield* listing(source)
      yield* Effect.scoped(Effect.gen(function*() {
        const taken = Option.getOrThrow(yield* Effect.flatten(snapshotter.reserve))
        assert.deepStrictEqual(taken, { path: Path.join(mount, ".quiesce", "data"), mode: "snapshot" })
        yield* Effect.promise(() => Fs.writeFile(Path.join(source, "later"), "later"))
        assert.deepStrictEqual(yield* listing(taken.path), before)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(sh(["touch", Path.join(taken.path, "x")]))), "it is read-only")
        const stat = yield* Effect.promise(() => Fs.stat(Path.join(mount, ".quiesce")))
        assert.strictEqual(stat.mode & 0o777, 0o700)
      }))
      assert.deepStrictEqual(yield* names(Path.join(mount, ".quiesce")), ["data.lock"])
      assert.deepStrictEqual(yield* subvolumes(mount), ["data"])
    }))

  live("is prepared once no old snapshot is being deleted any more", ["btrfs"], () =>
    Effect.gen(function*() {
      const { mount, source, stateDir } = yield* subvolume
      const deleted = sh(["btrfs", "subvolume", "list", "-d", mount])
      const old = Path.join(mount, "old")
      yield* sh(["btrfs", "subvolume", "snapshot", source, old])
      yield* sh(["dd", "if=/dev/zero", `of=${old}/big`, "bs=1M", "count=64", "status=none"])
      yield* sh(["btrfs", "subvolume", "delete", old])
      assert.include(yield* deleted, "DELETED")
      yield* SnapshotterBtrfs.make({ source, stateDir }).prepare
      assert.strictEqual(yield* deleted, "")
    }))

  live(
    "snapshots the subvolume that holds a directory; a mount point gets its snapshot inside",
    ["btrfs"],
    () =>
      Effect.gen(function*() {
        const mount = yield* loopMount("btrfs")
        const source = Path.join(mount, "a", "b c")
        yield* Effect.promise(() => Fs.mkdir(source, { recursive: true }))
        yield* Effect.promise(() => Fs.writeFile(Path.join(source, "file"), "one"))
        for (let run = 0; run < 2; run++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const taken = Option.getOrThrow(
              yield* Effect.flatten(SnapshotterBtrfs.make({ source, stateDir: "/s" }).reserve)
            )
            assert.strictEqual(taken.path, Path.join(mount, ".quiesce", "b c", "a", "b c"), "the same at every run")
            assert.deepStrictEqual(yield* names(taken.path), ["file"])
          }))
        }
        const whole = SnapshotterBtrfs.make({ source: mount, stateDir: "/s" })
        yield* whole.probe
        yield* Effect.scoped(Effect.gen(function*() {
          const { path } = Option.getOrThrow(yield* Effect.flatten(whole.reserve))
          assert.strictEqual(path, Path.join(mount, ".quiesce", "mount"))
          assert.deepStrictEqual(yield* names(path), [".quiesce", "a"])
          assert.deepStrictEqual(
            yield* names(Path.join(path, ".quiesce")),
            ["b c.lock", "mount.lock"],
            "no snapshot in the snapshot"
          )
        }))
      })
  )

  live("says why it cannot be used", ["btrfs"], () =>
    Effect.gen(function*() {
      const { mount, source, stateDir } = yield* subvolume
      const reason = (source: string) =>
        Effect.map(Effect.flip(SnapshotterBtrfs.make({ source, stateDir }).probe), (error) => error.message)
      assert.include(yield* reason("/"), "not on a btrfs")
      assert.include(yield* reason(Path.join(mount, "gone")), "does not exist")
      assert.include(yield* reason(Path.join(source, "plain")), "not a directory")

      yield* sh(["btrfs", "subvolume", "create", Path.join(source, "sub dir", "nested")])
      assert.include(yield* reason(source), "nested is a subvolume of its own")
      yield* sh(["btrfs", "subvolume", "delete", Path.join(source, "sub dir", "nested")])

      const below = Path.join(source, "sub dir", "empty")
      yield* sh(["mount", "-t", "tmpfs", "tmpfs", below])
      assert.include(yield* reason(source), "is mounted below the source")
      yield* sh(["umount", below])

      yield* sh(["mount", "--bind", Path.join(source, "sub dir"), below])
      assert.include(yield* reason(below), "is a mount of a directory inside a subvolume")
      yield* sh(["umount", below])

      yield* Effect.promise(() => Fs.symlink("/tmp", Path.join(mount, ".quiesce")))
      assert.include(yield* reason(source), "symbolic link")
      yield* Effect.promise(() => Fs.unlink(Path.join(mount, ".quiesce")))
      yield* Effect.promise(() => Fs.mkdir(Path.join(mount, ".quiesce")))
      yield* Effect.promise(() => Fs.chown(Path.join(mount, ".quiesce"), 65534, 65534))
      assert.include(yield* reason(source), "belongs to user 65534")
      yield* Effect.promise(() => Fs.rmdir(Path.join(mount, ".quiesce")))
      yield* SnapshotterBtrfs.make({ source, stateDir }).probe
    }))

  live("names the missing tool and its package", ["btrfs"], () =>
    Effect.gen(function*() {
      const { source, stateDir } = yield* subvolume
      const bin = yield* workDirectory
      for (const tool of ["find", "rm"]) {
        yield* Effect.promise(() => Fs.symlink(`/usr/bin/${tool}`, Path.join(bin, tool)))
      }
      const before = process.env["PATH"]
      process.env["PATH"] = bin
      const error = yield* Effect.flip(SnapshotterBtrfs.make({ source, stateDir }).probe).pipe(
        Effect.ensuring(Effect.sync(() => {
          process.env["PATH"] = before
        }))
      )
      assert.include(error.message, "install the package btrfs-progs")
    }))

  live("an interruption at any moment leaves no snapshot", ["btrfs"], () =>
    Effect.gen(function*() {
      const { mount, source, stateDir } = yield* subvolume
      const snapshotter = SnapshotterBtrfs.make({ source, stateDir })
      for (const after of [0, 1, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60]) {
        const fiber = yield* Effect.fork(
          Effect.scoped(Effect.zipRight(Effect.flatten(snapshotter.reserve), Effect.never))
        )
        yield* Effect.sleep(after)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* subvolumes(mount), ["data"], `interrupted after ${after} ms`)
      }
    }))

  live("removes what a dead run left, and never the snapshot of a live one", ["btrfs"], () =>
    Effect.gen(function*() {
      const { mount, source, stateDir } = yield* subvolume
      const place = Path.join(mount, ".quiesce")
      yield* sh(["mkdir", "-m", "700", place])
      yield* sh(["btrfs", "subvolume", "snapshot", "-r", source, Path.join(place, "data")])
      yield* sh(["mkdir", Path.join(place, ".data.partial")])
      const mine = SnapshotterBtrfs.make({ source, stateDir })
      assert.deepStrictEqual(yield* mine.sweep, [Path.join(place, "data"), Path.join(place, ".data.partial")])
      assert.deepStrictEqual(yield* mine.sweep, [])

      const other = SnapshotterBtrfs.make({ source, stateDir: "/other/state" })
      const scope = yield* Scope.make()
      yield* Scope.extend(Effect.flatten(mine.reserve), scope)
      for (const attempt of [Effect.asVoid(other.sweep), Effect.asVoid(Effect.scoped(Effect.flatten(other.reserve)))]) {
        const error = yield* Effect.flip(attempt)
        assert.include(error.message, `pid ${process.pid}, state directory ${stateDir}`)
        assert.isTrue(yield* exists(Path.join(place, "data")))
      }
      yield* Scope.close(scope, Exit.void)
      yield* Effect.scoped(Effect.flatten(other.reserve))
      assert.deepStrictEqual(yield* subvolumes(mount), ["data"])
    }))

  live(
    "works for a user who is not root, with and without user_subvol_rm_allowed",
    ["btrfs"],
    () =>
      Effect.gen(function*() {
        const bundle = yield* Effect.flatMap(workDirectory, bundleAgent)
        for (const mountOptions of ["", "user_subvol_rm_allowed"]) {
          const mount = yield* loopMount("btrfs", { mountOptions })
          const source = Path.join(mount, "data")
          const to = Path.join(mount, "archives")
          yield* Effect.promise(() => Fs.chown(mount, 65534, 65534))
          const job = { source, stateDir: "/tmp/s", snapshot: "btrfs", to } as const
          yield* sh(["btrfs", "subvolume", "create", source])
          yield* sampleData(source)
          yield* sh(["chown", "-R", "-h", "65534:65534", source])
          yield* sh(["mkdir", "-m", "500", Path.join(source, "closed")])
          yield* sh(["touch", Path.join(source, "closed", "file")])
          yield* sh(["chown", "-R", "65534:65534", Path.join(source, "closed")])
          const phases = yield* runAsNobody(bundle, { do: "run", ...job })
          assert.include(phases, "\"phase\":\"snapshotted\"")
          assert.include(phases, "\"phase\":\"done\"")
          assert.deepStrictEqual(yield* subvolumes(mount), ["data"])
          assert.deepStrictEqual(yield* names(Path.join(mount, ".quiesce")), ["data.lock"])

          yield* sh(["mkdir", Path.join(source, "of root")])
          yield* sh(["touch", Path.join(source, "of root", "file")])
          const probed = yield* runAsNobody(bundle, { do: "probe", ...job })
          assert.include(probed, mountOptions === "" ? "user_subvol_rm_allowed" : "\"mode\":\"snapshot\"")
          assert.deepStrictEqual(yield* subvolumes(mount), ["data"])

          yield* sh(["rm", "-r", Path.join(source, "of root")])
          yield* Effect.promise(() => Fs.chown(mount, 0, 0))
          yield* sh(["rm", "-r", Path.join(mount, ".quiesce")])
          assert.include(yield* runAsNobody(bundle, { do: "probe", ...job }), "install -d -m 700 -o 65534")
        }
      })
  )
})
