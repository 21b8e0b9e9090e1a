/**
 * A clone beside its original: the same files on another machine, with the same token, and the agent of the original in
 * reach. It must start its own app, and must not say a word to the agent.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { sh } from "../lab/loopfs.ts"
import * as Machine from "../lab/machine.ts"
import * as Canary from "../support/canary.ts"
import * as AgentSite from "./agentSite.ts"
import * as Traces from "./traces.ts"

const needs = ["root", "tar", "zstd", "flock"] as const

const original = {
  machineId: "3d1219c7c4c5404aaa1f6d2a48adfda4",
  productUuid: "4c4c4544-0051-3210-8052-b4c04f4e4d32"
}
/** Nobody has renewed the machine-id of this one; the hypervisor has renewed the other. */
const cloned = { ...original, productUuid: "93c0f2d6-51ba-4c1d-9a41-0c21f0a7a001" }
/** Or the other way round, as with containers. */
const renewed = { ...original, machineId: "0f2f3b1e0a7c4bd89bb7a2b0a3f6a1c2" }

/** The token of the original is on a copy of its disk too. */
const plantToken = (disk: string) => {
  const file = Path.join(disk, "token")
  Canary.plant(Fs.readFileSync(file, "utf8").trim().split("~")[1] ?? "", file)
}

/** An original with its agent, and a copy of its disk that was made in the middle of a hold. */
const site = Effect.gen(function*() {
  const host = yield* AgentSite.make({ guests: [{ watch: { schedule: "* * * * *" } }] })
  const guest = AgentSite.only(host)
  const here = yield* Machine.make(original)
  const disk = Path.join(host.root, "disk of the clone")
  guest.hooks.arm("stop.after", `cp -a '${guest.directory}' '${disk}'`)
  const { code, stderr } = yield* guest.quiesce(["run", "--json"], { through: here })
  assert.deepStrictEqual([code, stderr], [0, ""], host.agent().log())
  plantToken(disk)
  const onDisk = { directory: disk, stateDir: Path.join(disk, "state"), backups: "/", place: "/" }
  assert.strictEqual(Traces.markers(onDisk).length, 2)
  /** What the clone has of its own, seen from outside. */
  const clone = {
    isUp: () => Fs.existsSync(Path.join(disk, "up")),
    log: () =>
      Fs.readFileSync(Path.join(disk, "app.log"), "utf8").trimEnd().split("\n").map((line) => line.slice(0, 5)),
    markers: () => Traces.markers(onDisk),
    file: Path.join(onDisk.stateDir, "machine"),
    on: (machine: Machine.Machine) => Machine.make({ ...machine, at: { [guest.directory]: disk } })
  }
  assert.isFalse(clone.isUp())
  const asked = () => [guest.proxy.count("opened"), guest.jobs().length]
  return { asked, clone, disk, guest, here, host }
})

const refusal = /belongs to another machine \(.*\/machine: \S+ was another one there\).* and remove \S+\/machine/

describe("a clone beside its original", () => {
  AgentSite.live("it starts its app, and never speaks for its original", needs, () =>
    Effect.gen(function*() {
      const { asked, clone, disk, guest, here, host } = yield* site
      const through = yield* clone.on(cloned)
      const before = asked()

      const recovered = yield* guest.quiesce(["recover"], { through })
      assert.deepStrictEqual([recovered.code, recovered.stdout], [0, "app/app: started\neverything is up"])
      assert.match(recovered.stderr, refusal)
      assert.isTrue(clone.isUp())
      assert.deepStrictEqual(clone.markers(), [])

      for (const machine of [cloned, renewed]) {
        const run = yield* guest.quiesce(["run", "--json"], { through: yield* clone.on(machine) })
        assert.deepStrictEqual([run.code, run.report?.outcome], [7, "refused"])
        assert.match(run.report?.error ?? "", refusal)
      }
      const plan = yield* guest.quiesce(["plan"], { through })
      assert.deepStrictEqual([plan.code, refusal.test(plan.stdout)], [7, true], plan.stdout)
      assert.deepStrictEqual(clone.log(), ["stop ", "start"], "the app of the clone was touched")
      assert.deepStrictEqual(asked(), before, "the clone has spoken to the agent")
      assert.deepStrictEqual(Traces.processes(disk), [])

      // the original is none the worse, and the way out is a way out
      const { code } = yield* guest.quiesce(["run", "--json"], { through: here })
      assert.strictEqual(code, 0)
      Fs.rmSync(clone.file)
      const own = yield* guest.quiesce(["run", "--json"], { through })
      assert.deepStrictEqual([own.code, own.report?.consistency.level], [0, "application"], own.stderr)
      assert.strictEqual(Fs.statSync(clone.file).mode & 0o7777, 0o600)
      yield* AgentSite.settled(host)
    }))

  AgentSite.live(
    "a run and a daemon start what the snapshot has left down, before they refuse",
    needs,
    () =>
      Effect.gen(function*() {
        const { asked, clone, disk, guest } = yield* site
        const through = yield* clone.on(cloned)
        const before = asked()
        const kept = `${disk} kept`
        yield* sh(["cp", "-a", disk, kept])
        plantToken(kept)
        for (const words of [["run"], ["watch"]]) {
          yield* sh(["rm", "-rf", disk])
          yield* sh(["cp", "-a", kept, disk])
          const { code, stderr, stdout } = yield* guest.quiesce(words, { through })
          assert.strictEqual(code, 7, stderr)
          assert.match(`${stderr}${stdout}`, refusal)
          assert.isTrue(clone.isUp())
          assert.deepStrictEqual(clone.log(), ["stop ", "start"])
          assert.deepStrictEqual(clone.markers(), [])
          assert.deepStrictEqual(asked(), before, "the clone has spoken to the agent")
        }
      })
  )

  AgentSite.live("restored on its own machine it is no clone", needs, () =>
    Effect.gen(function*() {
      const { clone, guest, host } = yield* site
      const through = yield* clone.on(original)
      const { code, report, stderr } = yield* guest.quiesce(["run", "--json"], { through })
      assert.deepStrictEqual([code, report?.consistency.level], [0, "application"], stderr)
      assert.deepStrictEqual(clone.log(), ["stop ", "start", "stop ", "start"])
      yield* AgentSite.settled(host)
    }))
})
