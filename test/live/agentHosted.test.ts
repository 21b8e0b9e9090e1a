/**
 * An agent on a host of which only the vzdump is not real: backups that the guest asks for, and backups that the host
 * begins by itself and that ask the guest. At the point in time the data of the app is copied as it is.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type LabHost, labHost } from "../lab/vzdump/host.ts"
import { tempDir } from "../layers/fixtures/support.ts"
import * as AgentSite from "./agentSite.ts"
import * as Hooks from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"
import * as Traces from "./traces.ts"

const needs = ["flock", "root"] as const

const site = Effect.fnUntraced(function*(vzdump: Readonly<Record<string, string>> = {}, vmid = 100, agent = {}) {
  const host = yield* labHost
  const program = yield* AgentSite.bundle("agentHostProcess", yield* tempDir)
  const made = yield* AgentSite.make({
    guests: [{ vzdump: { vmid, storage: "backup", ...vzdump }, watch: { requests: true } }],
    host: { program, paths: host.paths },
    agent
  })
  const guest = AgentSite.only(made)
  const copy = Path.join(host.root, "copy")
  /** What the backup has of the app. */
  const copied = () => Fs.readFileSync(Path.join(copy, "state"), "utf8").trim()
  const atPoint = `rm -rf '${copy}'; cp -a '${guest.source}' '${copy}'`
  return { agent: made, atPoint, copied, guest, host, vmid }
})

/** Somebody on the host starts a vzdump. Answers with how it ends. */
const startVzdump = ({ paths }: LabHost, vmid: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = ChildProcess.spawn(paths.vzdump, [`${vmid}`, "--mode", "snapshot", "--storage", "backup"], {
        stdio: ["ignore", "pipe", "ignore"],
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }
      })
      let output = ""
      child.stdout.on("data", (chunk: Buffer) => void (output += chunk.toString("utf8")))
      const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
      return { child, output: () => output, ended: Effect.promise(() => ended) }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const points = (host: LabHost) => host.callsOf("point").map(({ at }) => at ?? 0)

