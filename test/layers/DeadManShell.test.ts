import { assert, describe } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as DeadManShell from "../../src/layers/DeadManShell.ts"
import { DeadMan } from "../../src/services/DeadMan.ts"
import { live } from "../support/live.ts"
import { alive, bundle, eventually, reap, start, tempDir, withEnv } from "./fixtures/support.ts"

const deadManOf = (options: DeadManShell.DeadManShellOptions) =>
  DeadMan.pipe(Effect.provide(DeadManShell.layer(options)))

/** The shells that were armed with this log file. */
const shells = (logFile: string): ReadonlyArray<number> =>
  Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("quiesce-dead-man") &&
        Fs.readlinkSync(`/proc/${pid}/fd/1`) === logFile
    } catch {
      return false
    }
  })

/** Never 0: a signal to process 0 is one to our own group. While it says that it is armed, its stdout is elsewhere. */
const theShell = (logFile: string) =>
  Effect.gen(function*() {
    yield* eventually("one shell is armed", () => shells(logFile).length === 1)
    const [shell] = shells(logFile)
    return shell ?? (yield* Effect.dieMessage("the shell is gone"))
  })

const sandbox = Effect.gen(function*() {
  const directory = yield* tempDir
  const logFile = Path.join(directory, "log file ü")
  const proof = Path.join(directory, "it's $(odd)\n proof")
  // what the command writes shows its stdin, its signals and its arguments
  const script =
    "read -r line; printf '%s|%s|%s' \"$2\" \"$line\" \"$(grep SigIgn /proc/$$/status)\" > \"$1\"; echo recovered"
  const command = ["sh", "-c", script, "sh", proof, "two words"] as const
  const fixture = yield* bundle("deadManHolder")
  const begin = (mode: "hold" | "disarm" | "idle", detached = false) =>
    Effect.gen(function*() {
      const holder = yield* start([process.execPath, fixture, mode, logFile, ...command], { detached })
      const childPid = () => Number(/armed (\d+)/.exec(holder.output())?.[1] ?? 0)
      yield* reap(childPid)
      yield* eventually("the fixture is armed", () => childPid() > 0)
      return { holder, childPid }
    })
  const done = () => Fs.existsSync(proof) && Fs.readFileSync(proof, "utf8").length > 0
  return { directory, logFile, proof, command, begin, done }
})

