/**
 * Every agent keeps the same contract: the one in this process, and that on a host, over each of its ways.
 */
import { describe } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import * as AgentClientHttp from "../../src/layers/AgentClientHttp.ts"
import * as AgentClientLocal from "../../src/layers/AgentClientLocal.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { Snapshotter } from "../../src/services/Snapshotter.ts"
import { Transfer } from "../../src/services/Transfer.ts"
import { agentClientContract, type AgentScript, type AgentSubject } from "../../src/testing/AgentClientContract.ts"
import { jobsOf, serve, type Way } from "../support/agentServer.ts"
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

const http = (way: Way): Harness =>
  Effect.fnUntraced(function*(script) {
    const { controls, engine } = yield* stepStorage
    const jobs = yield* jobsOf("web1", engine, script.readyTimeout)
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