describe("a backup by vzdump that the guest asks for", () => {
  const samples: Readonly<Record<string, readonly [log: string, vmid: number, mode: string]>> = {
    "a container by snapshot": ["run-lxc-snapshot-1vol-ok", 100, "snapshot"],
    "a machine by snapshot": ["run-qemu-snapshot-qga-ok", 200, "snapshot"],
    "a container that falls back to suspend": ["run-lxc-suspend-fallback-ok", 100, "suspend"]
  }
  for (const [name, [log, vmid, mode]] of Object.entries(samples)) {
    AgentSite.live(
      `${name}: the app is down at the point in time, and up before the end`,
      needs,
      () =>
        Effect.gen(function*() {
          const { agent, atPoint, copied, guest, host } = yield* site({}, vmid)
          host.control({ log, atPoint, holdBefore: ["INFO: Finished Backup"] })
          const run = yield* guest.start(["run", "--json"])
          yield* Hooks.eventually("the app was down and is up", () => guest.log().length === 2 && guest.isUp())
          host.go()
          const { code, report, stderr } = yield* run.ended
          assert.deepStrictEqual([code, report?.consistency.level, report?.mode], [0, "application", mode], stderr)
          assert.strictEqual(copied(), "clean")
          const [stop, start] = guest.log().map(({ at }) => at)
          const [point = 0] = points(host)
          assert.isTrue(stop !== undefined && start !== undefined && stop <= point && point <= start)
          assert.strictEqual(host.callsOf("started").length, 1)
          assert.deepStrictEqual(Traces.everything(guest), [])
          assert.deepStrictEqual(guest.jobs().map(({ status }) => status.phase), ["done"])
          assert.notInclude(agent.agent().log(), "error")
        })
    )
  }

  AgentSite.live(
    "a container without a snapshot: the app is up at the end, and not before",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site({ mode: "stop" })
        host.control({ log: "run-lxc-guest-off-ok", holdBefore: ["INFO: Finished Backup"] })
        const run = yield* guest.start(["run", "--json"])
        yield* Hooks.eventually("the app is down", () => !guest.isUp())
        yield* Hooks.eventually("it works", () => host.callsOf("started").length === 1)
        yield* Effect.sleep("1 second")
        assert.isFalse(guest.isUp())
        host.go()
        const { code, report } = yield* run.ended
        assert.deepStrictEqual([code, report?.outcome, report?.mode], [0, "ok", "stop"], report?.error ?? "")
        assert.isTrue(guest.isUp())
      })
  )

  AgentSite.live(
    "while another vzdump holds the lock of the host: queued, with the app up",
    needs,
    () =>
      Effect.gen(function*() {
        const { atPoint, copied, guest, host } = yield* site()
        host.control({ atPoint })
        const held = Path.join(host.root, "held")
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            ChildProcess.spawn("flock", [host.paths.lockFile, "sh", "-c", `: > ${held}; exec cat`], {
              stdio: ["pipe", "ignore", "ignore"]
            })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        ).pipe(
          Effect.flatMap((other) =>
            Effect.gen(function*() {
              yield* Hooks.eventually("the lock is held", () => Fs.existsSync(held))
              const run = yield* guest.start(["run", "--json"])
              yield* Hooks.eventually("it is queued", () => run.events.length > 0)
              yield* Effect.sleep("2 seconds")
              assert.deepStrictEqual(run.events.map((event) => event.type === "phase" ? event.phase : ""), ["queued"])
              assert.deepStrictEqual(guest.log(), [])
              assert.strictEqual(host.callsOf("called").length, 0)
              other.stdin?.end()
              const { code, report } = yield* run.ended
              assert.deepStrictEqual([code, report?.consistency.level], [0, "application"], report?.error ?? "")
            })
          )
        )
        assert.strictEqual(copied(), "clean")
      })
  )

  AgentSite.live(
    "an agent that is killed in the transfer, or before the point: vzdump goes on, and is found again",
    needs,
    () =>
      Effect.gen(function*() {
        const { agent, atPoint, copied, guest, host } = yield* site()
        for (const [index, moment] of ["INFO: create storage snapshot", "INFO: Finished Backup"].entries()) {
          host.control({ atPoint, holdBefore: ["-", moment].slice(1 - index) })
          const run = yield* guest.start(["run", "--json"])
          yield* Hooks.eventually("it works", () => host.callsOf("started").length === index + 1)
          if (index === 1) yield* Hooks.eventually("the app is up", () => guest.log().length === 4)
          yield* agent.kill9
          yield* agent.restart
          host.go(index)
          const { code, report } = yield* run.ended
          assert.deepStrictEqual([code, report?.consistency.level, report?.error], [0, "application", null], moment)
          assert.strictEqual(copied(), "clean")
          assert.strictEqual(host.callsOf("started").length, index + 1, "one backup for one run")
        }
      })
  )
})

