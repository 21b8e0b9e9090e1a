import { assert, describe } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { StackName, type Unit } from "../../src/domain/Stack.ts"
import * as StackControlDocker from "../../src/layers/StackControlDocker.ts"
import {
  controlOf,
  docker,
  reasonOf,
  stack,
  stubborn,
  timed,
  unitOf,
  unitsOf,
  until,
  up
} from "../internal/docker/site.ts"
import type { Engine } from "../lab/docker/engine.ts"
import { imageName } from "../lab/docker/images.ts"
import { project } from "../lab/docker/project.ts"
import { live } from "../support/live.ts"

const site = docker()

const idle = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]

/** A container that is no part of a Compose project. */
const lonely = (engine: Engine, name: string, more: object = {}) =>
  Effect.acquireRelease(
    engine.create(name, { Image: imageName("bb"), Cmd: idle, HostConfig: { NetworkMode: "none" }, ...more }),
    (id) => Effect.orDie(engine.remove(id))
  ).pipe(Effect.tap((id) => engine.start(id)))

/** A control over one stack with this selector. */
const selecting = (host: string, selector: StackControlDocker.Selector) =>
  StackControlDocker.make({ host, stacks: [{ stack, selector }] })

describe("the identity of a unit", () => {
  live("finds what Compose has made again", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "again", { web: { scale: 2 } })
      const control = yield* controlOf(host, "again")
      const unit = yield* unitOf(control, "web-1")
      const before = yield* control.observe(stack, unit)
      const id = yield* shop.recreate("web")
      const after = yield* control.observe(stack, unit)
      assert.strictEqual(after.state, "running")
      assert.notStrictEqual(after.stamp, before.stamp)
      assert.deepStrictEqual((yield* control.stop(stack, unit)).clean, true)
      assert.strictEqual((yield* engine.inspect(id)).State.Status, "exited")
      yield* control.start(stack, unit)
      assert.strictEqual((yield* engine.inspect(id)).State.Status, "running")
      assert.deepStrictEqual(yield* shop.states, { "web-1": "running", "web-2": "running" })
    }))

  live("says how to make a container again that has gone", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "gone", { web: {}, db: {} }, {
        workingDir: "/srv/my gone",
        configFiles: ["/srv/my gone/compose.yaml", "/srv/more.yaml"]
      })
      const control = yield* controlOf(host, "gone")
      const unit = yield* unitOf(control, "web")
      yield* shop.remove("web")
      const reason = "there is no container of service web (number 1) of project gone any more; make it again: " +
        "docker compose -p gone --project-directory '/srv/my gone' -f '/srv/my gone/compose.yaml' -f /srv/more.yaml " +
        "up -d web"
      for (
        const [operation, effect] of [
          ["inspect", control.observe(stack, unit)],
          ["stop", control.stop(stack, unit)],
          ["start", control.start(stack, unit)]
        ] as const
      ) {
        assert.strictEqual(
          yield* reasonOf(effect),
          `could not ${operation} stack 'app' (unit 'web'): ${reason}`
        )
      }
    }))

  live(
    "finds a container of the same name outside of Compose, and says when there is none",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const first = yield* lonely(engine, "alone")
        const control = yield* selecting(host, { _tag: "Containers", names: ["alone"] })
        const unit = yield* unitOf(control, "alone")
        yield* engine.remove(first)
        assert.strictEqual(
          yield* reasonOf(control.start(stack, unit)),
          "could not start stack 'app' (unit 'alone'): there is no container alone any more; make it again"
        )
        const second = yield* lonely(engine, "alone")
        assert.strictEqual((yield* control.stop(stack, unit)).seen?.state, "stopped")
        assert.strictEqual((yield* engine.inspect(second)).State.Status, "exited")
      })
  )

  live("is refused where it is none, and names the engine that is asked", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      yield* up(engine, "identity", { web: {} })
      const unit = yield* unitOf(yield* controlOf(host, "identity"), "web")
      const elsewhere = yield* controlOf("unix:///nowhere.sock", "other")
      assert.strictEqual((yield* elsewhere.observe(stack, unit)).state, "running")
      const broken: Unit = { ...unit, identity: { ...unit.identity, how: "kill" } }
      assert.match(
        yield* reasonOf(elsewhere.stop(stack, broken)),
        /could not stop stack 'app' \(unit 'web'\): .*"kill"/s
      )
    }))
})

