import { assert, describe, it } from "@effect/vitest"
import * as State from "../../../src/internal/docker/state.ts"
import { container, type Given, idOf } from "./fixtures.ts"

const inState = (Status: string, more: Given["state"] = {}) => container("web", { state: { Status, ...more } })

describe("the state of a container before a run", () => {
  const cases: ReadonlyArray<readonly [status: string, seen: State.Seen]> = [
    ["running", { state: "running", detail: "running" }],
    ["paused", { state: "stopped", detail: "paused", frozen: true }],
    ["restarting", { state: "changing", detail: "it restarts again and again; restarting, exit code 0" }],
    ["removing", { state: "changing", detail: "it is being removed" }],
    ["created", { state: "stopped", detail: "created, exit code 0", ended: true }],
    ["exited", { state: "stopped", detail: "exited, exit code 0", ended: true }],
    ["dead", { state: "stopped", detail: "dead, exit code 0", ended: true }],
    ["sleeping", { state: "unknown", detail: "the engine calls it 'sleeping'" }]
  ]
  for (const [status, seen] of cases) {
    it(status, () => assert.deepStrictEqual(State.plain(inState(status)), seen))
  }

  it("says how it ended", () => {
    const broken = { ExitCode: 127, Error: "exec: \"no\": not found" }
    assert.strictEqual(
      State.plain(inState("created", broken)).detail,
      "created, exit code 127: exec: \"no\": not found"
    )
    assert.strictEqual(
      State.plain(inState("exited", { ExitCode: 137, OOMKilled: true })).detail,
      "exited, exit code 137, out of memory"
    )
  })

  it("is not running for the words that an engine also uses of what is paused or restarts", () => {
    assert.strictEqual(State.plain(inState("paused", { Running: true })).state, "stopped")
    assert.strictEqual(State.plain(inState("restarting", { Running: true })).state, "changing")
  })
})

describe("the state of a container that a run holds", () => {
  it("is that before a run, but for a pause", () => {
    for (const status of ["running", "restarting", "removing", "created", "exited", "dead", "sleeping"]) {
      for (const how of ["stop", "pause", "exec"] as const) {
        assert.deepStrictEqual(State.held(inState(status), how), State.plain(inState(status)))
      }
    }
  })

  it("is held by a pause only where the run pauses", () => {
    assert.deepStrictEqual(State.held(inState("paused"), "pause"), { state: "stopped", detail: "paused", frozen: true })
    for (const how of ["stop", "exec"] as const) {
      assert.deepStrictEqual(State.held(inState("paused"), how), {
        state: "unknown",
        detail: "it is paused, and not by us; unpause it"
      })
    }
  })
})

describe("a container was killed", () => {
  const ended = (ExitCode: number, OOMKilled = false) => State.wasKilled(inState("exited", { ExitCode, OOMKilled }))

  it("by SIGKILL, for want of memory, or by a crash", () => {
    // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV
    for (const signal of [4, 5, 6, 7, 8, 9, 11]) assert.isTrue(ended(128 + signal), `signal ${signal}`)
    assert.isTrue(ended(0, true))
  })

  it("not where it ended as it was asked to", () => {
    for (const code of [0, 1, 2, 9, 11, 127, 128, 255]) assert.isFalse(ended(code), String(code))
    // SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGTERM: the signals by which containers are stopped
    for (const signal of [1, 2, 3, 10, 15]) assert.isFalse(ended(128 + signal), `signal ${signal}`)
  })
})

describe("the stamp of a container", () => {
  const stamp = (given: Given = {}) => State.stampOf(container("web", given))

  it("changes with a start, an end, a restart, and another container", () => {
    const others = [
      stamp({ state: { StartedAt: "2026-01-02T03:04:05.7Z" } }),
      stamp({ state: { FinishedAt: "2026-01-02T03:04:05.7Z" } }),
      stamp({ top: { RestartCount: 1 } }),
      stamp({ top: { Id: idOf("other") } })
    ]
    assert.strictEqual(new Set([stamp(), ...others]).size, 5)
  })

  it("does not change with a pause", () => {
    assert.strictEqual(stamp({ state: { Status: "paused" } }), stamp())
  })
})
