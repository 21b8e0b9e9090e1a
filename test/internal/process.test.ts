import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { explain, run, spawn, SpawnFailed } from "../../src/internal/process.ts"
import { alive, eventually, pidIn, reap, tempDir, withEnv } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const sh = (script: string, ...args: ReadonlyArray<string>) => ["sh", "-c", script, "sh", ...args] as const

// a descriptor may be closed while we look
const readLink = (path: string) => {
  try {
    return Fs.readlinkSync(path)
  } catch {
    return ""
  }
}

describe("process", () => {
  live("answers with exit code and output", [], () =>
    Effect.gen(function*() {
      const result = yield* run({ argv: sh("echo out; echo err >&2; exit 7") })
      assert.strictEqual(result.code, 7)
      assert.strictEqual(result.stdout, "out\n")
      assert.sameMembers(result.output.split("\n"), ["out", "err"])
      assert.match(explain(result), /^exit code 7: /)
    }))

  live("passes arguments as they are", [], () =>
    Effect.gen(function*() {
      const odd = "a b\n$(touch x)'\"ü*"
      const result = yield* run({ argv: ["printf", "%s", odd] })
      assert.strictEqual(result.stdout, odd)
    }))

  live("does not cut characters between chunks", [], () =>
    Effect.gen(function*() {
      const result = yield* run({ argv: sh("printf '\\303'; sleep 0.1; printf '\\274'") })
      assert.strictEqual(result.stdout, "ü")
    }))

  live("keeps the last 64 KiB of output, and does not block on more", [], () =>
    Effect.gen(function*() {
      const result = yield* run({ argv: sh("yes 0123456789 | head -c 1000000; echo end"), timeout: "20 seconds" })
      assert.strictEqual(result.code, 0)
      assert.strictEqual(result.stdout.length, 64 * 1024)
      assert.isTrue(result.stdout.endsWith("end\n"))
    }))

  live("names a signal and gives the code of a shell", [], () =>
    Effect.gen(function*() {
      const result = yield* run({ argv: sh("kill -USR1 $$") })
      assert.strictEqual(result.code, 138)
      assert.strictEqual(explain(result), "killed by SIGUSR1")
    }))

  live("fails typed when the program cannot be started", [], () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      const file = Path.join(directory, "not executable")
      Fs.writeFileSync(file, "", { mode: 0o600 })
      const code = (argv: readonly [string, ...ReadonlyArray<string>], cwd?: string) =>
        run({ argv, cwd }).pipe(Effect.flip, Effect.map((error) => error.code))
      assert.strictEqual(yield* code(["no-such-program"]), "ENOENT")
      assert.strictEqual(yield* code(["true"], Path.join(directory, "gone")), "ENOENT")
      assert.strictEqual(yield* code([file]), "EACCES")
      assert.strictEqual(yield* code(["true"], file), "ENOTDIR")
      assert.strictEqual(yield* code(["true", "x".repeat(4_000_000)]), "E2BIG")
      assert.strictEqual(yield* code(["true", "nul\0byte"]), "ERR_INVALID_ARG_VALUE")
      assert.strictEqual(yield* code(["true\0"]), "ERR_INVALID_ARG_VALUE")
      assert.match((yield* Effect.flip(run({ argv: [file] }))).message, /not executable/)
    }))

  live("kills the whole group at the timeout, also what ignores SIGTERM", [], () =>
    Effect.gen(function*() {
      const pidFile = Path.join(yield* tempDir, "pid")
      yield* reap(() => pidIn(pidFile))
      const [took, result] = yield* Effect.timed(run({
        argv: sh(
          "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > \"$1\"; while :; do sleep 0.1; done' sh \"$1\" & wait",
          pidFile
        ),
        timeout: "500 millis",
        grace: "200 millis"
      }))
      assert.isTrue(result.timedOut)
      assert.match(explain(result), /did not end in time/)
      assert.isBelow(Duration.toMillis(took), 3000)
      yield* eventually("the grandchild is gone", () => !alive(pidIn(pidFile)))
    }))

  live("ends a group on SIGTERM before the grace is over", [], () =>
    Effect.gen(function*() {
      const [took, result] = yield* Effect.timed(
        run({ argv: ["sleep", "60"], timeout: "100 millis", grace: "20 seconds" })
      )
      assert.isTrue(result.timedOut)
      assert.strictEqual(result.signal, "SIGTERM")
      assert.isBelow(Duration.toMillis(took), 5000)
    }))

  live("does not wait for a daemon that holds the pipe, and lets it live", [], () =>
    Effect.gen(function*() {
      const pidFile = Path.join(yield* tempDir, "pid")
      yield* reap(() => pidIn(pidFile))
      const [took, result] = yield* Effect.timed(
        run({ argv: sh("sleep 60 & echo $! > \"$1\"; echo started", pidFile) })
      )
      assert.strictEqual(result.stdout, "started\n")
      assert.isBelow(Duration.toMillis(took), 3000)
      assert.isTrue(alive(pidIn(pidFile)))
    }))

  live("ends the group when the caller is interrupted", [], () =>
    Effect.gen(function*() {
      const pidFile = Path.join(yield* tempDir, "pid")
      const fiber = yield* Effect.fork(run({ argv: sh("echo $$ > \"$1\"; exec sleep 60", pidFile) }))
      yield* eventually("it runs", () => alive(pidIn(pidFile)))
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.isFalse(alive(pidIn(pidFile)))
    }))

  live("gives a child the added environment, and never the mark of its own parent", [], () =>
    Effect.gen(function*() {
      yield* withEnv("QUIESCE_KIN", "stop:/somewhere#app")
      const result = yield* run({ argv: sh("echo \"[$QUIESCE_KIN][$EXTRA]\""), env: { EXTRA: "ü" } })
      assert.strictEqual(result.stdout, "[][ü]\n")
    }))

  live("writes to a given descriptor, or nowhere", [], () =>
    Effect.gen(function*() {
      const path = Path.join(yield* tempDir, "out")
      const fd = Fs.openSync(path, "a")
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.closeSync(fd)))
      const result = yield* run({ argv: sh("echo a; echo b >&2"), stdout: fd, stderr: "ignore" })
      assert.strictEqual(result.output, "")
      assert.strictEqual(Fs.readFileSync(path, "utf8"), "a\n")
    }))

  live("a spawned child runs in a session of its own, without our descriptors", [], () =>
    Effect.gen(function*() {
      const path = Path.join(yield* tempDir, "held open")
      const fd = Fs.openSync(path, "w")
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.closeSync(fd)))
      const child = yield* spawn({ argv: ["sleep", "60"] })
      const session = Fs.readFileSync(`/proc/${child.pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[3]
      assert.strictEqual(Number(session), child.pid)
      const open = Fs.readdirSync(`/proc/${child.pid}/fd`).map((name) => readLink(`/proc/${child.pid}/fd/${name}`))
      assert.isAtLeast(open.length, 3)
      assert.notInclude(open, path)
    }))

  live("SpawnFailed says the way out", [], () =>
    Effect.sync(() => {
      assert.match(new SpawnFailed({ program: "x", code: "ENOENT" }).message, /'x' was not found \(PATH/)
    }))
})
