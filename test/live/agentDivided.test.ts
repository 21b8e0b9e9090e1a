/**
 * A divided agent: the front as nobody, the engine's side as root, and a real controller.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ExitCode } from "../../src/domain/Report.ts"
import * as AgentSite from "./agentSite.ts"
import * as Divided from "./dividedSite.ts"
import * as Hooks from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"
import * as Traces from "./traces.ts"

describe("a divided agent", () => {
  AgentSite.live(
    "a snapshot of btrfs, which needs root: taken for a front that has none",
    [...Divided.needs, "tar", "zstd", "btrfs", "mount", "openssl"],
    () =>
      Effect.gen(function*() {
        const site = yield* AgentSite.make({ guests: [{ snapshot: "btrfs" }], isDivided: true })
        const guest = AgentSite.only(site)
        yield* AgentSite.good(site, guest)
        Divided.isApart(site)
        yield* AgentSite.settled(site)
        assert.strictEqual(AgentSite.downtimes(guest).length, 1)
        assert.strictEqual(Fs.statSync(Path.join(site.stateDir, "jobs")).uid, 65534)
        const second = yield* Quiesce.run(["agent", "engine", "--config", site.config])
        assert.strictEqual(second.code, ExitCode.busy, second.stderr)
        assert.match(second.stderr, /another agent uses the state directory/)
      })
  )

  AgentSite.live(
    "vzdump: asked for by the guest, and begun by the host, whose hook asks the front",
    [...Divided.needs, "openssl"],
    () =>
      Effect.gen(function*() {
        const { atPoint, copied, guest, host, site } = yield* Divided.withVzdump
        host.control({ atPoint, holdBefore: ["INFO: Finished Backup"] })
        const run = yield* guest.start(["run", "--json"])
        yield* Hooks.eventually("the app was down and is up", () => guest.log().length === 2 && guest.isUp())
        host.go()
        const { code, report, stderr } = yield* run.ended
        assert.deepStrictEqual([code, report?.consistency.level], [0, "application"], stderr)
        assert.strictEqual(copied(), "clean")
        const [call] = host.callsOf("called")
        assert.strictEqual(Divided.statusOf(site.engine().pid)["Uid"]?.split("\t")[0], "0")
        assert.strictEqual(call?.argv?.[0], "100")
        Divided.isApart(site)

        const script = Path.join(host.root, "hook")
        const socket = Path.join(site.stateDir, "hook.sock")
        yield* Quiesce.run(["vzdump-hook", "--write", script, "--socket", socket, "--timeout", "20s"])
        Fs.writeFileSync(Path.join(host.root, "vzdump.conf"), `script: ${script}\n`)
        host.control({ atPoint })
        const daemon = yield* guest.start(["watch", "--json"])
        yield* Hooks.eventually("it listens", () => guest.proxy.count("opened") > 1)
        yield* Effect.sleep("1 second")
        const { status, stdout } = yield* Effect.promise(() =>
          new Promise<{ status: number | null; stdout: string }>((resolve) => {
            const child = ChildProcess.spawn(host.paths.vzdump, ["100", "--storage", "backup"], {
              stdio: ["ignore", "pipe", "ignore"],
              env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }
            })
            let stdout = ""
            child.stdout.on("data", (chunk: Buffer) => void (stdout += chunk.toString("utf8")))
            child.once("close", (status) => resolve({ status, stdout }))
          })
        )
        assert.strictEqual(status, 0, stdout)
        assert.include(stdout, "quiesce: guest 'web' is quiet (run ", site.agent().log())
        assert.strictEqual(copied(), "clean")
        yield* Hooks.eventually("it has reported", () => daemon.events.some(({ type }) => type === "report"))
        const told = daemon.events.flatMap((event) => event.type === "report" ? [event.consistency.level] : [])
        assert.deepStrictEqual(told, ["application"])
        daemon.signal("SIGTERM")
        yield* daemon.ended
        assert.deepStrictEqual(Traces.everything(guest), [])
      })
  )
})
