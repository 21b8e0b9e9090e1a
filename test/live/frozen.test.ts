/**
 * The file system of quiesce's own files stands still, as when the guest agent of QEMU freezes the guest for a snapshot:
 * state directory, log and output of a run are on it. What must come up does not wait for a disk.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loopMount, sh } from "../lab/loopfs.ts"
import * as AgentSite from "./agentSite.ts"
import * as Hooks from "./hooks.ts"
import * as Traces from "./traces.ts"

const needs = ["root", "mount", "tar", "zstd", "flock"] as const

/** A guest whose disk, but not its app, can be frozen. */
const site = Effect.fnUntraced(function*(options: AgentSite.GuestOptions = {}) {
  const disk = yield* loopMount("ext4", { megabytes: 64 })
  const stateDir = Path.join(disk, "state")
  const host = yield* AgentSite.make({ guests: [{ ...options, stateDir }] })
  const thaw = Effect.ignore(sh(["fsfreeze", "-u", disk]))
  const guest = AgentSite.only(host)
  /** The next snapshot of the agent freezes the disk first, and then does this. */
  const freezes = (then = ":") =>
    guest.hooks.arm(
      "stop.after",
      AgentSite.armed(host, "cp.before", `fsfreeze -f ${disk} && : > ${host.root}/frozen; ${then}`)
    )
  const frozen = () => Fs.existsSync(Path.join(host.root, "frozen"))
  return { disk, freezes, frozen, guest, host, log: Path.join(disk, "log"), stateDir, thaw }
})

describe("frozen for the snapshot", () => {
  AgentSite.live(
    "state and log stand still until the app is up: it comes up all the same",
    needs,
    () =>
      Effect.gen(function*() {
        const { freezes, frozen, guest, host, log, thaw } = yield* site()
        freezes()
        const run = yield* guest.start(["run", "--json"], { stderrTo: log })
        // before anything is awaited that may be stuck in the kernel
        yield* Effect.addFinalizer(() => thaw)
        yield* Hooks.eventually("the disk is frozen", frozen)
        yield* Hooks.eventually("the app is up", guest.isUp)
        yield* Hooks.eventually(
          "it is said",
          () => run.events.some((event) => event.type === "stack" && event.state === "running")
        )
        yield* thaw
        const { code, report } = yield* run.ended
        assert.deepStrictEqual([code, report?.consistency.level], [0, "application"], host.agent().log())
        assert.deepStrictEqual(report?.warnings, [])
        assert.deepStrictEqual(Traces.everything(guest), [])
      })
  )

  AgentSite.live(
    "frozen until after the limit: up by the limit, the marker is cleared later",
    needs,
    () =>
      Effect.gen(function*() {
        const { freezes, frozen, guest, host, log, thaw } = yield* site({ maxDowntime: "3s" })
        freezes("hold")
        const run = yield* guest.start(["run"], { stderrTo: log })
        // before anything is awaited that may be stuck in the kernel
        yield* Effect.addFinalizer(() => thaw)
        yield* Hooks.eventually("the disk is frozen", frozen)
        yield* Hooks.eventually("the app is up", guest.isUp)
        assert.strictEqual(Traces.markers(guest).length, 2)
        yield* Effect.sleep("8 seconds")
        host.hooks.letGo()
        yield* thaw
        const { code, stdout } = yield* run.ended
        assert.strictEqual(code, 6, stdout)
        assert.isTrue(guest.isUp())
        assert.match(Fs.readFileSync(log, "utf8"), /app: up again/)
        assert.strictEqual((yield* guest.quiesce(["recover"])).code, 0)
        assert.deepStrictEqual(Traces.markers(guest), [])
        assert.strictEqual(guest.log().length, 2)
      })
  )
})
