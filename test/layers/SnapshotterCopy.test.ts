import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as SnapshotterCopy from "../../src/layers/SnapshotterCopy.ts"
import { bundleAgent, kill9, runAsNobody, said, startAgent } from "../lab/agentBundle.ts"
import { sh, tmpfs, workDirectory } from "../lab/loopfs.ts"
import { attributes, listing, sampleData } from "../lab/sampleData.ts"
import { live } from "../support/live.ts"

const names = (path: string) => Effect.promise(() => Fs.readdir(path).then((all) => all.sort(), () => ["(none)"]))

const sample = Effect.gen(function*() {
  const directory = yield* workDirectory
  const source = Path.join(directory, "da ta")
  yield* Effect.promise(() => Fs.mkdir(source))
  yield* sampleData(source)
  return { directory, source, place: Path.join(directory, ".quiesce"), stateDir: Path.join(directory, "state") }
})

/** Enough for cp to be seen at work. */
const grow = (source: string, megabytes: number) =>
  sh(["dd", "if=/dev/urandom", `of=${Path.join(source, "big")}`, "bs=1M", `count=${megabytes}`, "status=none"])

const copiers = (stateDir: string) =>
  Effect.promise(() =>
    Fs.readdir("/proc").then((pids) =>
      Promise.all(
        pids.filter((pid) => /^\d+$/.test(pid)).map((pid) =>
          Promise.all([Fs.readFile(`/proc/${pid}/environ`, "utf8"), Fs.readFile(`/proc/${pid}/cmdline`, "utf8")])
            .then(([environ, cmdline]) => environ.includes(`transfer:${stateDir}`) ? [cmdline] : [], () => [])
        )
      ).then((found) => found.flat())
    )
  )

