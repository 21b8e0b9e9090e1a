/**
 * Every control keeps the same contract: the one in memory, that of commands, and that of containers on real engines.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Scope, TestClock } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { StackName } from "../../src/domain/Stack.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as StackControlCommand from "../../src/layers/StackControlCommand.ts"
import * as StackControlDocker from "../../src/layers/StackControlDocker.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import { StackControl } from "../../src/services/StackControl.ts"
import { type ContractSubject, stackControlContract } from "../../src/testing/StackControlContract.ts"
import * as Dockerd from "../lab/docker/dockerd.ts"
import type { Engine } from "../lab/docker/engine.ts"
import { images } from "../lab/docker/images.ts"
import * as Podman from "../lab/docker/podman.ts"
import { type Project, project } from "../lab/docker/project.ts"
import { live } from "../support/live.ts"
import { tempDir } from "./fixtures/support.ts"

const stack = StackName.make("shop")

describe("in memory", () => {
  for (const { name, test } of stackControlContract) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const world = yield* StackControlMemory.StackWorld
        const units = ["web", "db"]
        const stopByHand = Effect.forEach(units, (unit) => world.meddle("stopped", stack, unit), { discard: true })
        const fiber = yield* Effect.fork(test({ stack, stopByHand }))
        yield* TestClock.adjust("2 minutes")
        yield* Fiber.join(fiber)
      }).pipe(
        Effect.provide(
          StackControlMemory.layer([{
            stack,
            units: ["web", "db"],
            stop: [{ takes: "1 second" }],
            start: [{ takes: "1 second" }]
          }]).pipe(Layer.provide(Journal.layer))
        )
      ))
  }
})

describe("commands", () => {
  const setUp = Effect.gen(function*() {
    const directory = yield* tempDir
    const flag = Path.join(directory, "up")
    Fs.writeFileSync(flag, "")
    const layer = StackControlCommand.layer({
      stateDir: Path.join(directory, "state"),
      stacks: [{
        stack,
        start: ["touch", flag],
        stop: ["rm", "-f", flag],
        status: ["sh", "-c", `[ -e ${flag} ] || exit 3`],
        cwd: directory,
        stopTimeout: Duration.seconds(5),
        startTimeout: Duration.seconds(5)
      }]
    })
    const subject: ContractSubject = { stack, stopByHand: Effect.sync(() => Fs.rmSync(flag)) }
    return { subject, layer }
  })
  for (const { name, test } of stackControlContract) {
    it.scopedLive(name, () => Effect.flatMap(setUp, ({ layer, subject }) => Effect.provide(test(subject), layer)))
  }
})

/** A stack with everything that a control has to know: a health test, an order, two of a kind, a shared network. */
const shop = (engine: Engine, condition: "service_healthy" | "service_started"): Project =>
  project(engine, "shop", {
    services: {
      db: { healthcheck: { test: ["CMD", "true"], interval: "1 second" }, restart: "unless-stopped" },
      web: { scale: 2, dependsOn: { db: { condition } } },
      side: { networkMode: "service:db" }
    }
  })

const containers = (made: Project, engine: Engine, host: string) =>
  Effect.gen(function*() {
    yield* made.up
    const stopByHand = Effect.gen(function*() {
      for (const [service, number] of [["web", 1], ["web", 2], ["side", 1], ["db", 1]] as const) {
        yield* engine.stop(yield* made.id(service, number), 5)
      }
    }).pipe(Effect.orDie)
    const scope = yield* Effect.scope
    const control = yield* StackControlDocker.make({
      host,
      stacks: [{ stack, selector: { _tag: "Project", project: "shop" } }]
    }).pipe(Scope.extend(scope))
    const subject: ContractSubject = { stack, stopByHand }
    for (const { name, test } of stackControlContract) {
      yield* test(subject).pipe(
        Effect.provideService(StackControl, control),
        Effect.mapError((error) => new Error(`${name}: ${error.message}`))
      )
    }
    const states = Object.values(yield* made.states)
    assert.deepStrictEqual(states, ["running", "running", "running", "running"])
  })

describe("containers", () => {
  live("of Docker", ["docker"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* Dockerd.make()
      yield* images(engine, ["bb"])
      yield* containers(shop(engine, "service_healthy"), engine, host)
    }), 120_000)

  live("of Podman", ["docker", "podman"], () =>
    Effect.gen(function*() {
      const { engine, host } = yield* Podman.make()
      yield* images(engine, ["bb"])
      // without systemd nobody runs Podman's health tests but the control
      yield* containers(shop(engine, "service_started"), engine, host)
    }), 120_000)
})
