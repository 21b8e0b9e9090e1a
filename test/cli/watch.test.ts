/**
 * The daemon as the built binary, as systemd and a user's shell meet it.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { eventually } from "../live/hooks.ts"
import * as Quiesce from "../live/quiesce.ts"
import { processes } from "../live/traces.ts"
import { live } from "../support/live.ts"

/** Every line of the app's commands and of the transfer; `sleeping` makes the transfer last. */
const file = (watch: string) =>
  `version: 1
stateDir: ./state
limits: { steadyTime: 100ms, resumeTimeout: 3s }
stacks:
  notes:
    command:
      stop:   [sh, -c, "echo stop >>log; rm up"]
      start:  [sh, -c, "echo start >>log; test ! -e broken && touch up"]
      status: [sh, -c, "test -e up || exit 3"]
agent:
  local:
    source: ./data
    snapshot: SNAPSHOT
    transfer: { command: [sh, -c, "echo transfer >>log; test ! -e slow || sleep 30; test -r \\"$1\\"", sh, "{snapshot}"] }
${watch}
`

const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "quiesce watch "))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

const project = Effect.fnUntraced(function*(watch: string, snapshot = "none") {
  const path = yield* directory
  const at = (name: string) => Path.join(path, name)
  Fs.mkdirSync(at("data"))
  Fs.writeFileSync(at("up"), "")
  Fs.writeFileSync(at("quiesce.yaml"), file(watch).replace("SNAPSHOT", snapshot))
  const call = (...words: ReadonlyArray<string>) => Quiesce.run(words, { cwd: path })
  return {
    at,
    touch: (name: string) => Fs.writeFileSync(at(name), ""),
    isUp: () => Fs.existsSync(at("up")),
    log: () => Fs.existsSync(at("log")) ? Fs.readFileSync(at("log"), "utf8").trim().split("\n") : [],
    start: Quiesce.start(["watch", "--json"], { cwd: path }),
    call,
    status: Effect.map(call("status", "--json"), ({ code, stdout }) => ({ code, ...JSON.parse(stdout) })),
    state: () => JSON.parse(Fs.readFileSync(at("state/watch.json"), "utf8")),
    setState: (change: object) =>
      Fs.writeFileSync(
        at("state/watch.json"),
        JSON.stringify({ ...JSON.parse(Fs.readFileSync(at("state/watch.json"), "utf8")), ...change })
      )
  }
})

type Project = Effect.Effect.Success<ReturnType<typeof project>>

const yearly = "watch: { schedule: 30 3 1 1 *, timeZone: UTC }"

/** Sends SIGTERM, and checks that it ends within a second of the app being up. */
const terminate = Effect.fnUntraced(function*(here: Project, daemon: Quiesce.Live) {
  const sent = performance.now()
  daemon.signal("SIGTERM")
  let up = sent
  if (!here.isUp()) {
    yield* eventually("the app is up", here.isUp)
    up = performance.now()
  }
  const ended = yield* daemon.ended
  assert.strictEqual(ended.code, 143)
  assert.isBelow(ended.at - up, 1_000)
  assert.isTrue(here.isUp())
  assert.deepStrictEqual(Fs.readdirSync(here.at("state/markers")), [])
  return ended
})

/** A daemon that has a run to do at its start: its due time was missed. */
const missed = Effect.fnUntraced(function*(here: Project) {
  const first = yield* here.start
  yield* eventually("it is idle", () => Fs.existsSync(here.at("state/watch.json")))
  yield* eventually("it has a plan", () => here.state().next !== null)
  first.signal("SIGTERM")
  yield* first.ended
  here.setState({ settledUntil: "2020-01-01T00:00:00.000Z", next: null })
})

const told = (stdout: string) =>
  stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)).filter(({ type }) =>
    type === "watch"
  )

