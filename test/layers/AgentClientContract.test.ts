/**
 * Every agent keeps the same contract: the one in this process, and that on a host, over each of its ways.
 */
import { describe } from "@effect/vitest"
import { Effect, Layer, Redacted, type Scope } from "effect"
import * as AgentClientHttp from "../../src/layers/AgentClientHttp.ts"
import * as AgentClientLocal from "../../src/layers/AgentClientLocal.ts"
import * as AgentClientProxmox from "../../src/layers/AgentClientProxmox.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { Snapshotter } from "../../src/services/Snapshotter.ts"
import { Transfer } from "../../src/services/Transfer.ts"
import { agentClientContract, type AgentScript, type AgentSubject } from "../../src/testing/AgentClientContract.ts"
import * as Pve from "../lab/proxmox/server.ts"
import { sample } from "../lab/proxmox/tasks.ts"
import { jobsOf, serve, type Way } from "../support/agentServer.ts"
import { divide } from "../support/divided.ts"
import { live, type Need } from "../support/live.ts"
import { stepStorage } from "../support/stepEngine.ts"

type Harness = (script: AgentScript) => Effect.Effect<AgentSubject, unknown, Scope.Scope>

const local: Harness = Effect.fnUntraced(function*(script) {
  const { controls, snapshotter, transfer } = yield* stepStorage
  const context = yield* Layer.build(
    AgentClientLocal.layer({
      source: "/tmp",
      stateDir: "/s",
      transferDelay: 0,
      statusWait: "10 seconds",
      ...script
    }).pipe(Layer.provide(Layer.merge(Layer.succeed(Snapshotter, snapshotter), Layer.succeed(Transfer, transfer))))
  )
  return {
    client: yield* Effect.provide(AgentClient, context),
    controls,
    traits: { cancelsLate: true, waits: true, readyTimeout: true, progress: true }
  }
})

const http = (way: Way, isDivided = false): Harness =>
  Effect.fnUntraced(function*(script) {
    const { controls, engine } = yield* stepStorage
    const used = isDivided ? (yield* divide(engine)).engine : engine
    const jobs = yield* jobsOf("web1", used, script.readyTimeout)
    const server = yield* serve({ guests: new Map([["web1", jobs]]), ways: [way] })
    const context = yield* Layer.build(AgentClientHttp.layer(
      way === "socket"
        ? { socketPath: server.socketOf("web1") }
        : {
          url: server.url(way),
          token: yield* server.tokens.make("web1"),
          fingerprint: server.certificate?.fingerprint
        }
    ))
    return {
      client: yield* Effect.provide(AgentClient, context),
      controls,
      traits: { cancelsLate: false, waits: true, readyTimeout: true, progress: true }
    }
  })

const proxmox: Harness = Effect.fnUntraced(function*(script) {
  const { pve, url } = yield* Pve.serve({ replay: sample("run-lxc-api-ok"), begins: 5 })
  const context = yield* Layer.build(AgentClientProxmox.layer({
    url,
    node: "pve1",
    vmid: 100,
    storage: "local",
    token: Redacted.make(Pve.token),
    statusWait: "10 seconds",
    ...script
  }))
  const running = Effect.repeat(Effect.delay(Effect.sync(() => pve.tasks.find(({ runs }) => runs)), "5 millis"), {
    until: (task): task is NonNullable<typeof task> => task !== undefined
  })
  return {
    client: yield* Effect.provide(AgentClient, context),
    controls: {
      // each looks once which tasks there were before
      begun: Effect.sync(() =>
        pve.requests.filter(({ parameters: { source }, route }) => route.endsWith("/tasks") && source === "all").length
      ),
      hasRead: Effect.sync(() => pve.tasks.length > 0),
      snapshot: Effect.map(running, (task) => task.point()),
      progress: () => Effect.void,
      end: (reason) => Effect.map(running, (task) => reason === undefined ? task.end() : task.fail(reason))
    },
    traits: { cancelsLate: false, waits: true, readyTimeout: true, progress: false }
  }
})

const keeps = (agent: string, needs: ReadonlyArray<Need>, harness: Harness) =>
  describe(agent, () => {
    for (const { name, script, test } of agentClientContract) {
      live(name, needs, () => Effect.flatMap(harness(script ?? {}), test))
    }
  })

keeps("in this process", [], local)
keeps("over TLS", ["openssl"], http("tls"))
keeps("over TCP to this machine", [], http("plain"))
keeps("over a UNIX socket", [], http("socket"))
keeps("over TCP, with the engine beyond a socket", [], http("plain", true))
keeps("Proxmox VE itself", [], proxmox)