describe("a stop", () => {
  live("that SIGTERM does not end is a kill, after the grace that counts", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const graces = [
        { name: "own", service: { stopGracePeriod: "1 second" }, limits: {}, seconds: 1 },
        {
          name: "stack",
          service: { stopGracePeriod: "20 seconds" },
          limits: { stopTimeout: Duration.seconds(2) },
          seconds: 2
        },
        {
          name: "label",
          service: { stopGracePeriod: "20 seconds", labels: { "quiesce.stop-timeout": "1s" } },
          limits: { stopTimeout: Duration.seconds(20) },
          seconds: 1
        }
      ] as const
      yield* Effect.forEach(graces, ({ limits, name, seconds, service }) =>
        Effect.gen(function*() {
          const shop = yield* up(engine, `grace-${name}`, { web: { command: stubborn, ...service } })
          const control = yield* controlOf(host, `grace-${name}`, limits)
          const unit = yield* unitOf(control, "web")
          const [{ clean, seen }, took] = yield* timed(control.stop(stack, unit))
          assert.isFalse(clean, name)
          assert.strictEqual(seen?.detail, "exited, exit code 137")
          assert.isAtLeast(took, seconds * 1000 - 50, name)
          assert.isBelow(took, seconds * 1000 + 4000, name)
          yield* control.start(stack, unit)
          assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
        }), { concurrency: "unbounded" })
    }))

  live(
    "is clean with the exit codes of an orderly end, and not with those of a crash",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const ending = (code: number) => ({
          command: ["sh", "-c", `trap 'exit ${code}' TERM; while :; do sleep 1 & wait $!; done`]
        })
        const codes = [0, 1, 143, 134, 139]
        yield* up(engine, "codes", Object.fromEntries(codes.map((code) => [`c${code}`, ending(code)])))
        const control = yield* controlOf(host, "codes")
        const results = yield* Effect.forEach(
          Object.values(yield* unitsOf(control)),
          (unit) => Effect.map(control.stop(stack, unit), ({ clean, seen }) => [String(unit.id), clean, seen?.detail]),
          {
            concurrency: "unbounded"
          }
        )
        assert.deepStrictEqual(
          results.sort(),
          codes.map((code) => [`c${code}`, code < 130 || code === 143, `exited, exit code ${code}`]).sort()
        )
      })
  )

  live("of what is down already is fine, and as clean as its end was", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "down", { web: {}, killed: {} })
      const control = yield* controlOf(host, "down")
      const { killed, web } = yield* unitsOf(control)
      if (web === undefined || killed === undefined) return assert.fail("two units")
      yield* engine.stop(yield* shop.id("web"))
      yield* engine.kill(yield* shop.id("killed"))
      const [{ clean, seen }, took] = yield* timed(control.stop(stack, web))
      assert.deepStrictEqual([clean, seen?.state, seen?.ended], [true, "stopped", true])
      assert.isBelow(took, 1000)
      assert.isFalse((yield* control.stop(stack, killed)).clean)
    }))

  live("has its own time: no other container waits for it", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      yield* up(engine, "beside", { slow: { command: stubborn, stopGracePeriod: "2 seconds" }, web: {} })
      const control = yield* controlOf(host, "beside")
      const { slow, web } = yield* unitsOf(control)
      if (web === undefined || slow === undefined) return assert.fail("two units")
      const first = yield* Effect.fork(timed(control.stop(stack, slow)))
      yield* Effect.sleep("300 millis")
      const [, took] = yield* timed(control.stop(stack, web))
      assert.isBelow(took, 1500)
      // the engine calls it running until it has ended
      assert.strictEqual((yield* control.observe(stack, slow)).state, "running")
      const [, whole] = yield* first
      assert.isAtLeast(whole, 1900)
    }))
})

