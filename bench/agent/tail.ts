/**
 * From the line that tells of the snapshot being written to `snapshotted` being known: the same vzdump log, read from its
 * file and through the API of Proxmox VE.
 */
import { Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../src/domain/RunId.ts"
import { follow } from "../../src/internal/vzdump/follow.ts"
import * as AgentClientProxmox from "../../src/layers/AgentClientProxmox.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { serve, token } from "../../test/lab/proxmox/server.ts"
import { sample } from "../../test/lab/proxmox/tasks.ts"
import { quantiles } from "./quantiles.ts"

const log = sample("run-lxc-api-ok")
const point = log.point ?? 0
const vmid = 100

/** Different phases of a poll. */
const pause = (n: number) => Effect.sleep(60 + (n * 37) % 290)

const byFile = (directory: string, n: number) =>
  Effect.scoped(Effect.gen(function*() {
    const place = Path.join(directory, `run-${n}`)
    Fs.mkdirSync(place)
    const file = Path.join(place, "log")
    Fs.writeFileSync(file, log.lines.slice(0, point).map((line) => `${line}\n`).join(""))
    const seen = yield* Deferred.make<number>()
    const following = yield* Effect.fork(follow({
      runId: yield* RunId.make,
      report: ({ phase }) =>
        phase === "snapshotted" ? Effect.asVoid(Deferred.succeed(seen, performance.now())) : Effect.void,
      ready: () => Effect.void,
      remember: () => Effect.void,
      cancelled: Effect.succeed(false)
    }, { vmid, log: file, watched: place, ended: () => Effect.succeed(undefined) }))
    yield* pause(n)
    const written = performance.now()
    Fs.appendFileSync(file, `${log.lines[point]}\n`)
    const took = (yield* Deferred.await(seen)) - written
    yield* Fiber.interrupt(following)
    return took
  }))

const byApi = (n: number) =>
  Effect.scoped(Effect.gen(function*() {
    const { pve, url } = yield* serve({ replay: log })
    const services = yield* Layer.build(AgentClientProxmox.layer({
      url,
      node: "pve1",
      vmid,
      storage: "local",
      token: Redacted.make(token),
      statusWait: "10 seconds"
    }))
    const agent = yield* Effect.provide(AgentClient, services)
    const runId = yield* RunId.make
    const until = (wanted: string) =>
      Effect.iterate({ phase: "", revision: -1 }, {
        while: ({ phase }) => phase !== wanted,
        body: ({ revision }) => agent.status(runId, revision)
      })
    yield* agent.request(runId)
    yield* until("ready")
    yield* agent.quiesced(runId)
    yield* Effect.repeat(Effect.sleep(5), { until: () => pve.task !== undefined })
    pve.task?.writeTo(point)
    yield* until("running")
    yield* pause(n)
    const written = performance.now()
    pve.task?.point()
    yield* until("snapshotted")
    return performance.now() - written
  }))

export const measure = Effect.fnUntraced(function*(directory: string, runs: number) {
  const rounds = Array.from({ length: runs }, (_, n) => n)
  const file = yield* Effect.forEach(rounds, (n) => byFile(directory, n))
  const api = yield* Effect.orDie(Effect.forEach(rounds, byApi))
  return { file: quantiles(file), api: quantiles(api) }
})
