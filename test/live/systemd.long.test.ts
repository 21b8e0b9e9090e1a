/**
 * The shipped units under a real systemd: whatever ends a run while it holds the app down, the app comes back.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Fs from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { live, type Need, unmet } from "../support/live.ts"
import * as Site from "./systemdSite.ts"

const { watch } = Site
const needs: ReadonlyArray<Need> = ["nspawn"]
const scope = Effect.runSync(Scope.make())
let site: Site.Site

beforeAll(async () => {
  if (unmet(needs).length === 0) site = await Effect.runPromise(Scope.extend(Site.make(), scope))
}, 240_000)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)

const test = (name: string, act: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  live(name, needs, () => Effect.zipRight(Effect.suspend(() => site.fresh), act), 180_000)

const mainPid = (unit: string) => Effect.suspend(() => site.show(unit, "MainPID"))
/** SIGKILL for everything of the unit: also the dead-man, which would bring the app up by itself. */
const killAll = (unit: string) =>
  Effect.suspend(() => site.call("systemctl", "kill", "--signal=KILL", "--kill-who=all", unit))

describe("systemd", () => {
  test(
    "verify has nothing to say of the units",
    Effect.gen(function*() {
      const { code, output } = yield* site.ask(
        "systemd-analyze",
        "verify",
        ...Site.unitFiles.map((name) => `/etc/systemd/system/${name}`)
      )
      assert.deepStrictEqual([code, output], [0, ""])
    })
  )

  test(
    "a run without root and in its cage: stops, copies, starts, and its unit succeeds",
    Effect.gen(function*() {
      yield* site.call("systemctl", "start", "quiesce.service")
      assert.deepStrictEqual(site.log(), ["up", "down", "up"])
      assert.strictEqual(yield* site.show("quiesce.service", "Result"), "success")
      assert.strictEqual(Fs.statSync(site.at("var/lib/quiesce")).mode & 0o777, 0o700)
    })
  )

  test(
    "watch is active only once it is ready, tells what it does, and ends as documented",
    Effect.gen(function*() {
      yield* site.dropIn(watch, "Environment=NODE_OPTIONS=--require=/srv/preload.cjs")
      site.flag("wait", true)
      yield* site.call("systemctl", "start", "--no-block", watch)
      yield* Effect.sleep("2 seconds")
      assert.strictEqual(yield* site.show(watch, "ActiveState"), "activating")
      site.flag("wait", false)
      yield* site.until("it is active", Effect.map(site.show(watch, "ActiveState"), (state) => state === "active"))
      yield* site.until(
        "it tells its next run",
        Effect.map(site.show(watch, "StatusText"), (text) => text.startsWith("the next run begins at "))
      )
      yield* site.call("systemctl", "stop", watch)
      assert.deepStrictEqual(
        [yield* site.show(watch, "ExecMainStatus"), yield* site.show(watch, "Result")],
        ["143", "success"]
      )
      assert.deepStrictEqual(site.log(), ["up"])
    })
  )

  for (const unit of ["quiesce.service", watch]) {
    test(
      `${unit}: kill -9 of everything in the hold, and ExecStopPost brings the app up`,
      Effect.gen(function*() {
        yield* site.held(unit)
        yield* killAll(unit)
        yield* site.isBack
        assert.strictEqual(yield* site.show(unit, "Result"), "signal")
      })
    )
  }

  test(
    "without ExecStopPost the same app stays down until the boot unit: it is what brought it up",
    Effect.gen(function*() {
      yield* site.dropIn(watch, "ExecStopPost=")
      yield* site.held(watch)
      yield* killAll(watch)
      yield* Effect.sleep("5 seconds")
      assert.deepStrictEqual(site.log(), ["up", "down"])
      assert.isAbove(site.markers().length, 0)
      yield* site.call("systemctl", "start", "quiesce-recover.service")
      yield* site.isBack
    })
  )

  test(
    "kill -9 of the main process alone: the dead-man and ExecStopPost bring the app up once",
    Effect.gen(function*() {
      yield* site.held(watch)
      yield* site.call("systemctl", "kill", "--signal=KILL", "--kill-who=main", watch)
      yield* site.isBack
    })
  )

  test(
    "out of memory in the hold",
    Effect.gen(function*() {
      yield* site.memoryController
      yield* site.dropIn(watch, "MemoryMax=250M\nEnvironment=NODE_OPTIONS=--require=/srv/preload.cjs")
      yield* site.held(watch)
      site.flag("eat", true)
      yield* site.until("it is killed", Effect.map(site.show(watch, "ExecMainStatus"), (status) => status === "9"))
      yield* site.isBack
      assert.include(["oom-kill", "signal"], yield* site.show(watch, "Result"))
    })
  )

  test(
    "wedged in the hold: the watchdog kills it, and the app comes up",
    Effect.gen(function*() {
      yield* site.dropIn(watch, "WatchdogSec=4s")
      yield* site.held(watch)
      // it has lived longer than that, so signs of life do come
      yield* Effect.sleep("8 seconds")
      assert.strictEqual(yield* site.show(watch, "ActiveState"), "active")
      yield* site.call("kill", "-STOP", yield* mainPid(watch))
      yield* site.isBack
      assert.strictEqual(yield* site.show(watch, "Result"), "watchdog")
    })
  )

  test(
    "systemctl stop in the hold: the app is up before the unit is down",
    Effect.gen(function*() {
      yield* site.held(watch)
      yield* site.call("systemctl", "stop", watch)
      assert.deepStrictEqual(site.log(), ["up", "down", "up"])
      assert.deepStrictEqual(
        [yield* site.show(watch, "ExecMainStatus"), yield* site.show(watch, "Result")],
        ["143", "success"]
      )
      yield* site.isBack
    })
  )

  test(
    "power loss in the hold: the boot unit brings the app up and clears the marker",
    Effect.gen(function*() {
      yield* site.call("systemctl", "enable", "quiesce-recover.service")
      yield* site.held(watch)
      yield* site.powerOff
      assert.isAbove(site.markers().length, 0)
      yield* site.powerOn
      yield* site.isBack
      yield* site.booted
      assert.strictEqual(yield* site.show("quiesce-recover.service", "Result"), "success")
      yield* site.call("systemctl", "disable", "quiesce-recover.service")
    })
  )

  test(
    "the agent: active once it serves, without root",
    Effect.gen(function*() {
      const unit = "quiesce-agent.service"
      yield* site.call("systemctl", "start", unit)
      assert.strictEqual(yield* site.show(unit, "StatusText"), "serves web")
      assert.isTrue(Fs.statSync(site.at("var/lib/quiesce-agent/sockets/web.sock")).isSocket())
      assert.notStrictEqual(yield* site.call("stat", "-c", "%U", `/proc/${yield* mainPid(unit)}`), "root")
      yield* site.call("systemctl", "stop", unit)
      assert.strictEqual(yield* site.show(unit, "Result"), "success")
    })
  )

  test(
    "the agent in two: a backup through a front without root, by a side that nobody on a network can reach",
    Effect.gen(function*() {
      const [front, engine] = ["quiesce-agent.service", "quiesce-agent-engine.service"] as const
      for (const [unit, words] of [[front, "agent"], [engine, "agent engine"]] as const) {
        yield* site.dropIn(
          unit,
          `ExecStart=\nExecStart=/usr/local/bin/quiesce ${words} --config /etc/quiesce/divided.yaml`
        )
      }
      yield* site.call("systemctl", "start", front)
      yield* site.until(
        "the engine's side is active, as what the front wants",
        Effect.map(site.show(engine, "ActiveState"), (state) => state === "active")
      )
      const user = (unit: string) =>
        Effect.flatMap(mainPid(unit), (pid) => site.call("stat", "-c", "%U", `/proc/${pid}`))
      assert.deepStrictEqual([yield* user(front), yield* user(engine)], ["quiesce-agent", "root"])
      const network = (pid: string) => site.call("readlink", `/proc/${pid}/ns/net`)
      assert.notStrictEqual(yield* network(yield* mainPid(engine)), yield* network("1"))

      yield* site.call("quiesce", "run", "--config", "/etc/quiesce/guest.yaml")
      assert.deepStrictEqual(site.log(), ["up", "down", "up"])
      const place = "var/lib/quiesce-agent-engine/archives"
      const archive = Fs.readdirSync(site.at(place)).find((name) => name.endsWith(".tar.zst"))
      assert.match(yield* site.call("tar", "-taf", `/${place}/${archive}`), /^(\.\/)?file$/m)
      // whoever has the front has neither what root has written nor another way to it
      const asFront = (...argv: ReadonlyArray<string>) =>
        Effect.map(
          site.ask("setpriv", "--reuid=quiesce-agent", "--regid=nogroup", "--clear-groups", ...argv),
          ({ code }) => code
        )
      assert.notStrictEqual(yield* asFront("ls", "/var/lib/quiesce-agent-engine"), 0)
      assert.notStrictEqual(yield* asFront("ls", "/run/quiesce-agent"), 0)

      yield* site.call("systemctl", "stop", front, engine)
      assert.deepStrictEqual([yield* site.show(front, "Result"), yield* site.show(engine, "Result")], [
        "success",
        "success"
      ])
    })
  )
})