describe("a start", () => {
  live("of a container that is broken fails with the words of the engine", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = project(engine, "broken", { services: { web: { entrypoint: ["/no/such/program"], command: [] } } })
      yield* Effect.acquireRelease(shop.create, () => Effect.orDie(shop.down))
      const control = yield* controlOf(host, "broken")
      const unit = yield* unitOf(control, "web")
      assert.match(
        yield* reasonOf(control.start(stack, unit)),
        /^could not start stack 'app' \(unit 'web'\): the Docker engine answered 400 to POST \S+\/start: .*no such file/
      )
      const seen = yield* control.observe(stack, unit)
      assert.strictEqual(seen.state, "stopped")
      assert.match(seen.detail ?? "", /^created, exit code 127: .*no such file/)
    }))

  live(
    "of what somebody else is stopping brings it up when that is over soon",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const shop = yield* up(engine, "stopping", { web: { command: stubborn } })
        const control = yield* controlOf(host, "stopping")
        const unit = yield* unitOf(control, "web")
        const id = yield* shop.id("web")
        const before = yield* control.observe(stack, unit)
        const other = yield* Effect.fork(engine.stop(id, 1))
        yield* Effect.sleep("400 millis")
        // at once: the engine takes it for running
        yield* control.start(stack, unit)
        yield* other
        const after = yield* control.observe(stack, unit)
        assert.strictEqual(after.state, "running")
        assert.notStrictEqual(after.stamp, before.stamp)
      })
  )

  live("begins with those whose network others have", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "network", { side: { networkMode: "service:db" }, db: {}, web: {} })
      const control = yield* controlOf(host, "network")
      const { units } = (yield* control.inspect(stack)).units
      const ids = units.map(({ id }) => String(id))
      assert.isBelow(ids.indexOf("side"), ids.indexOf("db"))
      const { db, side } = yield* unitsOf(control)
      if (db === undefined || side === undefined) return assert.fail("two units")
      assert.deepStrictEqual(side.after, [{ unit: db.id, until: "started" }])
      for (const unit of units) yield* control.stop(stack, unit)
      // which is why: alone it cannot be started
      assert.match(
        yield* reasonOf(control.start(stack, side)),
        /could not start .* 409|cannot join network|cannot do this/
      )
      for (const unit of units.toReversed()) yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* shop.states, { "db-1": "running", "side-1": "running", "web-1": "running" })
    }))
})

describe("what is not up and not down", () => {
  live("a paused container is left as it is, and never called shut down", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "paused", { web: {} })
      yield* engine.pause(yield* shop.id("web"))
      const control = yield* controlOf(host, "paused")
      const { notes, observations: [seen] } = yield* control.inspect(stack)
      assert.deepStrictEqual([seen?.state, seen?.frozen, seen?.ended], ["stopped", true, undefined])
      assert.include(notes ?? [], "web: is paused and stays so; its data is crash consistent at best")
    }))

  live("a container that somebody paused in the hold is not called up", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "meddled", { web: {} })
      const control = yield* controlOf(host, "meddled")
      const unit = yield* unitOf(control, "web")
      yield* engine.pause(yield* shop.id("web"))
      const seen = yield* control.observe(stack, unit)
      assert.deepStrictEqual([seen.state, seen.detail], ["unknown", "it is paused, and not by us; unpause it"])
    }))

  live("a container that restarts again and again", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "loop", {
        web: { command: ["sh", "-c", "exit 3"], restart: "always" },
        brief: { command: ["sh", "-c", "sleep 0.3; exit 4"], restart: "always" }
      })
      yield* engine.until(yield* shop.id("web"), "restarting", ({ RestartCount }) => RestartCount > 2)
      yield* engine.until(yield* shop.id("brief"), "restarting", ({ RestartCount }) => RestartCount > 0)
      const control = yield* controlOf(host, "loop")
      const { observations } = yield* control.inspect(stack)
      assert.deepStrictEqual(observations.map(({ state }) => state), ["changing", "changing"])
      for (const { detail } of observations) assert.match(detail ?? "", /^it restarts again and again; /)
    }))
})

describe("quiesce.stop=pause", () => {
  const labels = { "quiesce.stop": "pause" }

  live("pauses, and says that it is not shut down", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "pause", { web: { labels } })
      const control = yield* controlOf(host, "pause")
      const unit = yield* unitOf(control, "web")
      const before = yield* control.observe(stack, unit)
      const { clean, seen } = yield* control.stop(stack, unit)
      assert.deepStrictEqual([clean, seen?.state, seen?.frozen, seen?.ended], [true, "stopped", true, undefined])
      assert.deepStrictEqual(yield* shop.states, { "web-1": "paused" })
      assert.include(yield* reasonOf(control.stop(stack, unit)), "already paused")
      assert.strictEqual((yield* control.observe(stack, unit)).state, "stopped")
      yield* control.start(stack, unit)
      const after = yield* control.observe(stack, unit)
      assert.deepStrictEqual([after.state, after.stamp, after.frozen], ["running", before.stamp, undefined])
      yield* control.start(stack, unit)
      assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
    }))

  live(
    "is brought back also where it was stopped meanwhile, or paused by a process that has died",
    ["docker"],
    () =>
      Effect.gen(function*() {
        const { engine, host } = yield* site
        const shop = yield* up(engine, "pause-lost", { web: { labels } })
        const first = yield* controlOf(host, "pause-lost")
        const unit = yield* unitOf(first, "web")
        yield* first.stop(stack, unit)
        // as a restart of the engine does
        yield* engine.stop(yield* shop.id("web"))
        yield* first.start(stack, unit)
        assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
        yield* first.stop(stack, unit)
        const second = yield* controlOf(host, "pause-lost")
        assert.strictEqual((yield* second.observe(stack, unit)).frozen, true)
        yield* second.start(stack, unit)
        assert.deepStrictEqual(yield* shop.states, { "web-1": "running" })
      })
  )
})

