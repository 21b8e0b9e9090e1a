/**
 * Runs against an agent over a network that fails: the app is up in time, and what the report says is true.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { RunEvent } from "../../src/domain/Report.ts"
import type { Fault } from "../lab/chaosProxy.ts"
import * as AgentSite from "./agentSite.ts"
import type * as Quiesce from "./quiesce.ts"
import * as Traces from "./traces.ts"

const needs = ["tar", "zstd", "flock"] as const

const site = Effect.fnUntraced(function*(options: AgentSite.GuestOptions = {}, agent = {}) {
  const host = yield* AgentSite.make({ guests: [options], agent })
  return { host, guest: AgentSite.only(host) }
})

const codeAndOutcome = ({ code, report }: Quiesce.Ended) => [code, report?.outcome]

/** The stages of a run, by what it tells. */
const stages: Readonly<Record<string, (event: RunEvent) => boolean>> = {
  "queued": (event) => event.type === "phase" && event.phase === "queued",
  "ready": (event) => event.type === "phase" && event.phase === "ready",
  "the stop": (event) => event.type === "stack" && event.state === "stopping",
  "the app is down": (event) => event.type === "stack" && event.state === "stopped",
  "running": (event) => event.type === "phase" && event.phase === "running",
  "snapshotted": (event) => event.type === "phase" && event.phase === "snapshotted",
  "the start": (event) => event.type === "stack" && event.state === "starting",
  "the app is up": (event) => event.type === "stack" && event.state === "running",
  "the transfer": (event) => event.type === "progress"
}

/** A run that is held when its app is down, and goes on after `act`. */
const heldDown = Effect.fnUntraced(function*<E, R>(guest: AgentSite.Guest, act: Effect.Effect<unknown, E, R>) {
  guest.hooks.disarm()
  guest.hooks.arm("stop.after", "hold")
  const run = yield* guest.start(["run", "--json"])
  yield* guest.hooks.held
  yield* act
  guest.hooks.letGo()
  return yield* run.ended
})

describe("an agent that cannot be reached", () => {
  AgentSite.live("at the preflight: refused, and the app is never touched", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site()
      const faults: ReadonlyArray<Fault> = [
        { kind: "refuse" },
        { kind: "reset" },
        { kind: "garbage" },
        { kind: "cut", way: "down", after: 0 },
        { kind: "cut", way: "down", after: 700 },
        { kind: "half-close", way: "down" }
      ]
      for (const fault of faults) {
        yield* guest.proxy.set(fault)
        const ended = yield* guest.quiesce(["run", "--json"])
        assert.deepStrictEqual(codeAndOutcome(ended), [7, "refused"], JSON.stringify(fault))
        assert.isAbove(guest.proxy.count(fault.kind), 0)
      }
      yield* guest.proxy.set({ kind: "pass" })
      yield* host.kill9
      const ended = yield* guest.quiesce(["run", "--json"])
      assert.deepStrictEqual(codeAndOutcome(ended), [7, "refused"], "no agent")
      assert.deepStrictEqual(guest.log(), [])
      assert.deepStrictEqual(guest.jobs(), [])
      assert.deepStrictEqual(Traces.everything(guest), [])
      yield* host.restart
      yield* AgentSite.good(host, guest)
    }))

  AgentSite.live("a token that is revoked, and a certificate that is another one", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site()
      const revoked = yield* heldDown(guest, host.token("--guest", guest.name, "--revoke"))
      assert.deepStrictEqual(codeAndOutcome(revoked), [1, "backup-failed"])
      assert.include(revoked.report?.error ?? "", "token")
      assert.isTrue(guest.isUp())
      assert.notStrictEqual(revoked.report?.consistency.level, "application")
      const refused = yield* guest.quiesce(["run", "--json"])
      assert.deepStrictEqual(codeAndOutcome(refused), [7, "refused"])
      const { stdout } = yield* host.token("--guest", guest.name)
      Fs.writeFileSync(Path.join(guest.directory, "token"), stdout)
      // the cancel was not let in either
      yield* host.kill9
      yield* host.restart
      yield* AgentSite.good(host, guest)

      const before = guest.log().length
      const other = yield* heldDown(
        guest,
        Effect.gen(function*() {
          yield* host.kill9
          const own = Fs.readdirSync(host.stateDir).filter((name) => /cert|key|pem|tls/i.test(name))
          assert.isAbove(own.length, 0, Fs.readdirSync(host.stateDir).join(" "))
          for (const name of own) Fs.rmSync(Path.join(host.stateDir, name), { recursive: true })
          yield* host.restart
        })
      )
      assert.deepStrictEqual(codeAndOutcome(other), [1, "backup-failed"])
      assert.include(other.report?.error ?? "", "fingerprint")
      assert.isTrue(guest.isUp())
      assert.isBelow(AgentSite.downtimes(guest).at(-1) ?? 0, 10_000)
      const again = yield* guest.quiesce(["run", "--json"])
      assert.deepStrictEqual(codeAndOutcome(again), [7, "refused"])
      assert.strictEqual(guest.log().length, before + 2, "the app was touched again")
      yield* AgentSite.settled(host)
    }))
})

