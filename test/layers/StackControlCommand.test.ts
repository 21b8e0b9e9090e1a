import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { StackName, type Unit, UnitId } from "../../src/domain/Stack.ts"
import * as PidRecord from "../../src/internal/pidRecord.ts"
import * as StackControlCommand from "../../src/layers/StackControlCommand.ts"
import { record } from "../../src/layers/StackControlCommandRun.ts"
import { StackControl } from "../../src/services/StackControl.ts"
import { live } from "../support/live.ts"
import { alive, eventually, pidIn, reap, start, tempDir } from "./fixtures/support.ts"

const app = StackName.make("app")
const sh = (script: string) => ["sh", "-c", script] as const

/** A daemon that keeps its stdout, and its commands, in a directory with an odd name. */
const sandbox = Effect.gen(function*() {
  const directory = yield* tempDir
  const cwd = Path.join(directory, "the app ü\n")
  const stateDir = Path.join(directory, "state")
  Fs.mkdirSync(cwd)
  const pidFile = Path.join(cwd, "pid")
  yield* reap(() => pidIn(pidFile))
  const stack = (changes: Partial<StackControlCommand.CommandStack> = {}): StackControlCommand.CommandStack => ({
    stack: app,
    cwd,
    start: sh(
      "sh -c 'echo $$ > pid; echo up; while :; do echo tick; sleep 0.05; done' & while ! [ -s pid ]; do sleep 0.01; done"
    ),
    stop: sh("kill $(cat pid) && while kill -0 $(cat pid) 2>/dev/null; do sleep 0.01; done; rm pid"),
    status: sh("[ -e pid ] || exit 3; kill -0 $(cat pid)"),
    stopTimeout: Duration.seconds(5),
    startTimeout: Duration.seconds(5),
    ...changes
  })
  const control = (
    changes: Partial<StackControlCommand.CommandStack> = {},
    options: Partial<StackControlCommand.StackControlCommandOptions> = {}
  ) =>
    StackControl.pipe(
      Effect.provide(StackControlCommand.layer({ stacks: [stack(changes)], stateDir, ...options }))
    )
  return { cwd, stateDir, pidFile, stack, control, log: Path.join(stateDir, "output", "app.start.log") }
})

const unitOf = (control: StackControl["Type"]) =>
  Effect.map(control.inspect(app), ({ units }): Unit => units.units[0] as Unit)

