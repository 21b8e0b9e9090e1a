/**
 * Nobody reads what quiesce writes, or nothing takes it: a run does not notice.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { sh, tmpfs } from "../lab/loopfs.ts"
import * as AgentSite from "../live/agentSite.ts"
import * as Hooks from "../live/hooks.ts"
import * as Quiesce from "../live/quiesce.ts"
import * as Traces from "../live/traces.ts"

const needs = ["tar", "zstd", "flock"] as const

/** Starts the binary with streams as the shell text says; `|` is a pipe whose reader ends when the test says so. */
const start = (guest: AgentSite.Guest, words: ReadonlyArray<string>, redirect: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const argv = [process.execPath, Quiesce.bin, ...words, "--config", guest.config]
      const child = ChildProcess.spawn("/bin/sh", ["-c", `exec "$@" ${redirect}`, "sh", ...argv], {
        cwd: guest.directory,
        env: { PATH: guest.hooks.path, HOME: "/nonexistent" },
        detached: true,
        stdio: ["ignore", "pipe", "pipe"]
      })
      const code = new Promise<number | null>((resolve) => child.once("exit", resolve))
      return {
        child,
        code: Effect.timeoutFail(Effect.promise(() => code), { duration: "60 seconds", onTimeout: () => "it hangs" })
      }
    }),
    ({ child, code }) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), Effect.ignore(code))
  )

const sinks: Readonly<Record<string, string>> = {
  "stderr full": "2>/dev/full",
  "stdout full": ">/dev/full",
  "both full": ">/dev/full 2>&1",
  "stderr closed": "2>&-",
  "stdout closed": ">&-",
  "both closed, and stdin": ">&- 2>&- <&-"
}

const wasGood = Effect.fnUntraced(function*(guest: AgentSite.Guest, code: number | null) {
  assert.strictEqual(code, 0)
  assert.isTrue(guest.isUp())
  assert.deepStrictEqual(Traces.markers(guest), [])
  assert.strictEqual(guest.jobs().at(-1)?.status.phase, "done")
  const { stdout } = yield* guest.quiesce(["status", "--json"])
  assert.include(stdout, "\"outcome\":\"ok\"")
})

describe("streams that take nothing", () => {
  for (const [name, redirect] of Object.entries(sinks)) {
    AgentSite.live(`${name}: runs end well, and recover brings up`, needs, () =>
      Effect.gen(function*() {
        const guest = AgentSite.only(yield* AgentSite.make())
        for (const words of [["run", "--json"], ["run"]]) {
          const run = yield* start(guest, words, redirect)
          yield* wasGood(guest, yield* run.code)
        }
        assert.strictEqual(guest.log().length, 4)
        // a run that dies, and nobody but a recover without streams to bring the app up
        guest.hooks.disarm()
        guest.hooks.arm("stop.after", "hold")
        const dead = yield* start(guest, ["run"], redirect)
        yield* guest.hooks.held
        process.kill(Traces.deadMan(guest), "SIGKILL")
        dead.child.kill("SIGKILL")
        yield* dead.code
        guest.hooks.letGo()
        assert.isFalse(guest.isUp(), "this test tests nothing")
        assert.strictEqual(yield* (yield* start(guest, ["recover"], redirect)).code, 0)
        assert.isTrue(guest.isUp())
        assert.deepStrictEqual(Traces.markers(guest), [])
      }))
  }

  AgentSite.live("readers that leave at once, or in the hold", needs, () =>
    Effect.gen(function*() {
      const guest = AgentSite.only(yield* AgentSite.make())
      for (const words of [["run", "--json"], ["run"]]) {
        const run = yield* start(guest, words, "")
        run.child.stdout.destroy()
        run.child.stderr.destroy()
        yield* wasGood(guest, yield* run.code)
        guest.hooks.disarm()
        guest.hooks.arm("stop.after", "hold")
        const held = yield* start(guest, words, "")
        yield* guest.hooks.held
        held.child.stdout.destroy()
        held.child.stderr.destroy()
        guest.hooks.letGo()
        yield* wasGood(guest, yield* held.code)
      }
    }))

  AgentSite.live(
    "a daemon without streams takes its backups, and ends when it is told to",
    needs,
    () =>
      Effect.gen(function*() {
        const guest = AgentSite.only(yield* AgentSite.make({ guests: [{ watch: { schedule: "* * * * *" } }] }))
        guest.hooks.arm("stop.after", "hold")
        const daemon = yield* start(guest, ["watch", "--json"], ">/dev/full 2>&1")
        yield* guest.hooks.held.pipe(Effect.retry({ times: 4 }))
        daemon.child.kill("SIGTERM")
        yield* Effect.sleep("500 millis")
        guest.hooks.letGo()
        assert.strictEqual(yield* daemon.code, 143)
        assert.isTrue(guest.isUp())
        assert.deepStrictEqual(Traces.markers(guest), [])
      })
  )
})

