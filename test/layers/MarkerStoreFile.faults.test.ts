import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as MarkerStoreFile from "../../src/layers/MarkerStoreFile.ts"
import { MarkerStore } from "../../src/services/MarkerStore.ts"
import { live } from "../support/live.ts"
import { bundle, execute, tempDir } from "./fixtures/support.ts"
import { draft } from "./fixtures/markers.ts"

const storeOf = (stateDir: string) => MarkerStore.pipe(Effect.provide(MarkerStoreFile.layer({ stateDir })))

/** Both the check before a run and the write fail, and there is no marker. */
const refuses = (stateDir: string, why: RegExp, operations: ReadonlyArray<"check" | "write"> = ["check", "write"]) =>
  Effect.gen(function*() {
    const store = yield* storeOf(stateDir)
    for (const operation of operations) {
      const error = yield* Effect.flip(operation === "check" ? store.check : store.write(draft(1)))
      assert(error._tag === "MarkerStoreError")
      assert.strictEqual(error.operation, operation)
      assert.match(error.message, why)
    }
  })

const markersIn = (stateDir: string): ReadonlyArray<string> => {
  const directory = Path.join(stateDir, "markers")
  return Fs.existsSync(directory) ? Fs.readdirSync(directory) : []
}

const tmpfs = (options: string) =>
  Effect.gen(function*() {
    const mounted = yield* tempDir
    yield* Effect.acquireRelease(
      Effect.sync(() => execute("mount", "-t", "tmpfs", "-o", `${options},mode=700`, "tmpfs", mounted)),
      () => Effect.sync(() => execute("umount", mounted))
    )
    return mounted
  })

const tracing = Effect.gen(function*() {
  const directory = yield* tempDir
  const fixture = yield* bundle("markerWriter")
  const trace = Path.join(directory, "trace")
  const run = (stateDir: string, mode: "all" | "write", ...options: ReadonlyArray<string>) => {
    try {
      return execute(
        "env",
        "UV_THREADPOOL_SIZE=1",
        "UV_USE_IO_URING=0",
        "strace",
        "-f",
        "-qq",
        "-y",
        "-s4096",
        `-o${trace}`,
        ...options,
        process.execPath,
        fixture,
        stateDir,
        mode
      ).trim()
    } catch {
      return "killed"
    }
  }
  return { directory, run, calls: () => Fs.readFileSync(trace, "utf8").split("\n") }
})