describe("a backup that the host begins by itself", () => {
  const hosted = Effect.fnUntraced(function*(timeout = "20s") {
    const all = yield* site()
    const script = Path.join(all.host.root, "hook")
    const socket = Path.join(all.agent.stateDir, "hook.sock")
    const wrote = yield* Quiesce.run(["vzdump-hook", "--write", script, "--socket", socket, "--timeout", timeout])
    assert.strictEqual(wrote.code, 0, wrote.stderr)
    Fs.writeFileSync(Path.join(all.host.root, "vzdump.conf"), `script: ${script}\n`)
    all.host.control({ atPoint: all.atPoint })
    return all
  })

  /** The daemon of the guest, once the agent has heard of it. */
  const watch = Effect.fnUntraced(function*(guest: AgentSite.Guest) {
    const before = guest.proxy.count("opened")
    const live = yield* guest.start(["watch", "--json"])
    yield* Hooks.eventually("it listens", () => guest.proxy.count("opened") > before)
    yield* Effect.sleep("500 millis")
    return live
  })

  const end = (daemon: Quiesce.Live) => Effect.zipRight(Effect.sync(() => daemon.signal("SIGTERM")), daemon.ended)

  const reports = (daemon: Quiesce.Live) => daemon.events.flatMap((event) => event.type === "report" ? [event] : [])

  AgentSite.live("the app of the guest is down for the window alone", needs, () =>
    Effect.gen(function*() {
      const { copied, guest, host, vmid } = yield* hosted()
      const daemon = yield* watch(guest)
      for (const round of [1, 2]) {
        const vzdump = yield* startVzdump(host, vmid)
        assert.strictEqual(yield* vzdump.ended, 0)
        assert.include(vzdump.output(), "quiesce: guest 'web' is quiet (run ")
        assert.strictEqual(copied(), "clean")
        yield* Hooks.eventually("it has reported", () => reports(daemon).length === round)
        const report = reports(daemon).at(-1)
        assert.deepStrictEqual([report?.outcome, report?.consistency.level], ["ok", "application"], report?.error ?? "")
        assert.include(vzdump.output(), report?.runId ?? "-")
        assert.isTrue(report?.phases.some(({ phase }) => phase === "snapshotted"))
        assert.isTrue(guest.isUp())
        const [stop = 0, start = 0] = guest.log().slice(-2).map(({ at }) => at)
        const point = points(host).at(-1) ?? 0
        assert.isTrue(stop <= point && point <= start, `${stop} ${point} ${start}`)
      }
      const ended = yield* end(daemon)
      assert.deepStrictEqual(Traces.everything(guest), [])
      assert.strictEqual(ended.code, 143)
    }))

  AgentSite.live(
    "nobody in the guest listens: it goes on at once, and the app is not touched",
    needs,
    () =>
      Effect.gen(function*() {
        const { copied, guest, host, vmid } = yield* hosted()
        const vzdump = yield* startVzdump(host, vmid)
        assert.strictEqual(yield* vzdump.ended, 0)
        assert.include(vzdump.output(), "is not quiet: no controller of this guest waits for questions: going on")
        assert.strictEqual(copied(), "dirty")
        assert.deepStrictEqual(guest.log(), [])
        assert.deepStrictEqual(guest.jobs(), [])
      })
  )

  AgentSite.live(
    "the daemon is killed while the app is down: the app is back, and the backup claims nothing",
    needs,
    () =>
      Effect.gen(function*() {
        const { copied, guest, host, vmid } = yield* hosted("10s")
        const first = yield* watch(guest)
        guest.hooks.arm("stop.after", "kill -9 $quiesce")
        const vzdump = yield* startVzdump(host, vmid)
        assert.strictEqual((yield* first.ended).signal, "SIGKILL")
        yield* Hooks.eventually("the app is back", guest.isUp)
        assert.strictEqual(yield* vzdump.ended, 0)
        assert.include(vzdump.output(), "going on, the backup is crash-consistent at best")
        assert.strictEqual(copied(), "dirty")
        assert.deepStrictEqual(reports(first), [])
        yield* Hooks.eventually(
          "the agent has ended it",
          () => guest.jobs().every(({ status }) => status.phase === "failed")
        )
        const second = yield* watch(guest)
        const again = yield* startVzdump(host, vmid)
        assert.strictEqual(yield* again.ended, 0)
        assert.strictEqual(copied(), "clean")
        yield* Hooks.eventually("it has reported", () => reports(second).length === 1)
        assert.strictEqual(reports(second)[0]?.consistency.level, "application")
        yield* end(second)
        assert.strictEqual(AgentSite.downtimes(guest).length, 2)
        assert.deepStrictEqual(Traces.everything(guest), [])
      })
  )

  AgentSite.live(
    "the agent is killed after it has told the host to go on: it follows the same vzdump again",
    needs,
    () =>
      Effect.gen(function*() {
        const { agent, atPoint, copied, guest, host, vmid } = yield* hosted()
        host.control({ atPoint, holdBefore: ["INFO: creating"] })
        const daemon = yield* watch(guest)
        const vzdump = yield* startVzdump(host, vmid)
        yield* Hooks.eventually("the point is reached", () => points(host).length === 1)
        yield* agent.kill9
        yield* agent.restart
        host.go()
        assert.strictEqual(yield* vzdump.ended, 0)
        yield* Hooks.eventually("it has reported", () => reports(daemon).length === 1)
        const [report] = reports(daemon)
        assert.deepStrictEqual([report?.outcome, report?.consistency.level], ["ok", "application"], report?.error ?? "")
        assert.strictEqual(copied(), "clean")
        assert.isTrue(guest.isUp())
        yield* end(daemon)
      })
  )
})
