/**
 * The disk of the state directory fails under the real binary. Before a stop: refused, the app never down. In the hold:
 * the app comes up. On the clear: the app is up, it is said, and the next recover has nothing to do but that.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loopMount, sh } from "../lab/loopfs.ts"
import * as AgentSite from "../live/agentSite.ts"
import * as Quiesce from "../live/quiesce.ts"
import * as Traces from "../live/traces.ts"

const needs = ["tar", "zstd", "flock", "strace", "root"] as const

const calls = "openat,write,pwrite64,fsync,rename,unlink"

/** A run of which strace(1) fails system calls on the markers. */
const failing = (guest: AgentSite.Guest, inject: string) =>
  Effect.async<{ readonly code: number | null; readonly said: string; readonly trace: ReadonlyArray<string> }>(
    (resume) => {
      const output = Path.join(guest.directory, "trace")
      const markers = Path.join(guest.stateDir, "markers")
      const argv = ["-f", "-y", "-qq", "-o", output, "-e", `trace=${calls}`, "-e", `inject=${inject}`, "-P", markers]
      const child = ChildProcess.spawn(
        "strace",
        [...argv, process.execPath, Quiesce.bin, "run", "--json", "--config", guest.config],
        {
          cwd: guest.directory,
          env: { PATH: guest.hooks.path, HOME: "/nonexistent", UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
          stdio: ["ignore", "pipe", "pipe"]
        }
      )
      let said = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => void (said += chunk.toString("utf8")))
      }
      child.once(
        "close",
        (code) => resume(Effect.succeed({ code, said, trace: Fs.readFileSync(output, "utf8").split("\n") }))
      )
    }
  )

/** Nothing had to be started, and nothing is left. */
const isOver = Effect.fnUntraced(function*(guest: AgentSite.Guest) {
  const starts = guest.log().length
  assert.strictEqual((yield* guest.quiesce(["recover"])).code, 0)
  assert.strictEqual(guest.log().length, starts, "recover has touched the app")
  assert.isTrue(guest.isUp())
  assert.deepStrictEqual(Traces.markers(guest), [])
})

describe("the directory of the markers", () => {
  for (const error of ["EIO", "ENOSPC", "EDQUOT", "EROFS"]) {
    AgentSite.live(
      `cannot be synced (${error}): refused, and the app is never down`,
      needs,
      () =>
        Effect.gen(function*() {
          const guest = AgentSite.only(yield* AgentSite.make())
          Fs.mkdirSync(Path.join(guest.stateDir, "markers"), { recursive: true, mode: 0o700 })
          const { code, said, trace } = yield* failing(guest, `fsync:error=${error}`)
          assert.strictEqual(code, 7, said)
          assert.deepStrictEqual(guest.log(), [])
          assert.isAbove(trace.filter((line) => line.includes("INJECTED")).length, 0)
          yield* isOver(guest)
        })
    )
  }

  AgentSite.live(
    "cannot be synced once the probe was well: refused, and the app is never down",
    needs,
    () =>
      Effect.gen(function*() {
        const guest = AgentSite.only(yield* AgentSite.make())
        Fs.mkdirSync(Path.join(guest.stateDir, "markers"), { recursive: true, mode: 0o700 })
        // two of the probe, and then that of the marker
        const { code, said } = yield* failing(guest, "fsync:error=EIO:when=3")
        assert.strictEqual(code, 7, said)
        assert.deepStrictEqual(guest.log(), [])
        yield* isOver(guest)
      })
  )

  AgentSite.live(
    "cannot be synced at the clear: the app is up, it is said, and recover has nothing to do",
    needs,
    () =>
      Effect.gen(function*() {
        const guest = AgentSite.only(yield* AgentSite.make())
        Fs.mkdirSync(Path.join(guest.stateDir, "markers"), { recursive: true, mode: 0o700 })
        const { code, said } = yield* failing(guest, "fsync:error=EIO:when=4+")
        assert.strictEqual(code, 0, said)
        assert.isTrue(guest.isUp())
        assert.match(said, /could not clear the marker.*everything is up, recover will clear it/)
        yield* isOver(guest)
      })
  )
})

describe("the disk of the state directory", () => {
  /** A guest whose state is on a disk of its own. */
  const onDisk = Effect.gen(function*() {
    const guest = AgentSite.only(yield* AgentSite.make())
    const disk = yield* loopMount("ext4", { megabytes: 32 })
    const stateDir = Path.join(disk, "state")
    AgentSite.edit(guest.config, (content) => ({ ...content, stateDir }))
    return { disk, guest: { ...guest, stateDir } }
  })
  const real = [...needs, "mount", "powerLoss"] as const

  AgentSite.live(
    "is immutable from the hold on: the app comes up, it is said, and recover has nothing to do",
    real,
    () =>
      Effect.gen(function*() {
        const { guest } = yield* onDisk
        const markers = Path.join(guest.stateDir, "markers")
        guest.hooks.arm("stop.after", `chattr +i '${markers}'`)
        const ended = yield* guest.quiesce(["run", "--json"])
        yield* sh(["chattr", "-i", markers])
        assert.strictEqual(ended.code, 0, ended.report?.error ?? "")
        assert.isTrue(guest.isUp())
        assert.match(ended.report?.warnings.join() ?? "", /could not clear the marker.*not permitted \(immutable/)
        assert.isAbove(Traces.markers(guest).length, 0)
        yield* isOver(guest)
      })
  )

  AgentSite.live("dies in the hold: the app comes up, and it is said", real, () =>
    Effect.gen(function*() {
      const { disk, guest } = yield* onDisk
      guest.hooks.arm("stop.after", `xfs_io -x -c shutdown '${disk}'`)
      const ended = yield* guest.quiesce(["run", "--json"])
      assert.isTrue(guest.isUp())
      assert.strictEqual(ended.code, 0, ended.report?.error ?? "")
      assert.match(ended.report?.warnings.join() ?? "", /could not clear the marker/)
      // the next one is refused
      const next = yield* guest.quiesce(["run", "--json"])
      assert.deepStrictEqual([next.code, next.report?.outcome], [7, "refused"])
      assert.strictEqual(guest.log().length, 2)
    }))

  AgentSite.live("is immutable before: refused, and the app is never down", real, () =>
    Effect.gen(function*() {
      const { guest } = yield* onDisk
      const markers = Path.join(guest.stateDir, "markers")
      Fs.mkdirSync(markers, { recursive: true, mode: 0o700 })
      Fs.chmodSync(guest.stateDir, 0o700)
      yield* sh(["chattr", "+i", markers])
      const ended = yield* guest.quiesce(["run", "--json"])
      yield* sh(["chattr", "-i", markers])
      assert.deepStrictEqual([ended.code, ended.report?.outcome], [7, "refused"])
      assert.match(ended.report?.error ?? "", /not permitted \(immutable/)
      assert.deepStrictEqual(guest.log(), [])
    }))
})