describe("answers that are lost", () => {
  AgentSite.live("the same run asked for twice is one backup", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site({ via: "socket" })
      const requests = ["POST /v1/backups HTTP", "/quiesced HTTP", "GET /v1/backups/", "/prepare HTTP"]
      for (const [index, text] of requests.entries()) {
        guest.proxy.once(text, { kind: "cut", way: "down", after: 0 })
        yield* AgentSite.good(host, guest)
        assert.strictEqual(guest.proxy.count("cut"), index + 1, text)
        assert.strictEqual(guest.jobs().length, index + 1, text)
      }
      // in the middle of the answer, all of them in one run
      for (const text of requests) guest.proxy.once(text, { kind: "cut", way: "down", after: 40 })
      yield* AgentSite.good(host, guest)
      assert.strictEqual(guest.proxy.count("cut"), 2 * requests.length)
      assert.strictEqual(guest.jobs().length, requests.length + 1)
      yield* AgentSite.settled(host)
    }))

  AgentSite.live(
    "a request whose answer is swallowed is asked again, with the app up, and is one backup",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site({ via: "socket", limits: { agentTimeout: "1s" } })
        guest.proxy.once("POST /v1/backups HTTP", { kind: "drop", way: "down" })
        yield* AgentSite.good(host, guest)
        assert.strictEqual(guest.proxy.count("drop"), 1)
        assert.strictEqual(guest.jobs().length, 1)
        yield* AgentSite.settled(host)
      })
  )

  AgentSite.live("a question that is swallowed in the transfer is asked again", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site({ limits: { agentTimeout: "1500ms" } })
      guest.hooks.arm("stop.after", AgentSite.armed(host, "tar.before", "sleep 4"))
      const run = yield* guest.start(["run", "--json"], {
        onEvent: (event) => {
          if (stages["snapshotted"]?.(event) === true) Effect.runFork(guest.proxy.set({ kind: "drop" }))
          if (stages["the app is up"]?.(event) === true) Effect.runFork(guest.proxy.set({ kind: "pass" }))
        }
      })
      const ended = yield* run.ended
      const report = yield* AgentSite.judged(guest, ended)
      assert.deepStrictEqual([ended.code, report.consistency.level], [0, "application"])
      assert.isAbove(guest.proxy.count("drop"), 0)
      yield* AgentSite.settled(host)
    }))
})

describe("connections", () => {
  AgentSite.live("that are reset at every stage of a run", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site()
      for (const [name, isThere] of Object.entries(stages)) {
        const before = guest.proxy.count("reset")
        const run = yield* guest.start(["run", "--json"], {
          onEvent: (event) => isThere(event) ? guest.proxy.resetOpen() : undefined
        })
        const ended = yield* run.ended
        const report = yield* AgentSite.judged(guest, ended)
        assert.deepStrictEqual([ended.code, report.consistency.level, report.error], [0, "application", null], name)
        assert.isAbove(guest.proxy.count("reset"), before, name)
      }
      assert.strictEqual(guest.jobs().length, Object.keys(stages).length)
      yield* AgentSite.settled(host)
    }))

  AgentSite.live("on which every piece comes late", needs, () =>
    Effect.gen(function*() {
      const { guest, host } = yield* site()
      const run = Effect.fnUntraced(function*(millis: number, stage: string) {
        yield* guest.proxy.set({ kind: "pass" })
        const live = yield* guest.start(["run", "--json"], {
          onEvent: (event) =>
            stages[stage]?.(event) === true ? Effect.runSync(guest.proxy.set({ kind: "delay", millis })) : undefined
        })
        const ended = yield* live.ended
        const report = yield* AgentSite.judged(guest, ended)
        assert.deepStrictEqual([ended.code, report.consistency.level], [0, "application"], `${millis} ms`)
        return AgentSite.downtimes(guest).at(-1) ?? 0
      })
      yield* guest.proxy.set({ kind: "delay", millis: 100 })
      yield* AgentSite.good(host, guest)
      assert.isBelow(AgentSite.downtimes(guest).at(-1) ?? 0, 5_000)
      // to tell that it is down, and to hear of the snapshot
      assert.isAtLeast(yield* run(2_000, "the app is down"), 2 * 2_000)
      yield* AgentSite.settled(host)
    }))
})

describe("an agent that falls silent while the app is down", () => {
  const limits = { maxDowntime: "3s" }

  const inTime = Effect.fnUntraced(function*(guest: AgentSite.Guest, ended: Quiesce.Ended) {
    const report = yield* AgentSite.judged(guest, ended)
    assert.deepStrictEqual([ended.code, report.outcome], [6, "aborted"], report.error ?? "")
    assert.notStrictEqual(report.consistency.level, "application")
    const down = AgentSite.downtimes(guest).at(-1) ?? 0
    assert.isAtLeast(down, 2_900)
    assert.isBelow(down, 9_000)
  })

  AgentSite.live(
    "by the network: the app is back at the limit, and nothing new begins before the agent is done",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site({ ...limits, limits: { agentTimeout: "2s" } })
        yield* inTime(guest, yield* heldDown(guest, guest.proxy.set({ kind: "drop" })))
        assert.deepStrictEqual(guest.jobs().map(({ status }) => status.phase), ["ready"])
        yield* guest.proxy.set({ kind: "pass" })
        const busy = yield* guest.quiesce(["run", "--json"])
        assert.deepStrictEqual(codeAndOutcome(busy), [5, "busy"])
        assert.strictEqual(guest.log().length, 2, "the app was stopped for a backup that could not begin")
        yield* host.kill9
        yield* host.restart
        yield* AgentSite.settled(host)
        yield* AgentSite.good(host, guest)
      })
  )

  AgentSite.live(
    "because it is stopped: the app is back at the limit, and the agent goes on",
    needs,
    () =>
      Effect.gen(function*() {
        const { guest, host } = yield* site({ ...limits, limits: { agentTimeout: "2s" } }, { readyTimeout: "5s" })
        const stop = Effect.sync(() => host.agent().signal("SIGSTOP"))
        yield* inTime(guest, yield* heldDown(guest, stop))
        host.agent().signal("SIGCONT")
        // what it was told before it was stopped, it may do
        yield* AgentSite.settled(host)
        yield* AgentSite.good(host, guest)
      })
  )
})
