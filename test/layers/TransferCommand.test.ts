import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import * as SnapshotterBtrfs from "../../src/layers/SnapshotterBtrfs.ts"
import * as TransferCommand from "../../src/layers/TransferCommand.ts"
import { Transfer } from "../../src/services/Transfer.ts"
import { bundleAgent, kill9, said, startAgent } from "../lab/agentBundle.ts"
import { loopMount, sh, workDirectory } from "../lab/loopfs.ts"
import { live } from "../support/live.ts"

const build = (options: TransferCommand.TransferCommandOptions) =>
  Effect.flatMap(Layer.build(TransferCommand.layer(options)), (context) => Effect.provide(Transfer, context))

const run = (options: TransferCommand.TransferCommandOptions, path = "/the snap\nshot/$&") =>
  Effect.gen(function*() {
    const transfer = yield* build(options)
    return yield* transfer.run({ runId: yield* RunId.make, path, onProgress: () => Effect.void })
  })

const isAlive = (pid: number) =>
  Effect.promise(() => Fs.readFile(`/proc/${pid}/stat`, "utf8").then((stat) => !/\) Z /.test(stat), () => false))

describe("TransferCommand", () => {
  live("replaces {snapshot} everywhere, without a shell, and sets the environment", [], () =>
    Effect.gen(function*() {
      const cwd = yield* workDirectory
      const script = "printf '%s\\0' \"$PWD\" \"$QUIESCE_SNAPSHOT\" ${#QUIESCE_RUN_ID} \"$@\" > out"
      const artifact = yield* run({
        command: ["sh", "-c", script, "sh", "{snapshot}", "a:{snapshot}:{snapshot}", "; touch owned"],
        cwd,
        stateDir: cwd
      })
      const path = "/the snap\nshot/$&"
      assert.deepStrictEqual(
        (yield* Effect.promise(() => Fs.readFile(Path.join(cwd, "out"), "utf8"))).split("\0").slice(0, -1),
        [cwd, path, "36", path, `a:${path}:${path}`, "; touch owned"]
      )
      assert.deepStrictEqual(artifact, { location: `sh ${path}` })
      assert.deepStrictEqual(yield* Effect.promise(() => Fs.readdir(cwd)), ["out"])
    }))

  live("a failure carries the last output, and the output can be followed", [], () =>
    Effect.gen(function*() {
      const cwd = yield* workDirectory
      const seen: Array<string> = []
      const error = yield* Effect.flip(run({
        command: ["sh", "-c", "seq 1 2000; echo bad luck >&2; exit 3"],
        cwd,
        stateDir: cwd,
        onOutput: (text) => seen.push(text)
      }))
      assert.match(error.message, /the transfer failed: 'sh' ended with exit code 3:.*\n2000\nbad luck$/s)
      assert.isBelow(error.message.length, 300)
      assert.include(seen.join(""), "1\n2\n3\n")
      const killed = yield* Effect.flip(run({ command: ["sh", "-c", "kill -9 $$"], cwd, stateDir: cwd }))
      assert.include(killed.message, "killed by SIGKILL")
    }))

  live("the preflight finds programs as the run does", [], () =>
    Effect.gen(function*() {
      const cwd = yield* workDirectory
      yield* Effect.promise(() => Fs.writeFile(Path.join(cwd, "script"), "#!/bin/sh\n", { mode: 0o755 }))
      yield* Effect.promise(() => Fs.writeFile(Path.join(cwd, "closed"), "#!/bin/sh\n", { mode: 0o644 }))
      const preflight = (program: string, at = cwd) =>
        Effect.flatMap(build({ command: [program, "{snapshot}"], cwd: at, stateDir: cwd }), (transfer) =>
          Effect.map(Effect.either(transfer.preflight), (either) =>
            either._tag === "Left" ? either.left.message : "ok"))
      assert.strictEqual(yield* preflight("sh"), "ok")
      assert.strictEqual(yield* preflight("./script"), "ok")
      assert.strictEqual(yield* preflight(Path.join(cwd, "script")), "ok")
      assert.include(yield* preflight("./closed"), "is not an executable file")
      assert.include(yield* preflight("/tmp/"), "is not an executable file")
      assert.include(yield* preflight("no-such-program"), "'no-such-program' was not found in PATH")
      assert.include(yield* preflight("sh", Path.join(cwd, "gone")), "working directory cannot be used")
      assert.include(yield* preflight("sh", Path.join(cwd, "script")), "is not a directory")
      assert.include(
        (yield* Effect.flip(run({ command: ["no-such-program"], cwd, stateDir: cwd }))).message,
        "not found"
      )
    }))

  live("an interruption asks, waits, and then ends all it started", [], () =>
    Effect.gen(function*() {
      const cwd = yield* workDirectory
      const pids = Path.join(cwd, "pids")
      const started = (n: number) =>
        Effect.promise(() => Fs.readFile(pids, "utf8").then((text) => text.trim().split("\n").map(Number), () => []))
          .pipe(
            Effect.repeat({ until: (found) => found.length === n }),
            Effect.map((found) => found)
          )
      // ends by itself when asked, and has the time to clean up
      const polite = yield* Effect.fork(
        run({
          command: ["sh", "-c", "trap 'sleep 0.3; touch cleaned; exit 1' TERM; echo $$ > pids; sleep 100 & wait"],
          cwd,
          stateDir: cwd
        })
      )
      const first = yield* started(1)
      yield* Fiber.interrupt(polite)
      yield* Effect.promise(() => Fs.access(Path.join(cwd, "cleaned")))
      assert.isFalse(yield* isAlive(first[0] ?? 0))
      // does not listen; has children in its group and in a session of their own
      yield* Effect.promise(() => Fs.rm(pids))
      const deaf = yield* Effect.fork(
        run({
          command: [
            "sh",
            "-c",
            "trap '' TERM; sh -c 'echo $$; exec sleep 100' >> pids & setsid sh -c 'echo $$ >> pids; exec sleep 100' & echo $$ >> pids; while :; do sleep 1; done"
          ],
          cwd,
          stateDir: cwd
        })
      )
      const all = yield* started(3)
      const [taken] = yield* Effect.timed(Fiber.interrupt(deaf))
      assert.isAtLeast(Duration.toMillis(taken), 9_500)
      for (const pid of all) assert.isFalse(yield* isAlive(pid), `${pid} of ${all.join()}`)
    }))

  live(
    "what a command leaves behind does not keep reading, and does not hold up the run",
    [],
    () =>
      Effect.gen(function*() {
        const cwd = yield* workDirectory
        const [taken] = yield* Effect.timed(
          run({ command: ["sh", "-c", "setsid sleep 100 & echo $! > pid"], cwd, stateDir: cwd })
        )
        assert.isBelow(Duration.toMillis(taken), 3_000)
        assert.isFalse(yield* isAlive(Number(yield* Effect.promise(() => Fs.readFile(Path.join(cwd, "pid"), "utf8")))))
      })
  )

  live("a killed run's command is ended by the next sweep", ["flock"], () =>
    Effect.gen(function*() {
      const directory = yield* workDirectory
      const [stateDir, pid] = [Path.join(directory, "state"), Path.join(directory, "pid")]
      const bundle = yield* bundleAgent(directory)
      const command = ["sh", "-c", `echo $$ > '${pid}'; exec sleep 100`] as const
      const child = yield* startAgent(bundle, { do: "run", source: directory, stateDir, snapshot: "none", command })
      yield* said(child, "running")
      const found = yield* Effect.promise(() => Fs.readFile(pid, "utf8")).pipe(
        Effect.catchAllDefect(() => Effect.succeed("")),
        Effect.repeat({ until: (text) => text !== "" }),
        Effect.map(() => 0),
        Effect.zipRight(Effect.promise(() => Fs.readFile(pid, "utf8")))
      )
      yield* kill9(child)
      assert.isTrue(yield* isAlive(Number(found)), "it goes on, reading live data")
      const transfer = yield* build({ command, cwd: "/", stateDir })
      assert.deepStrictEqual(yield* transfer.sweep, ["1 process"])
      assert.isFalse(yield* isAlive(Number(found)))
      assert.deepStrictEqual(yield* transfer.sweep, [])
    }))

  live(
    "restic knows the files of the last snapshot by their stable path",
    ["btrfs", "restic"],
    () =>
      Effect.gen(function*() {
        const mount = yield* loopMount("btrfs")
        const [source, repository] = [Path.join(mount, "data"), Path.join(mount, "repository")]
        yield* sh(["btrfs", "subvolume", "create", source])
        for (let n = 0; n < 20; n++) {
          yield* sh(["dd", "if=/dev/urandom", `of=${Path.join(source, `f${n}`)}`, "bs=1M", "count=1", "status=none"])
        }
        const environment = ["env", "RESTIC_PASSWORD=x", `RESTIC_CACHE_DIR=${Path.join(mount, "cache")}`] as const
        yield* sh([...environment, "restic", "-r", repository, "init"])
        const snapshotter = SnapshotterBtrfs.make({ source, stateDir: mount })
        const backup = Effect.scoped(Effect.gen(function*() {
          const { path } = Option.getOrThrow(yield* Effect.flatten(snapshotter.reserve))
          let output = ""
          yield* run({
            command: [...environment, "restic", "-r", repository, "backup", "--verbose", "{snapshot}"],
            cwd: "/",
            stateDir: mount,
            onOutput: (text) => {
              output += text
            }
          }, path)
          return output
        }))
        assert.match(yield* backup, /Files: +20 new, +0 changed, +0 unmodified/)
        yield* Effect.promise(() => Fs.writeFile(Path.join(source, "f3"), "changed"))
        const second = yield* backup
        assert.match(second, /using parent snapshot/)
        assert.match(second, /Files: +0 new, +1 changed, +19 unmodified/)
      })
  )
})
