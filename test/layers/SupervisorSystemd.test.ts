/**
 * What is told to systemd, with a `systemd-notify` that writes it down. The real one: test/live/systemd.long.test.ts.
 */
import { assert, describe } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Option } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { supervised } from "../../src/cli/supervised.ts"
import { unmarked } from "../../src/internal/kin.ts"
import * as Supervision from "../../src/internal/supervision.ts"
import * as SupervisorSystemd from "../../src/layers/SupervisorSystemd.ts"
import { Supervisor } from "../../src/services/Supervisor.ts"
import { eventually } from "../live/hooks.ts"
import { live } from "../support/live.ts"

/** A line for each call: the socket, and the words. Fails as often as `refuse` says; takes as long as `slow` says. */
const tool = (directory: string) =>
  `#!/bin/sh
cd '${directory}'
if [ -s slow ]; then sleep "$(cat slow)"; fi
if [ -s refuse ]; then read -r line <refuse; test "$line" = 1 && rm refuse || echo $((line - 1)) >refuse; exit 1; fi
(IFS='|'; echo "$NOTIFY_SOCKET|$*") >>said
`

const site = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(tmpdir(), "quiesce-supervisor-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )
  Fs.writeFileSync(Path.join(directory, "systemd-notify"), tool(directory), { mode: 0o755 })
  const path = process.env["PATH"]
  yield* Effect.acquireRelease(
    Effect.sync(() => process.env["PATH"] = `${directory}:${path}`),
    () => Effect.sync(() => process.env["PATH"] = path)
  )
  const said = Path.join(directory, "said")
  return {
    slow: (seconds: number) => Fs.writeFileSync(Path.join(directory, "slow"), `${seconds}`),
    refuse: (times: number) => Fs.writeFileSync(Path.join(directory, "refuse"), `${times}\n`),
    said: () => Fs.existsSync(said) ? Fs.readFileSync(said, "utf8").trim().split("\n") : []
  }
})

const given = (variables: Readonly<Record<string, string>>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
const layer = (variables: Readonly<Record<string, string>>) =>
  SupervisorSystemd.layer.pipe(Layer.provide(given(variables)))
const socket = { NOTIFY_SOCKET: "/run/notify" }

describe("SupervisorSystemd", () => {
  live("ready, states and the end, in order; a state is one line", [], () =>
    Effect.gen(function*() {
      const { said } = yield* site
      yield* Effect.gen(function*() {
        const supervisor = yield* Supervisor
        yield* supervisor.ready
        yield* eventually("it is ready", () => said().length === 1)
        yield* supervisor.status("a state\nMAINPID=1")
        yield* eventually("the state is told", () => said().length === 2)
        yield* supervisor.stopping
      }).pipe(Effect.provide(layer(socket)))
      assert.deepStrictEqual(said(), [
        "/run/notify|READY=1",
        "/run/notify|STATUS=a state MAINPID=1",
        "/run/notify|STOPPING=1"
      ])
    }))

  live("the words that are under way at the end are told, in order", [], () =>
    Effect.gen(function*() {
      const { said, slow } = yield* site
      slow(0.3)
      yield* Effect.gen(function*() {
        const supervisor = yield* Supervisor
        yield* supervisor.ready
        yield* Effect.sleep("100 millis")
        yield* supervisor.stopping
      }).pipe(Effect.provide(layer(socket)))
      assert.deepStrictEqual(said(), ["/run/notify|READY=1", "/run/notify|STOPPING=1"])
    }))

  live("signs of life come once it is ready, twice in the time of the watchdog", [], () =>
    Effect.gen(function*() {
      const { said } = yield* site
      const beats = () => said().filter((line) => line.includes("WATCHDOG=1")).length
      yield* Effect.gen(function*() {
        const supervisor = yield* Supervisor
        yield* Effect.sleep("500 millis")
        assert.deepStrictEqual(said(), [])
        yield* supervisor.ready
        yield* Effect.sleep("3 seconds")
      }).pipe(Effect.provide(layer({ ...socket, WATCHDOG_USEC: "1000000", WATCHDOG_PID: `${process.pid}` })))
      // 0, 0.5, ... 3; a machine under load makes some fewer
      assert.isAtLeast(beats(), 3)
      assert.isAtMost(beats(), 7)
    }))

  live("a word that did not get through is told again", [], () =>
    Effect.gen(function*() {
      const { refuse, said } = yield* site
      refuse(2)
      yield* Effect.gen(function*() {
        yield* (yield* Supervisor).ready
        yield* eventually("it is told", () => said().length === 1)
      }).pipe(Effect.provide(layer(socket)))
      assert.deepStrictEqual(said(), ["/run/notify|READY=1"])
    }))

  live(
    "without the socket nobody is told, and a watchdog of another process is not ours",
    [],
    () =>
      Effect.gen(function*() {
        const { said } = yield* site
        yield* Effect.flatMap(Supervisor, ({ ready }) => ready).pipe(Effect.provide(layer({})))
        assert.deepStrictEqual(said(), [])
        const read = (variables: Readonly<Record<string, string>>) =>
          Effect.provide(Supervision.read(7), given({ ...socket, ...variables }))
        assert.deepStrictEqual(
          yield* read({ WATCHDOG_USEC: "1000", WATCHDOG_PID: "8" }),
          Option.some({ socket: "/run/notify", watchdogMs: undefined })
        )
        assert.deepStrictEqual(
          yield* read({ WATCHDOG_USEC: "1000" }),
          Option.some({ socket: "/run/notify", watchdogMs: 1 })
        )
      })
  )

  live("the end is told when it begins, and not when the app is up", [], () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const note = (word: string) => Effect.sync(() => void order.push(word))
      const daemon = Effect.onInterrupt(Effect.never, () => Effect.zipRight(Effect.sleep("300 millis"), note("up")))
      yield* Effect.timeoutOption(supervised(daemon), "100 millis").pipe(
        Effect.provideService(Supervisor, { ready: Effect.void, status: () => Effect.void, stopping: note("stopping") })
      )
      assert.deepStrictEqual(order, ["stopping", "up"])
    }))

  live("no child is given what systemd gave to us", [], () =>
    Effect.sync(() => {
      const ours = { ...socket, WATCHDOG_PID: "1", WATCHDOG_USEC: "1", PATH: "/bin" }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(unmarked(ours))), { PATH: "/bin" })
    }))
})