describe("watch", () => {
  live(
    "idle: status knows it, a second one is refused, a run by hand is free, SIGTERM ends it",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const here = yield* project(yearly)
        assert.isNull((yield* here.status).watch)
        const daemon = yield* here.start
        yield* eventually(
          "it has a plan",
          () => Fs.existsSync(here.at("state/watch.json")) && here.state().next !== null
        )
        const { live, liveRun, watch } = yield* here.status
        assert.deepStrictEqual([live, liveRun, watch.alive, watch.lastSuccess], [null, null, true, null])
        assert.match(watch.nextRun, /^\d{4}-01-01T03:30:00.000Z$/)
        const second = yield* here.call("watch")
        assert.deepStrictEqual([second.code, second.stderr], [
          5,
          "another 'quiesce watch' is running on this state directory\n"
        ])
        assert.strictEqual((yield* here.call("run")).code, 0)
        const { stderr, stdout } = yield* terminate(here, daemon)
        assert.deepStrictEqual(told(stdout).map(({ event }) => event), ["started", "next", "stopped"])
        assert.strictEqual(stderr, "quiesce: SIGTERM: stopping; what is held down is brought up first\n")
        const after = (yield* here.status).watch
        assert.deepStrictEqual([after.alive, after.nextRun], [false, null])
        assert.match((yield* here.call("status")).stdout, /^watch: NOT RUNNING$/m)
      })
  )

  live(
    "a run that was missed is done at its start, once, and status shows it",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const here = yield* project(yearly)
        yield* missed(here)
        const daemon = yield* here.start
        yield* eventually("the run is over", () => here.state().lastSuccess !== null)
        const { code, reports, watch } = yield* here.status
        assert.strictEqual(code, 0)
        assert.deepStrictEqual(watch.lastSuccess, { runId: reports[0].runId, at: reports[0].startedAt, outcome: "ok" })
        assert.deepStrictEqual(here.log(), ["stop", "transfer", "start"])
        yield* terminate(here, daemon)
        const again = yield* here.start
        yield* Effect.sleep("1 second")
        yield* terminate(here, again)
        assert.deepStrictEqual(here.log(), ["stop", "transfer", "start"])
      })
  )

  live("SIGTERM in the hold: the app is up, and it has ended", ["flock"], () =>
    Effect.gen(function*() {
      const here = yield* project(yearly)
      yield* missed(here)
      here.touch("slow")
      const daemon = yield* here.start
      yield* eventually("the transfer reads", () => here.log().includes("transfer"))
      const { live, liveRun, watch } = yield* here.status
      assert.deepStrictEqual([watch.alive, live.phase], [true, "running"])
      assert.match(liveRun, /^run /)
      assert.isAbove(live.stacks[0].downtimeSoFarMs, 0)
      const { report } = yield* terminate(here, daemon)
      assert.deepStrictEqual([report?.outcome, report?.exitCode], ["aborted", 143])
      // what was cut off is done at the next start
      Fs.rmSync(here.at("slow"))
      const next = yield* here.start
      yield* eventually("the run is over", () => here.state().lastSuccess !== null)
      yield* terminate(here, next)
    }))

  live("SIGTERM after the snapshot: the transfer is ended too", ["flock"], () =>
    Effect.gen(function*() {
      const here = yield* project(yearly, "copy")
      yield* missed(here)
      here.touch("slow")
      const daemon = yield* here.start
      yield* eventually("the transfer reads", () => here.log().includes("transfer"))
      yield* eventually("the app is up again", () => here.log().includes("start") && here.isUp())
      const readers = () => processes(here.at(""), { servers: true })
      assert.isAbove(readers().length, 1)
      yield* terminate(here, daemon)
      assert.deepStrictEqual(readers(), [])
    }))

  live("SIGTERM with an app that does not come up: 4", ["flock"], () =>
    Effect.gen(function*() {
      const here = yield* project(yearly)
      yield* missed(here)
      here.touch("slow")
      const daemon = yield* here.start
      yield* eventually("the transfer reads", () => here.log().includes("transfer"))
      here.touch("broken")
      daemon.signal("SIGTERM")
      const { code, stdout } = yield* daemon.ended
      assert.strictEqual(code, 4)
      assert.isTrue(told(stdout).at(-1).down)
      assert.strictEqual((yield* here.status).code, 4)
      // and the next one brings it up first
      for (const name of ["broken", "slow"]) Fs.rmSync(here.at(name))
      const next = yield* here.start
      yield* eventually("the run is over", () => here.state().lastSuccess !== null)
      const { stdout: later } = yield* terminate(here, next)
      assert.strictEqual(told(later)[1].event, "recovered")
    }))

  live("people get one line for each event, on stderr", ["flock"], () =>
    Effect.gen(function*() {
      const here = yield* project(yearly)
      const daemon = yield* Quiesce.start(["watch"], { cwd: here.at("") })
      yield* eventually("it is idle", () => daemon.stderr().includes("next run"))
      daemon.signal("SIGTERM")
      const { stderr, stdout } = yield* daemon.ended
      assert.strictEqual(stdout, "")
      assert.match(
        stderr,
        /^quiesce watch: watching\nquiesce watch: the next run begins at \S+\n[^\n]*SIGTERM[^\n]*\nquiesce watch: stopped\n$/
      )
    }))

  live("an agent that never asks, and no schedule: usage, with the key to add", [], () =>
    Effect.gen(function*() {
      const here = yield* project("")
      const { code, stderr } = yield* here.call("watch")
      assert.strictEqual(code, 2)
      assert.match(
        stderr,
        /add the key watch\.schedule to .*quiesce\.yaml, such as: watch: \{ schedule: "30 3 \* \* \*" \}/
      )
    }))
})