describe("StackControlCommand", () => {
  live("starts, inspects, stops", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const control = yield* box.control()
      assert.deepStrictEqual(yield* control.stacks, [app])
      const before = yield* control.inspect(app)
      assert.strictEqual(before.units.control, "command")
      assert.strictEqual(before.observations[0]?.state, "stopped")
      const unit = yield* unitOf(control)
      assert.strictEqual(unit.id, UnitId.make("app"))
      assert.strictEqual(unit.stopTimeoutMs, 5000)
      const { cwd, start, status, stop } = box.stack()
      assert.deepStrictEqual(
        JSON.parse(JSON.stringify(unit.identity)),
        JSON.parse(JSON.stringify({ cwd, start, status, stop }))
      )
      yield* control.start(app, unit)
      assert.strictEqual((yield* control.observe(app, unit)).state, "running")
      assert.deepStrictEqual(yield* control.stop(app, unit), { clean: true })
      assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
    }))

  live(
    "a start whose daemon keeps its output open ends with the command, and the daemon lives on",
    [],
    () =>
      Effect.gen(function*() {
        const box = yield* sandbox
        const control = yield* box.control()
        const unit = yield* unitOf(control)
        const [took] = yield* Effect.timed(control.start(app, unit))
        assert.isBelow(Duration.toMillis(took), 2000)
        yield* eventually(
          "the daemon writes to the log",
          () => Fs.readFileSync(box.log, "utf8").includes("tick\ntick\n")
        )
        assert.isTrue(alive(pidIn(box.pidFile)))
        assert.strictEqual(Fs.statSync(box.log).mode & 0o777, 0o600)
        assert.strictEqual(Fs.statSync(Path.dirname(box.log)).mode & 0o777, 0o700)
        // neither a pipe of ours nor our mark
        const pid = pidIn(box.pidFile)
        assert.strictEqual(Fs.readlinkSync(`/proc/${pid}/fd/1`), box.log)
        assert.strictEqual(Fs.readlinkSync(`/proc/${pid}/fd/2`), box.log)
        const environ = Fs.readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")
        assert.include(environ, "QUIESCE_STACK=app")
        assert.isFalse(environ.some((entry) => entry.startsWith("QUIESCE_KIN")))
      })
  )

  live("the log is begun anew at each start, and its end is in the error", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const control = yield* box.control({ start: sh("echo \"line $$\"; echo oh no >&2; exit 9") })
      const unit = yield* unitOf(control)
      const first = yield* Effect.flip(control.start(app, unit))
      const second = yield* Effect.flip(control.start(app, unit))
      assert.match(second.message, /^could not start stack 'app': 'sh -c .*exit code 9: line \d+\noh no$/s)
      assert.notStrictEqual(first.message, second.message)
      assert.strictEqual(Fs.readFileSync(box.log, "utf8").split("\n").length, 3)
    }))

  live("the app is started also when its output can be kept nowhere", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const control = yield* box.control()
      const unit = yield* unitOf(control)
      const victim = Path.join(box.cwd, "victim")
      Fs.writeFileSync(victim, "precious")
      Fs.mkdirSync(Path.dirname(box.log), { recursive: true, mode: 0o700 })
      Fs.symlinkSync(victim, box.log)
      yield* control.start(app, unit)
      assert.strictEqual((yield* control.observe(app, unit)).state, "running")
      assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
      yield* control.stop(app, unit)
      Fs.rmSync(box.stateDir, { recursive: true })
      Fs.writeFileSync(box.stateDir, "a file is in the way")
      yield* control.start(app, unit)
      assert.strictEqual((yield* control.observe(app, unit)).state, "running")
    }))

  live("a start that does not end is killed with its whole group", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const control = yield* box.control({
        start: sh("sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 0.1; done' & echo waiting; wait"),
        startTimeout: Duration.millis(500)
      })
      const error = yield* Effect.flip(Effect.flatMap(unitOf(control), (unit) => control.start(app, unit)))
      assert.match(error.message, /limit 500ms.*did not end in time and was killed: waiting/s)
      yield* eventually("the group is gone", () => !alive(pidIn(box.pidFile)))
    }))

  live("status answers as LSB: 0 running, 3 stopped, all else cannot tell", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const seen = (script: string) =>
        Effect.gen(function*() {
          const control = yield* box.control({ status: sh(script) }, { statusTimeout: Duration.millis(300) })
          const { observations } = yield* control.inspect(app)
          return observations[0]
        })
      assert.strictEqual((yield* seen("exit 0"))?.state, "running")
      assert.strictEqual((yield* seen("exit 3"))?.state, "stopped")
      for (const code of [1, 2, 4, 127, 255]) {
        const observation = yield* seen(`echo why >&2; exit ${code}`)
        assert.strictEqual(observation?.state, "unknown")
        assert.include(observation?.detail, `exit code ${code}: why`)
      }
      assert.strictEqual((yield* seen("kill -9 $$"))?.state, "unknown")
      const late = yield* seen("trap 'exit 0' TERM; sleep 60 & wait")
      assert.strictEqual(late?.state, "unknown")
      assert.include(late?.detail, "did not end in time")
    }))

  live("a status program that cannot be started is an error with the way out", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const control = yield* box.control({ status: ["no-such-status"] })
      const error = yield* Effect.flip(control.inspect(app))
      assert.strictEqual(error._tag, "StackControlError")
      assert.match(error.message, /could not inspect stack 'app': 'no-such-status' was not found.*absolute path/)
    }))

  live("an unknown stack is named with those that are known", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const control = yield* box.control()
      for (const ask of [control.inspect, control.prepare]) {
        const error = yield* Effect.flip(ask(StackName.make("other")))
        assert.strictEqual(error._tag, "StackNotFound")
        assert.match(error.message, /'other'; known: app/)
      }
    }))

  live("a stop that fails, hangs or cannot be started is an error with its output", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const message = (stop: StackControlCommand.CommandStack["stop"]) =>
        Effect.gen(function*() {
          const control = yield* box.control({ stop, stopTimeout: Duration.millis(400) })
          const unit = yield* unitOf(control)
          const error = yield* Effect.flip(control.stop(app, unit))
          assert.strictEqual(error.operation, "stop")
          // nothing of the stop is left: what is true is for the status to say
          assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
          return error.message
        })
      assert.match(yield* message(sh("echo refused; exit 1")), /could not stop stack 'app': .*exit code 1: refused/)
      assert.match(yield* message(sh("echo $$ > late; echo waiting; exec sleep 60")), /did not end in time.*waiting/s)
      assert.isFalse(alive(pidIn(Path.join(box.cwd, "late"))))
      assert.match(yield* message(["./no such stop"]), /'\.\/no such stop' was not found/)
    }))

  live(
    "prepare runs with the stack up; its failure is an error; without a command nothing happens",
    [],
    () =>
      Effect.gen(function*() {
        const box = yield* sandbox
        yield* Effect.flatMap(box.control(), (control) => control.prepare(app))
        yield* Effect.flatMap(
          box.control({ prepare: sh("echo $QUIESCE_STACK > prepared") }),
          (control) => control.prepare(app)
        )
        assert.strictEqual(Fs.readFileSync(Path.join(box.cwd, "prepared"), "utf8"), "app\n")
        const slow = yield* box.control({ prepare: ["sleep", "60"], prepareTimeout: Duration.millis(200) })
        assert.match(
          (yield* Effect.flip(slow.prepare(app))).message,
          /could not prepare stack 'app': 'sleep 60' \(limit 200ms\)/
        )
      })
  )

  live(
    "the state is changing while our own stop runs, and what status says once it has ended",
    [],
    () =>
      Effect.gen(function*() {
        const box = yield* sandbox
        const control = yield* box.control({ stop: sh("touch stopping; while [ -e stopping ]; do sleep 0.02; done") })
        const unit = yield* unitOf(control)
        const fiber = yield* Effect.fork(control.stop(app, unit))
        yield* eventually("the stop runs", () => Fs.existsSync(Path.join(box.cwd, "stopping")))
        assert.strictEqual((yield* control.observe(app, unit)).state, "changing")
        Fs.rmSync(Path.join(box.cwd, "stopping"))
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
      })
  )

  live(
    "the state is changing while a command of a dead process of this installation runs, and no longer",
    [],
    () =>
      Effect.gen(function*() {
        const box = yield* sandbox
        const control = yield* box.control()
        const unit = yield* unitOf(control)
        const file = record(box.stateDir, app)
        // what a run that was killed leaves behind
        const left = yield* start(["sleep", "60"])
        yield* PidRecord.write(file, left.pid)
        assert.strictEqual((yield* control.observe(app, unit)).state, "changing")
        assert.strictEqual((yield* control.inspect(app)).observations[0]?.state, "changing")
        const other = yield* box.control({}, { stateDir: "/another/installation" })
        assert.strictEqual((yield* other.observe(app, unit)).state, "stopped")
        yield* left.kill("SIGKILL")
        yield* left.ended
        assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
        // the same id, another process
        Fs.writeFileSync(file, `${process.pid} 1\n`)
        assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
        Fs.writeFileSync(file, "nonsense")
        assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
      })
  )

  live("what a stop command leaves running is not the stop", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const pidFile = Path.join(box.cwd, "left.pid")
      const leaving = { stop: sh("sleep 60 >/dev/null 2>&1 & echo $! >left.pid") }
      const control = yield* box.control(leaving)
      const unit = yield* unitOf(control)
      yield* control.stop(app, unit)
      assert.isTrue(alive(pidIn(pidFile)))
      assert.strictEqual((yield* control.observe(app, unit)).state, "stopped")
      const another = yield* box.control(leaving)
      assert.strictEqual((yield* another.observe(app, unit)).state, "stopped")
      process.kill(pidIn(pidFile), "SIGKILL")
    }))

  live(
    "a stack that is no longer configured is started and observed from its marker alone",
    [],
    () =>
      Effect.gen(function*() {
        const box = yield* sandbox
        const unit = yield* Effect.flatMap(box.control(), unitOf)
        const marked: Unit = JSON.parse(JSON.stringify(unit))
        const control = yield* box.control({}, { stacks: [] })
        yield* control.start(app, marked)
        assert.strictEqual((yield* control.observe(app, marked)).state, "running")
        yield* control.stop(app, marked)
        assert.strictEqual((yield* control.observe(app, marked)).state, "stopped")
        for (const identity of [{}, { ...marked.identity, start: [] }, { ...marked.identity, status: "text" }]) {
          for (const ask of [control.observe, control.start, control.stop]) {
            const error = yield* Effect.flip(ask(app, { ...marked, identity }))
            assert.strictEqual(error._tag, "StackControlError")
            assert.match(error.message, /not configured, and its marker does not say its commands; configure it again/)
          }
        }
      })
  )

  live("the configured commands win over those of the marker", [], () =>
    Effect.gen(function*() {
      const box = yield* sandbox
      const wrong = yield* Effect.flatMap(box.control({ start: ["false"], status: ["false"] }), unitOf)
      const control = yield* box.control()
      yield* control.start(app, wrong)
      assert.strictEqual((yield* control.observe(app, wrong)).state, "running")
    }))
})
