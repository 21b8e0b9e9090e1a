import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { Progress } from "../../src/domain/Backup.ts"
import * as RunId from "../../src/domain/RunId.ts"
import * as TransferArchive from "../../src/layers/TransferArchive.ts"
import { Transfer } from "../../src/services/Transfer.ts"
import { bundleAgent, kill9, runAsNobody, said, startAgent } from "../lab/agentBundle.ts"
import { sh, tmpfs, workDirectory } from "../lab/loopfs.ts"
import { attributes, listing, sampleData } from "../lab/sampleData.ts"
import { live } from "../support/live.ts"

const names = (path: string) => Effect.promise(() => Fs.readdir(path).then((all) => all.sort(), () => ["(none)"]))

const build = (options: TransferArchive.TransferArchiveOptions) =>
  Effect.flatMap(Layer.build(TransferArchive.layer(options)), (context) => Effect.provide(Transfer, context))

const sample = Effect.gen(function*() {
  const directory = yield* workDirectory
  const [source, to] = [Path.join(directory, "da\nta"), Path.join(directory, "to", "deep")]
  yield* Effect.promise(() => Fs.mkdir(source))
  const stateDir = Path.join(directory, "state")
  const transfer = yield* build({ to, name: "sample", stateDir, source })
  return { directory, source, to, stateDir, transfer }
})

const grow = (source: string, megabytes: number) =>
  sh(["dd", "if=/dev/urandom", `of=${Path.join(source, "big")}`, "bs=1M", `count=${megabytes}`, "status=none"])

const quiet = { onProgress: () => Effect.void }

const kinOf = (stateDir: string) =>
  Effect.promise(() =>
    Fs.readdir("/proc").then((pids) =>
      Promise.all(
        pids.filter((pid) => /^\d+$/.test(pid)).map((pid) =>
          Fs.readFile(`/proc/${pid}/environ`, "utf8").then(
            (text) => text.includes(`transfer:${stateDir}`) ? [pid] : [],
            () => []
          )
        )
      ).then((found) => found.flat())
    )
  )

/** Waits until the archive is in the middle of being written. */
const partialIsGrowing = (to: string) =>
  names(to).pipe(
    Effect.flatMap((all) =>
      Effect.promise(() => Fs.stat(Path.join(to, all[0] ?? "")).then(({ size }) => size, () => 0))
    ),
    Effect.repeat({ until: (size) => size > 1 << 20, schedule: Schedule.spaced("5 millis") })
  )

const withPath = <A, E, R>(path: string, effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = process.env["PATH"]
      process.env["PATH"] = path
      return before
    }),
    () => effect,
    (before) =>
      Effect.sync(() => {
        process.env["PATH"] = before
      })
  )

/** A directory with just these programs. */
const bin = (programs: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const directory = yield* workDirectory
    for (const program of programs) {
      const path = (yield* sh(["sh", "-c", `command -v ${program}`])).trim()
      yield* Effect.promise(() => Fs.symlink(path, Path.join(directory, program)))
    }
    return directory
  })

const tools = ["tar", "zstd"] as const