describe("DeadManShell", () => {
  live("kill -9: the command runs at once, though a child of the dead lives on", [], () =>
    Effect.gen(function*() {
      const { begin, done, logFile, proof } = yield* sandbox
      const { childPid, holder } = yield* begin("hold")
      yield* theShell(logFile)
      yield* Effect.sleep("100 millis")
      assert.isFalse(done())
      yield* holder.kill("SIGKILL")
      const [took] = yield* Effect.timed(eventually("the command ran", done))
      assert.isBelow(Duration.toMillis(took), 2000)
      assert.isTrue(alive(childPid()))
      // no stdin, default signals, the arguments as given
      assert.match(Fs.readFileSync(proof, "utf8"), /^two words\|\|SigIgn:\s*0+$/)
      yield* eventually("its output is in the log", () => Fs.readFileSync(logFile, "utf8").includes("recovered\n"))
      assert.strictEqual(Fs.statSync(logFile).mode & 0o777, 0o600)
    }))

  live("the close of the scope disarms: the command does not run", [], () =>
    Effect.gen(function*() {
      const { begin, done, logFile } = yield* sandbox
      const { holder } = yield* begin("disarm")
      // nothing else keeps it alive
      yield* Effect.timeout(holder.ended, "5 seconds")
      yield* eventually("the shell is gone", () => shells(logFile).length === 0)
      yield* Effect.sleep("200 millis")
      assert.isFalse(done())
      assert.strictEqual(Fs.readFileSync(logFile, "utf8"), "")
    }))

  live(
    "an armed dead-man does not keep the process alive, and its end without a close runs the command",
    [],
    () =>
      Effect.gen(function*() {
        const { begin, done } = yield* sandbox
        const { holder } = yield* begin("idle")
        yield* Effect.timeout(holder.ended, "5 seconds")
        yield* eventually("the command ran", done)
      })
  )

  live("it survives signals to our process group and to itself", [], () =>
    Effect.gen(function*() {
      const { begin, done, logFile } = yield* sandbox
      const { holder } = yield* begin("hold", true)
      const shell = yield* theShell(logFile)
      process.kill(-holder.pid, "SIGINT")
      yield* eventually("the group was signalled", () => holder.output().includes("SIGINT"))
      for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT"] as const) process.kill(shell, signal)
      yield* Effect.sleep("100 millis")
      assert.isTrue(alive(shell))
      assert.isFalse(done())
      process.kill(-holder.pid, "SIGKILL")
      yield* eventually("the command ran", done)
    }))

  live("arm twice in one process: each scope has its own", [], () =>
    Effect.gen(function*() {
      const { command, done, logFile } = yield* sandbox
      const deadMan = yield* deadManOf({ command, logFile })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* deadMan.arm
        yield* Effect.scoped(deadMan.arm)
        yield* theShell(logFile)
      }))
      assert.strictEqual(shells(logFile).length, 0)
      assert.isFalse(done())
    }))

  live("the pipe is closed on exec", [], () =>
    Effect.gen(function*() {
      const { command, logFile } = yield* sandbox
      const before = new Set(Fs.readdirSync("/proc/self/fd"))
      yield* Effect.scoped(Effect.gen(function*() {
        const deadMan = yield* deadManOf({ command, logFile })
        yield* deadMan.arm
        const opened = Fs.readdirSync("/proc/self/fd").filter((fd) => !before.has(fd)).flatMap((fd) => {
          try {
            return [{
              to: Fs.readlinkSync(`/proc/self/fd/${fd}`),
              flags: Number.parseInt(
                /flags:\s*(\d+)/.exec(Fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "",
                8
              )
            }]
          } catch {
            return []
          }
        })
        const sockets = opened.filter(({ to }) => to.startsWith("socket:"))
        assert.isAbove(sockets.length, 0)
        for (const { flags } of sockets) assert.strictEqual(flags & 0o2000000, 0o2000000)
      }))
    }))

  live("a shell that was killed or stopped neither crashes nor hangs the close", [], () =>
    Effect.gen(function*() {
      const { command, done, logFile } = yield* sandbox
      const deadMan = yield* deadManOf({ command, logFile })
      for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
        const [took] = yield* Effect.timed(Effect.scoped(Effect.gen(function*() {
          yield* deadMan.arm
          const shell = yield* theShell(logFile)
          process.kill(shell, signal)
          yield* Effect.sleep("50 millis")
        })))
        assert.isBelow(Duration.toMillis(took), 4000)
      }
      const stopped = yield* theShell(logFile)
      process.kill(stopped, "SIGCONT")
      yield* eventually("it reads the word when it goes on", () => shells(logFile).length === 0)
      assert.isFalse(done())
    }))

  live("fails typed without sh, without a working directory, and without a log file", [], () =>
    Effect.gen(function*() {
      const { command, directory, logFile } = yield* sandbox
      const reason = (options: Partial<DeadManShell.DeadManShellOptions>) =>
        Effect.flatMap(deadManOf({ command, logFile, ...options }), (deadMan) =>
          Effect.map(Effect.flip(Effect.scoped(deadMan.arm)), (error) => {
            assert.strictEqual(error._tag, "DeadManUnavailable")
            return error.message
          }))
      assert.match(yield* reason({ env: { PATH: directory } }), /'sh' was not found/)
      assert.match(yield* reason({ cwd: Path.join(directory, "gone") }), /working directory does not exist/)
      assert.match(yield* reason({ logFile: Path.join(directory, "gone", "log") }), /gone\/log: ENOENT/)
      Fs.symlinkSync(Path.join(directory, "victim"), Path.join(directory, "link"))
      assert.match(yield* reason({ logFile: Path.join(directory, "link") }), /symbolic link/)
      assert.isFalse(Fs.existsSync(Path.join(directory, "victim")))
      // an `sh` that is no shell
      Fs.symlinkSync("/bin/false", Path.join(directory, "sh"))
      assert.match(yield* reason({ env: { PATH: directory } }), /'sh' ended at once/)
    }))

  live("the command does not inherit a mark", [], () =>
    Effect.gen(function*() {
      const { directory, logFile } = yield* sandbox
      yield* withEnv("QUIESCE_KIN", "stop:/x#app")
      const proof = Path.join(directory, "env")
      yield* Effect.scoped(Effect.gen(function*() {
        const deadMan = yield* deadManOf({ command: ["true"], logFile })
        yield* deadMan.arm
        const shell = yield* theShell(logFile)
        Fs.copyFileSync(`/proc/${shell}/environ`, proof)
      }))
      assert.notInclude(Fs.readFileSync(proof, "utf8"), "QUIESCE_KIN")
    }))
})