describe("a state directory that is full", () => {
  /** A guest whose state is on a disk of its own, and what fills that. */
  const small = Effect.gen(function*() {
    const guest = AgentSite.only(yield* AgentSite.make())
    const disk = yield* tmpfs(1)
    const stateDir = Path.join(disk, "state")
    AgentSite.edit(guest.config, (content) => ({ ...content, stateDir }))
    const fill = `head -c 2M /dev/zero > '${disk}/filler' 2>/dev/null`
    return { guest, disk, stateDir, fill }
  })

  AgentSite.live(
    "since the hold: the app comes up, and the next run is refused",
    ["mount", ...needs],
    () =>
      Effect.gen(function*() {
        const { disk, fill, guest, stateDir } = yield* small
        guest.hooks.arm("stop.after", fill)
        const ended = yield* guest.quiesce(["run", "--json"])
        assert.isTrue(guest.isUp())
        assert.strictEqual(ended.code, 0, ended.report?.error ?? "")
        assert.strictEqual(ended.report?.consistency.level, "application")
        assert.deepStrictEqual(Traces.markers({ ...guest, stateDir }), [])
        // what the marker has given back is taken too
        yield* Effect.ignore(sh(["dd", "if=/dev/zero", `of=${disk}/more`, "bs=4k"]))
        const next = yield* guest.quiesce(["run", "--json"])
        assert.deepStrictEqual([next.code, next.report?.outcome], [7, "refused"])
        assert.strictEqual(guest.log().length, 2)
        assert.strictEqual((yield* guest.quiesce(["recover"])).code, 0)
        yield* sh(["rm", `${disk}/filler`, `${disk}/more`])
        assert.strictEqual((yield* guest.quiesce(["run", "--json"])).code, 0)
      })
  )

  AgentSite.live(
    "where the reports are: the report is told and not kept, and the code is right",
    ["mount", ...needs],
    () =>
      Effect.gen(function*() {
        const { guest, stateDir } = yield* small
        const reports = Path.join(stateDir, "reports")
        Fs.mkdirSync(reports, { recursive: true, mode: 0o700 })
        Fs.chmodSync(stateDir, 0o700)
        yield* sh(["mount", "-t", "tmpfs", "-o", "size=4k,mode=700", "tmpfs", reports])
        Fs.writeFileSync(Path.join(reports, "filler"), "x".repeat(4096))
        const ended = yield* guest.quiesce(["run", "--json"])
        assert.strictEqual(ended.code, 0, ended.report?.error ?? "")
        assert.strictEqual(ended.report?.consistency.level, "application")
        assert.match(ended.stderr, /could not save the report: .*no space is left/)
        assert.isTrue(guest.isUp())
      })
  )

  AgentSite.live(
    "and the run dies in the hold: recover brings the app up on the full disk",
    ["mount", ...needs],
    () =>
      Effect.gen(function*() {
        const { fill, guest, stateDir } = yield* small
        guest.hooks.arm("stop.after", `${fill}; kill -9 $quiesce`)
        yield* guest.quiesce(["run", "--json"])
        yield* Hooks.eventually("the dead-man has brought the app up", guest.isUp)
        yield* Traces.quiet(guest)
        assert.deepStrictEqual(Traces.markers({ ...guest, stateDir }), [])
        assert.isTrue(Fs.existsSync(Path.join(stateDir, "markers")))
      })
  )
})