describe("SnapshotterCopy", () => {
  live("copies everything beside the source, and removes the copy", ["flock"], () =>
    Effect.gen(function*() {
      const { directory, place, source, stateDir } = yield* sample
      const snapshotter = SnapshotterCopy.make({ source: `${source}/../da ta/`, stateDir })
      const { needsBytes, ...capability } = yield* snapshotter.probe
      assert.deepStrictEqual(capability, { snapshotter: "copy", mode: "copy" })
      assert.isAtLeast(needsBytes ?? 0, 4 << 20)
      assert.isBelow(needsBytes ?? 0, 6 << 20, "the file with holes needs no space")
      assert.deepStrictEqual(yield* names(directory), ["da ta"], "the probe leaves nothing")
      yield* snapshotter.prepare
      yield* Effect.scoped(Effect.gen(function*() {
        const taken = Option.getOrThrow(yield* Effect.flatten(snapshotter.reserve))
        assert.deepStrictEqual(taken, { path: Path.join(place, "da ta"), mode: "copy" })
        yield* sh(["diff", "-r", "--no-dereference", "--exclude=fifo", source, taken.path])
        assert.deepStrictEqual(yield* listing(taken.path), yield* listing(source))
        assert.strictEqual(yield* attributes(taken.path), yield* attributes(source))
      }))
      assert.deepStrictEqual(yield* names(place), ["da ta.lock"])
    }))

  live("a source behind a symbolic link is copied, not the link", ["flock"], () =>
    Effect.gen(function*() {
      const { directory, source, stateDir } = yield* sample
      const link = Path.join(directory, "link")
      yield* Effect.promise(() => Fs.symlink(source, link))
      yield* Effect.scoped(Effect.gen(function*() {
        const { path } = Option.getOrThrow(
          yield* Effect.flatten(SnapshotterCopy.make({ source: link, stateDir }).reserve)
        )
        assert.deepStrictEqual(yield* listing(path), yield* listing(source))
      }))
    }))

  live(
    "refuses when there is no space, in numbers, and a copy that does not fit leaves nothing",
    ["mount", "flock"],
    () =>
      Effect.gen(function*() {
        const mount = yield* tmpfs(16)
        const source = Path.join(mount, "data")
        yield* Effect.promise(() => Fs.mkdir(source))
        yield* grow(source, 9)
        const snapshotter = SnapshotterCopy.make({ source, stateDir: "/tmp/s" })
        const error = yield* Effect.flip(snapshotter.probe)
        assert.match(error.message, /needs 9\.0 MiB, and [67]\.\d MiB are free in .*mount: free some space/)
        const failure = yield* Effect.flip(Effect.scoped(Effect.flatten(snapshotter.reserve)))
        assert.include(failure.message, "No space left on device")
        assert.deepStrictEqual(yield* names(Path.join(mount, ".quiesce")), ["data.lock"])
        // what a dead run left is removed before the next copy, so it is no reason to refuse
        yield* Effect.promise(() => Fs.truncate(Path.join(source, "big"), 5 << 20))
        yield* sh(["cp", "-r", source, Path.join(mount, ".quiesce", ".data.partial")])
        yield* sh(["cp", "-r", source, Path.join(mount, ".quiesce", "data")])
        assert.strictEqual((yield* snapshotter.probe).snapshotter, "copy")
        yield* Effect.scoped(Effect.flatten(snapshotter.reserve))
      })
  )

  live("an interruption at any moment leaves no copy and no process", ["flock"], () =>
    Effect.gen(function*() {
      const { place, source, stateDir } = yield* sample
      yield* grow(source, 200)
      const snapshotter = SnapshotterCopy.make({ source, stateDir })
      let caught = 0
      for (const after of [0, 5, 10, 20, 30, 40, 60, 80, 120, 400]) {
        const fiber = yield* Effect.fork(
          Effect.scoped(Effect.zipRight(Effect.flatten(snapshotter.reserve), Effect.never))
        )
        yield* Effect.sleep(after)
        if ((yield* names(place)).includes(".da ta.partial")) caught++
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual((yield* names(place)).filter((name) => !name.endsWith(".lock") && name !== "(none)"), [])
        assert.deepStrictEqual(yield* copiers(stateDir), [])
      }
      assert.isAbove(caught, 1, "some interruptions came in the middle of cp")
    }))

  live(
    "a run killed in the middle of cp: the next one ends cp and removes the half copy",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const { directory, place, source, stateDir } = yield* sample
        const to = Path.join(directory, "to")
        yield* grow(source, 600)
        const bundle = yield* bundleAgent(directory)
        const child = yield* startAgent(bundle, { do: "run", source, stateDir, snapshot: "copy", to })
        yield* said(child, "running")
        yield* Effect.sleep("60 millis")
        yield* kill9(child)
        assert.include(yield* names(place), ".da ta.partial", "killed in the middle of cp")
        assert.notInclude(yield* names(place), "da ta")
        assert.lengthOf(yield* copiers(stateDir), 1)
        const snapshotter = SnapshotterCopy.make({ source, stateDir })
        assert.deepStrictEqual(yield* snapshotter.sweep, ["1 process", Path.join(place, ".da ta.partial")])
        assert.deepStrictEqual(yield* copiers(stateDir), [])
        assert.deepStrictEqual(yield* names(place), ["da ta.lock"])
        assert.deepStrictEqual(yield* snapshotter.sweep, [])
      })
  )

  live("two installations of one source: the second is told who is there", ["flock"], () =>
    Effect.gen(function*() {
      const { source, stateDir } = yield* sample
      const mine = SnapshotterCopy.make({ source, stateDir })
      const other = SnapshotterCopy.make({ source, stateDir: "/other" })
      const scope = yield* Scope.make()
      const { path } = Option.getOrThrow(yield* Scope.extend(Effect.flatten(mine.reserve), scope))
      assert.include(
        (yield* Effect.flip(Effect.scoped(Effect.flatten(other.reserve)))).message,
        `state directory ${stateDir}`
      )
      assert.include((yield* Effect.flip(other.sweep)).message, "wait for its end")
      yield* other.probe
      assert.deepStrictEqual(yield* listing(path), yield* listing(source), "the first one's copy is untouched")
      yield* Scope.close(scope, Exit.void)
      yield* Effect.scoped(Effect.flatten(other.reserve))
    }))

  live("a source that is gone, and one that cannot be copied whole", ["root", "flock"], () =>
    Effect.gen(function*() {
      const { directory, place, source, stateDir } = yield* sample
      const bundle = yield* bundleAgent(directory)
      const gone = SnapshotterCopy.make({ source: Path.join(directory, "gone"), stateDir })
      assert.include((yield* Effect.flip(gone.probe)).message, "gone: it does not exist")
      assert.include(
        (yield* Effect.flip(Effect.scoped(Effect.flatten(gone.reserve)))).message,
        "gone: it does not exist"
      )
      assert.deepStrictEqual(yield* gone.sweep, [])
      yield* sh(["install", "-d", "-m", "700", "-o", "65534", place])
      const told = yield* runAsNobody(bundle, { do: "run", source, stateDir, snapshot: "copy", to: "/tmp" })
      assert.include(told, "da ta/-rf in the source cannot be read by user 65534")
      yield* Effect.promise(() => Fs.rm(Path.join(source, "-rf")))
      yield* Effect.promise(() => Fs.rm(Path.join(source, "sub dir", "-rf")))
      yield* sh(["chown", "65534", directory])
      const ran = yield* runAsNobody(bundle, {
        do: "run",
        source,
        stateDir,
        snapshot: "copy",
        to: Path.join(directory, "to")
      })
      assert.include(ran, "\"phase\":\"done\"")
      assert.deepStrictEqual(yield* names(place), ["da ta.lock"])
    }))
})