describe("MarkerStoreFile, faults", () => {
  live("no space: refused, nothing stays", ["mount"], () =>
    Effect.gen(function*() {
      const mounted = yield* tmpfs("size=64k")
      const stateDir = Path.join(mounted, "state")
      yield* Effect.flatMap(storeOf(stateDir), (store) => store.check)
      Fs.writeFileSync(Path.join(mounted, "filler"), "")
      try {
        for (;;) Fs.appendFileSync(Path.join(mounted, "filler"), "x".repeat(4096))
      } catch {
        // full
      }
      yield* refuses(stateDir, /state\/markers\/.*\.tmp: no space is left.*free some, or set another stateDir/)
      assert.deepStrictEqual(markersIn(stateDir), [])
      // room for the first copy and not for the second
      Fs.truncateSync(Path.join(mounted, "filler"), Fs.statSync(Path.join(mounted, "filler")).size - 4096)
      yield* refuses(stateDir, /copy\.json\.tmp: no space/, ["write"])
      assert.deepStrictEqual(markersIn(stateDir), [])
    }))

  live(
    "a read-only file system: refused, and what is there can still be read",
    ["mount"],
    () =>
      Effect.gen(function*() {
        const mounted = yield* tmpfs("size=256k")
        const stateDir = Path.join(mounted, "state")
        const store = yield* storeOf(stateDir)
        yield* store.write(draft(2))
        execute("mount", "-o", "remount,ro", mounted)
        yield* refuses(stateDir, /read-only; remount it writable/)
        assert.strictEqual((yield* store.list)[0]?._tag, "Readable")
        assert.strictEqual((yield* store.list).length, 1)
        assert.match(
          (yield* Effect.flip(store.clear(draft(2).runId))).message,
          /could not clear the marker: .*read-only/
        )
        yield* refuses(Path.join(mounted, "other"), /cannot be used: .*read-only/)
      })
  )

  live("no permission, a quota, an immutable directory: refused", ["strace"], () =>
    Effect.gen(function*() {
      const { calls, directory, run } = yield* tracing
      const reasons = { EACCES: /denied; run as its owner/, EDQUOT: /quota is used up/, EPERM: /not permitted \(immut/ }
      for (const [error, reason] of Object.entries(reasons)) {
        const stateDir = Path.join(directory, error)
        const out = run(stateDir, "write", "-e", "trace=mkdir", "-e", `inject=mkdir:error=${error}`)
        assert.match(out, /^failed .*could not write the marker: .* cannot be used: /)
        assert.match(out, reason)
        assert.isTrue(calls().some((line) => line.includes(error)))
        assert.isFalse(Fs.existsSync(stateDir))
      }
    }))

  live("planted symbolic links: refused, nothing is followed", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const victims = Path.join(directory, "victims")
      Fs.mkdirSync(victims, { mode: 0o700 })
      const victim = Path.join(victims, "victim")
      Fs.writeFileSync(victim, "precious")
      const untouched = () => {
        assert.deepStrictEqual(Fs.readdirSync(victims), ["victim"])
        assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
      }

      const linked = Path.join(directory, "linked")
      Fs.symlinkSync(victims, linked)
      yield* refuses(linked, /linked is not safe: it is a symbolic link/)
      untouched()

      const stateDir = Path.join(directory, "state")
      Fs.mkdirSync(stateDir, { mode: 0o700 })
      Fs.symlinkSync(victims, Path.join(stateDir, "markers"))
      yield* refuses(stateDir, /markers is not safe: it is a symbolic link/)
      assert.match((yield* Effect.flip(Effect.flatMap(storeOf(stateDir), ({ list }) => list))).message, /symbolic link/)
      untouched()
      Fs.unlinkSync(Path.join(stateDir, "markers"))

      Fs.mkdirSync(Path.join(stateDir, "markers"), { mode: 0o700 })
      for (const kind of ["json", "copy.json", "notes"]) {
        const planted = Path.join(stateDir, "markers", `${draft(1).runId}.${kind}.tmp`)
        Fs.symlinkSync(victim, planted)
        yield* refuses(stateDir, /not a regular file; look who made it/, ["write"])
        assert.deepStrictEqual(markersIn(stateDir), [Path.basename(planted)])
        untouched()
        Fs.unlinkSync(planted)
      }
      // at the final names a rename replaces the link itself
      for (const kind of ["json", "copy.json", "notes"]) {
        Fs.symlinkSync(victim, Path.join(stateDir, "markers", `${draft(1).runId}.${kind}`))
      }
      const store = yield* storeOf(stateDir)
      yield* store.write(draft(1))
      assert.strictEqual((yield* store.list)[0]?._tag, "Readable")
      untouched()
    }))

  live("a directory that others can write is refused, also for reading", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* tempDir
      const store = yield* storeOf(stateDir)
      yield* store.write(draft(1))
      Fs.chmodSync(Path.join(stateDir, "markers"), 0o770)
      assert.match((yield* Effect.flip(store.list)).message, /could not read the marker: .*others can write it/)
      yield* refuses(stateDir, /others can write it/)
    }))

  live("new directories are synced from above, or are not there", ["strace"], () =>
    Effect.gen(function*() {
      const { calls, directory, run } = yield* tracing
      const stateDir = Path.join(directory, "new", "state")
      assert.strictEqual(run(stateDir, "write", "-e", "trace=mkdir,fsync"), "ok")
      const steps = calls().flatMap((line) => {
        const [, call = "", rest = ""] = /^\d+ +(mkdir|fsync)\((.*)$/.exec(line) ?? []
        const path = /[<"]([^>"]+)[>"]/.exec(rest)?.[1]
        return path === undefined || line.includes("ENOENT") || Path.extname(path) !== ""
          ? []
          : [`${call} ${Path.relative(directory, path) || "."}`]
      })
      assert.deepStrictEqual(steps, [
        "mkdir new",
        "fsync .",
        "mkdir new/state",
        "fsync new",
        "mkdir new/state/markers",
        "fsync new/state",
        "fsync new/state/markers"
      ])
      for (const n of [1, 2, 3]) {
        const failing = Path.join(directory, `${n}`, "state")
        const out = run(failing, "write", "-e", "trace=fsync", "-e", `inject=fsync:error=EIO:when=${n}`)
        assert.match(out, /^failed .*cannot be used: .*input\/output error/)
        assert.isFalse(Fs.existsSync(Path.join(failing, "markers")))
      }
    }))

  live("the order of the system calls is the durable one", ["strace"], () =>
    Effect.gen(function*() {
      const { calls, directory, run } = yield* tracing
      const stateDir = Path.join(directory, "state")
      const names = "trace=openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
      assert.strictEqual(run(stateDir, "all", "-e", names), "ok")
      const markers = Path.join(stateDir, "markers")
      const runId = draft(1).runId
      const steps = calls().filter((line) => line.includes(markers) && !line.includes("ENOENT")).map((line) => {
        const call = /^\d+ +(\w+)\(/.exec(line)?.[1] ?? ""
        const flags = call === "openat" && line.includes("O_CREAT")
          ? ` ${["O_EXCL", "O_APPEND", "O_NOFOLLOW"].filter((flag) => line.includes(flag)).join("|")}`
          : ""
        // a rename is named by where it goes
        const paths = [...line.matchAll(new RegExp(`${markers}/?([^"<>]*)[">]`, "g"))].map((match) => match[1] ?? "")
        const path = (call.startsWith("rename") ? paths.at(-1) : paths[0]) ?? ""
        return `${call.replace("pwrite64", "write")} ${path.replace(runId, "ID") || "."}${flags}`
      }).filter((step) => step !== "openat .")
      const written = (name: string) => [
        `openat ${name}.tmp O_EXCL|O_NOFOLLOW`,
        `write ${name}.tmp`,
        `fsync ${name}.tmp`,
        `rename ${name}`
      ]
      assert.deepStrictEqual(steps, [
        ...written("ID.json"),
        ...written("ID.copy.json"),
        ...written("ID.notes").filter((step) => !step.startsWith("write")),
        "fsync .",
        // stopped: survives the process
        "openat ID.notes O_APPEND|O_NOFOLLOW",
        "write ID.notes",
        // running: survives the machine
        "openat ID.notes O_APPEND|O_NOFOLLOW",
        "write ID.notes",
        "fsync ID.notes",
        "unlink ID.json",
        "unlink ID.copy.json",
        "unlink ID.notes",
        "fsync ."
      ])
    }))

  live(
    "an error of any step of the write: refused, never tried again, no marker",
    ["strace"],
    () =>
      Effect.gen(function*() {
        const { calls, directory, run } = yield* tracing
        const faults = [
          ...[1, 2, 3, 4].map((n) => ["fsync", "EIO", n] as const),
          ...[1, 2, 3].map((n) => ["rename", "ENOSPC", n] as const)
        ]
        for (const [call, error, n] of faults) {
          const stateDir = Path.join(directory, `${call}${n}`)
          Fs.mkdirSync(Path.join(stateDir, "markers"), { recursive: true, mode: 0o700 })
          const out = run(stateDir, "write", "-e", `trace=${call}`, "-e", `inject=${call}:error=${error}:when=${n}`)
          assert.match(
            out,
            error === "EIO" ? /^failed .*input\/output error/ : /^failed .*no space is left/,
            `${call} ${n}`
          )
          assert.deepStrictEqual(markersIn(stateDir), [], `${call} ${n}`)
          if (call === "fsync" && n < 4) {
            const failing = calls().find((line) => line.includes("EIO")) ?? ""
            const path = /<([^>]+)>/.exec(failing)?.[1] ?? ""
            assert.strictEqual(calls().filter((line) => line.includes(`<${path}>`)).length, 1, `${call} ${n}`)
          }
        }
      }),
    120_000
  )

  live(
    "kill -9 at any step of write and clear: no marker or a readable one, never a damaged one",
    ["strace"],
    () =>
      Effect.gen(function*() {
        const { directory, run } = yield* tracing
        const points = [
          ...[1, 2, 3, 4, 5, 6].map((n) => ["fsync", n] as const),
          ...[1, 2, 3].flatMap((n) => [["rename", n], ["unlink", n]] as const)
        ]
        const seen: Array<string> = []
        for (const [call, n] of points) {
          const stateDir = Path.join(directory, `${call}${n}`)
          Fs.mkdirSync(Path.join(stateDir, "markers"), { recursive: true, mode: 0o700 })
          const out = run(stateDir, "all", "-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:when=${n}`)
          assert.strictEqual(out, "killed", `${call} ${n}`)
          const store = yield* storeOf(stateDir)
          const found = yield* store.list
          seen.push(...found.map(({ _tag }) => _tag))
          // the next run is not hindered
          yield* store.write(draft(2))
          yield* Effect.forEach(found, ({ name }) => store.clear(name))
          yield* store.clear(draft(2).runId)
          assert.deepStrictEqual(markersIn(stateDir), [], `${call} ${n}`)
        }
        assert.isAtLeast(seen.length, 5)
        assert.notInclude(seen, "Damaged")
      }),
    120_000
  )
})