describe("TransferArchive", () => {
  live(
    "makes an archive that restores byte for byte, with a checksum that holds",
    [...tools, "flock"],
    () =>
      Effect.gen(function*() {
        const { directory, source, to, transfer } = yield* sample
        yield* sampleData(source)
        yield* Effect.promise(() => Fs.mkdir(Path.join(source, ".quiesce")))
        yield* Effect.promise(() => Fs.writeFile(Path.join(source, ".quiesce2"), "kept"))
        yield* transfer.preflight
        assert.deepStrictEqual(yield* names(directory), ["da\nta"], "the preflight leaves nothing")
        const runId = yield* RunId.make
        const artifact = yield* transfer.run({ runId, path: source, ...quiet })
        const name = Path.basename(artifact.location)
        assert.match(name, new RegExp(`^sample-\\d{8}T\\d{6}Z-${runId.slice(-12)}\\.tar\\.zst$`))
        assert.deepStrictEqual(yield* names(to), [name, `${name}.sha256`])
        assert.strictEqual(yield* sh(["sha256sum", "-c", `${name}.sha256`], { cwd: to }), `${name}: OK\n`)
        const stat = yield* Effect.promise(() => Fs.stat(artifact.location))
        assert.strictEqual(stat.size, artifact.bytes)
        assert.strictEqual(stat.mode & 0o777, 0o600)
        assert.strictEqual(yield* sh(["cat", `${artifact.location}.sha256`]), `${artifact.sha256}  ${name}\n`)

        const restored = Path.join(directory, "restored")
        yield* Effect.promise(() => Fs.mkdir(restored))
        yield* sh(["tar", "--xattrs", "--acls", "--zstd", "-xpf", artifact.location, "-C", restored])
        yield* Effect.promise(() => Fs.rmdir(Path.join(source, ".quiesce")))
        yield* sh(["diff", "-r", "--no-dereference", "--exclude=fifo", source, restored])
        const plain = (lines: ReadonlyArray<string>) => lines.filter((line) => !line.startsWith("[\"\","))
        assert.deepStrictEqual(plain(yield* listing(restored)), plain(yield* listing(source)))
        assert.strictEqual(yield* attributes(restored), yield* attributes(source))
      })
  )

  live("tells the progress in bytes of the source", [...tools], () =>
    Effect.gen(function*() {
      const { source, transfer } = yield* sample
      yield* grow(source, 300)
      const seen = yield* Ref.make<ReadonlyArray<Progress>>([])
      const runId = yield* RunId.make
      yield* transfer.run({
        runId,
        path: source,
        onProgress: (progress) => Ref.update(seen, (before) => [...before, progress])
      })
      const all = yield* Ref.get(seen)
      const total = all.at(-1)?.totalBytes ?? 0
      assert.strictEqual(all.at(-1)?.bytes, total)
      assert.isAtLeast(total, 300 << 20)
      assert.isBelow(total, 301 << 20)
      const middle = all.filter(({ bytes }) => bytes > 0 && bytes < total)
      assert.isAbove(middle.length, 0, JSON.stringify(all))
      assert.deepStrictEqual(all.map(({ bytes }) => bytes), all.map(({ bytes }) => bytes).sort((a, b) => a - b))
    }))

  live(
    "fails when something writes to the source meanwhile, or takes it away",
    [...tools],
    () =>
      Effect.gen(function*() {
        const { source, to, transfer } = yield* sample
        yield* grow(source, 300)
        yield* Effect.promise(() => Fs.writeFile(Path.join(source, "zzz"), "one"))
        const run = Effect.flatMap(RunId.make, (runId) => transfer.run({ runId, path: source, ...quiet }))
        const written = yield* Effect.fork(Effect.flip(run))
        yield* partialIsGrowing(to)
        yield* Effect.promise(() => Fs.appendFile(Path.join(source, "big"), "more"))
        assert.match(
          (yield* Fiber.join(written)).message,
          /a file changed while it was read.*\n.*file changed as we read it/s
        )
        assert.deepStrictEqual(yield* names(to), [])
        yield* sh(["rm", "-r", source])
        assert.include((yield* Effect.flip(run)).message, "Cannot open")
        assert.deepStrictEqual(yield* names(to), [])
      })
  )

  live("an end of tar or of zstd by another hand is a failure", [...tools], () =>
    Effect.gen(function*() {
      const { source, stateDir, to, transfer } = yield* sample
      yield* grow(source, 400)
      for (const victim of tools) {
        const run = yield* Effect.fork(
          Effect.flip(Effect.flatMap(RunId.make, (runId) => transfer.run({ runId, path: source, ...quiet })))
        )
        yield* partialIsGrowing(to)
        for (const pid of yield* kinOf(stateDir)) {
          if ((yield* sh(["ps", "-o", "comm=", "-p", pid])).trim() === victim) yield* sh(["kill", "-9", pid])
        }
        assert.match(
          (yield* Fiber.join(run)).message,
          victim === "tar" ? /killed by SIGKILL/ : /exit code 2.*Child (returned status 137|died with signal 9)/s
        )
        assert.deepStrictEqual(yield* names(to), [])
        assert.deepStrictEqual(yield* kinOf(stateDir), [])
      }
    }))

  live("an interruption at any moment leaves no file and no process", [...tools], () =>
    Effect.gen(function*() {
      const { source, stateDir, to, transfer } = yield* sample
      yield* grow(source, 50)
      let caught = 0
      for (const after of [0, 5, 10, 15, 20, 30, 40, 60, 80, 100, 120, 140]) {
        const runId = yield* RunId.make
        const run = yield* Effect.fork(transfer.run({ runId, path: source, ...quiet }))
        yield* Effect.sleep(after)
        if ((yield* names(to)).some((name) => name.endsWith(".partial"))) caught++
        const exit = yield* Fiber.interrupt(run)
        if (exit._tag === "Failure") assert.deepStrictEqual((yield* names(to)).filter((name) => name !== "(none)"), [])
        else yield* sh(["rm", "-r", to])
        assert.deepStrictEqual(yield* kinOf(stateDir), [])
      }
      assert.isAbove(caught, 2)
    }))

  live("a full disk, and a target that cannot be written", ["mount", ...tools], () =>
    Effect.gen(function*() {
      const { directory, source, stateDir } = yield* sample
      yield* grow(source, 20)
      const to = yield* tmpfs(4)
      const full = yield* build({ to, name: "n", stateDir })
      const runId = yield* RunId.make
      assert.include((yield* Effect.flip(full.run({ runId, path: source, ...quiet }))).message, "no space is left")
      assert.deepStrictEqual(yield* names(to), [])
      assert.deepStrictEqual(yield* kinOf(stateDir), [])
      yield* sh(["mount", "-o", "remount,ro", to])
      assert.include((yield* Effect.flip(full.preflight)).message, "read-only")

      const bundle = yield* bundleAgent(directory)
      const told = yield* runAsNobody(bundle, {
        do: "run",
        source,
        stateDir,
        snapshot: "none",
        to: "/root-only/archives"
      })
      assert.include(told, "permission denied")
    }))

  live("says before anything runs what is missing or wrong", [...tools], () =>
    Effect.gen(function*() {
      const { directory, source, stateDir } = yield* sample
      const message = (options: Partial<TransferArchive.TransferArchiveOptions>) =>
        Effect.flatMap(build({ to: Path.join(directory, "to"), name: "n", stateDir, source, ...options }), (transfer) =>
          Effect.map(Effect.flip(transfer.preflight), (error) => error.message))
      assert.include(yield* message({ name: "../n" }), "'../n' cannot begin a file name")
      assert.include(yield* message({ to: Path.join(source, "sub", "to") }), "is inside the source")
      yield* Effect.promise(() =>
        Fs.symlink(source, Path.join(directory, "link"))
      )
      assert.include(yield* message({ to: Path.join(directory, "link", "to") }), "is inside the source")
      yield* Effect.promise(() => Fs.writeFile(Path.join(directory, "file"), ""))
      assert.include(yield* message({ to: Path.join(directory, "file") }), "not a directory")
      assert.include(yield* message({ to: Path.join(directory, "file", "below") }), "not a directory")
      assert.include(yield* withPath(yield* bin(["tar"]), message({})), "install the package zstd")
      assert.include(yield* withPath(yield* bin(["zstd"]), message({})), "install the package tar (GNU)")
      const fake = yield* bin(["zstd", "sh"])
      yield* Effect.promise(() => Fs.writeFile(Path.join(fake, "tar"), "#!/bin/sh\necho bsdtar 3.6\n", { mode: 0o755 }))
      assert.include(yield* withPath(fake, message({})), "not GNU tar")
    }))

  live(
    "zstd that vanishes after the preflight is a failure, not an empty archive",
    [...tools],
    () =>
      Effect.gen(function*() {
        const { source, to, transfer } = yield* sample
        const runId = yield* RunId.make
        const path = yield* bin(["tar", "du"])
        const error = yield* withPath(path, Effect.flip(transfer.run({ runId, path: source, ...quiet })))
        assert.match(error.message, /exit code 2.*zstd: (not found|Cannot exec)/s)
        assert.deepStrictEqual(yield* names(to), [])
      })
  )

  live(
    "a run killed in the middle leaves no tar, and the next sweep removes its file only",
    [...tools, "flock"],
    () =>
      Effect.gen(function*() {
        const { directory, source, stateDir, to, transfer } = yield* sample
        yield* grow(source, 600)
        const bundle = yield* bundleAgent(directory)
        const child = yield* startAgent(bundle, { do: "run", source, stateDir, snapshot: "none", to })
        yield* said(child, "progress")
        yield* kill9(child)
        yield* kinOf(stateDir).pipe(
          Effect.repeat({ until: (pids) => pids.length === 0, schedule: Schedule.spaced("20 millis") }),
          Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => "the pipe that died with the run must end tar" })
        )
        const left = yield* names(to)
        assert.lengthOf(left, 1)
        assert.match(left[0] ?? "", /^sample-.*\.tar\.zst\.partial$/)
        const partial = left[0] ?? ""
        // as if it had been killed between the two renames
        const archive = partial.slice(0, -".partial".length)
        for (
          const name of [
            `${archive}.sha256`,
            "sample-notes.partial",
            "other-20261123T071500Z-0123456789ab.tar.zst.partial"
          ]
        ) {
          yield* Effect.promise(() => Fs.writeFile(Path.join(to, name), ""))
        }
        assert.deepStrictEqual(yield* transfer.sweep, [Path.join(to, partial), Path.join(to, `${archive}.sha256`)])
        assert.deepStrictEqual(yield* names(to), [
          "other-20261123T071500Z-0123456789ab.tar.zst.partial",
          "sample-notes.partial"
        ])
        assert.deepStrictEqual(yield* transfer.sweep, [])
      })
  )

  live("a sweep leaves alone what another installation is writing", [...tools, "flock"], () =>
    Effect.gen(function*() {
      const { source, to, transfer } = yield* sample
      yield* grow(source, 300)
      const runId = yield* RunId.make
      const run = yield* Effect.fork(transfer.run({ runId, path: source, ...quiet }))
      yield* partialIsGrowing(to)
      const other = yield* build({ to, name: "sample", stateDir: "/other" })
      assert.deepStrictEqual(yield* other.sweep, [])
      const { location } = yield* Fiber.join(run)
      yield* sh(["zstd", "-q", "-t", location])
    }))
})
