/**
 * The agent of a configuration as one client.
 */
import { Duration, Effect, Layer } from "effect"
import { readSecret, type SecretUnreadable } from "../internal/secretFile.ts"
import { AgentClient, AgentRefused, AgentUnavailable } from "../services/AgentClient.ts"
import * as AgentClientLocal from "./AgentClientLocal.ts"
import type { ResolvedHttp, ResolvedProxmox } from "./ConfigAgents.ts"
import type { ResolvedConfig } from "./ConfigFile.ts"
import * as MainSource from "./MainSource.ts"

/** Every question is answered with this error. There is nothing to sweep. */
const always = (error: AgentUnavailable | AgentRefused): Layer.Layer<AgentClient> =>
  Layer.succeed(AgentClient, {
    preflight: error,
    request: () => error,
    prepare: () => error,
    quiesced: () => error,
    status: () => error,
    cancel: () => error,
    asked: error,
    sweep: Effect.succeed([])
  })

/** No agent is known, for this reason: nothing but a recovery works. */
export const none = (reason: string): Layer.Layer<AgentClient> => always(new AgentUnavailable({ reason }))

/** A token that cannot be read is said when the agent is asked, not before: a recovery needs no agent. */
const orRefused = (client: Effect.Effect<Layer.Layer<AgentClient>, SecretUnreadable>) =>
  Layer.unwrapEffect(
    Effect.catchAll(client, ({ message }) =>
      Effect.succeed(always(new AgentRefused({ reason: `the token cannot be read: ${message}` }))))
  )

// their HTTP client would make every start of the program slower

const http = ({ address, fingerprint, tokenFile }: ResolvedHttp) =>
  orRefused(Effect.gen(function*() {
    const token = tokenFile === undefined ? undefined : yield* readSecret(tokenFile)
    const { layer } = yield* Effect.promise(() => import("./AgentClientHttp.ts"))
    return layer({ ...address, token, fingerprint })
  }))

const proxmox = ({ fingerprint, node, tokenFile, url, vzdump }: ResolvedProxmox) =>
  orRefused(Effect.gen(function*() {
    const token = yield* readSecret(tokenFile)
    const { layer } = yield* Effect.promise(() => import("./AgentClientProxmox.ts"))
    return layer({ url, node, token, fingerprint, ...vzdump })
  }))

/** The client of the agent that the configuration names. */
export const layer = ({ agent, policy, stateDir }: ResolvedConfig): Layer.Layer<AgentClient> => {
  switch (agent._tag) {
    case "Local":
      return AgentClientLocal.layer({
        source: agent.source,
        stateDir,
        // it holds its slot for as long as the prepares may take
        readyTimeout: Duration.sum(policy.prepareTimeout, "10 minutes")
      }).pipe(Layer.provide(MainSource.layer(agent, stateDir)))
    case "Http":
      return http(agent)
    case "Proxmox":
      return proxmox(agent)
  }
}