describe("which containers there are", () => {
  live("those that are named, and those that ask for it", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const id = yield* lonely(engine, "named")
      yield* lonely(engine, "asking", { Labels: { "quiesce.enable": "true" } })
      yield* up(engine, "enabled", { web: { labels: { "quiesce.enable": "true" } }, db: {} })
      const unitNames = (selector: StackControlDocker.Selector) =>
        Effect.flatMap(selecting(host, selector), (control) =>
          Effect.map(unitsOf(control), (units) => Object.keys(units).sort()))
      assert.deepStrictEqual(yield* unitNames({ _tag: "Enabled" }), ["asking", "enabled-web-1"])
      assert.deepStrictEqual(yield* unitNames({ _tag: "Containers", names: [id.slice(0, 12), "enabled-db-1"] }), [
        "enabled-db-1",
        "named"
      ])
      assert.deepStrictEqual(yield* unitNames({ _tag: "Project", project: "enabled" }), ["db", "web"])
      assert.strictEqual(
        yield* reasonOf(Effect.flatMap(selecting(host, { _tag: "Project", project: "enabeld" }), (control) =>
          control.inspect(stack))),
        `could not inspect stack 'app': there is no Compose project 'enabeld' at ${host}; there are: enabled; did you ` +
          "mean 'enabled'?"
      )
    }))

  live("none that are in two stacks", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      yield* up(engine, "shared", { web: {}, db: { labels: { "quiesce.stack": "data" } } })
      const two = (second: string) =>
        StackControlDocker.make({
          host,
          stacks: [
            { stack, selector: { _tag: "Project", project: "shared" } },
            { stack: StackName.make("data"), selector: { _tag: "Containers", names: [second] } }
          ]
        })
      assert.strictEqual(
        yield* reasonOf(Effect.flatMap(two("shared-web-1"), (control) => control.inspect(stack))),
        "could not inspect stack 'app': shared-web-1 is also in stack 'data'; a container belongs to one stack"
      )
      const control = yield* two("shared-db-1")
      assert.deepStrictEqual(Object.keys(yield* unitsOf(control)), ["web"])
      const other = yield* control.inspect(StackName.make("data"))
      assert.deepStrictEqual(other.units.units.map(({ id }) => String(id)), ["db"])
    }))

  live("none that would not come back: --rm", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "vanishing", { web: { autoRemove: true }, db: {} })
      const control = yield* controlOf(host, "vanishing")
      assert.strictEqual(
        yield* reasonOf(control.inspect(stack)),
        "could not inspect stack 'app': vanishing-web-1 is removed when it stops (--rm, AutoRemove), so it could not be " +
          "started again; make it without that, or label it quiesce.stop=none"
      )
      assert.deepStrictEqual(yield* shop.states, { "db-1": "running", "web-1": "running" })
    }))

  live("all but those that are left alone, which do not stop and are told", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      yield* up(engine, "alone", {
        web: { dependsOn: { db: {} } },
        db: {},
        proxy: { labels: { "quiesce.stop": "none" }, autoRemove: true },
        off: { labels: { "quiesce.enable": "false" } }
      })
      const control = yield* controlOf(host, "alone")
      const { notes, units } = yield* control.inspect(stack)
      assert.deepStrictEqual(units.units.map(({ id }) => String(id)), ["web", "db"])
      assert.include((notes ?? []).join("\n"), "left alone, as the label says")
    }))

  live("two of one number, which an update has left, are told apart", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* site
      const shop = yield* up(engine, "half", { web: {} })
      const labels = (yield* shop.inspect("web")).Config.Labels
      yield* lonely(engine, "0123456789ab_half-web-1", { Labels: labels })
      const control = yield* controlOf(host, "half")
      const units = yield* unitsOf(control)
      assert.deepStrictEqual(Object.keys(units).sort(), ["0123456789ab_half-web-1", "half-web-1"])
      const both = Object.values(units)
      for (const unit of both) yield* control.stop(stack, unit)
      assert.deepStrictEqual(
        (yield* engine.list(["com.docker.compose.project=half"])).map(({ State }) => State),
        ["exited", "exited"]
      )
      for (const unit of both) yield* control.start(stack, unit)
      for (const unit of both) assert.strictEqual((yield* until(control, unit, "running")).state, "running")
    }))
})
