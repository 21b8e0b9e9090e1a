/**
 * The engines that this process talks to, one client each.
 */
import { Effect, Ref, Scope } from "effect"
import * as Endpoint from "./endpoint.ts"
import * as Engine from "./engine.ts"
import * as Transport from "./transport.ts"

/** An engine, and where it is. */
export interface Connected {
  readonly engine: Engine.Engine
  readonly endpoint: Endpoint.Endpoint
}

/** Finds the client of an address, or makes it. All connections are closed with the scope. */
export const make: Effect.Effect<
  (host: string) => Effect.Effect<Connected, Endpoint.EndpointInvalid>,
  never,
  Scope.Scope
> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const known = yield* Ref.make<ReadonlyMap<string, Connected>>(new Map())
  const connecting = yield* Effect.makeSemaphore(1)
  return (host) =>
    connecting.withPermits(1)(Effect.gen(function*() {
      const found = (yield* Ref.get(known)).get(host)
      if (found !== undefined) return found
      const endpoint = yield* Endpoint.parse(host)
      const http = yield* Scope.extend(Transport.make(endpoint), scope)
      const connected = { engine: yield* Engine.make(http, endpoint), endpoint }
      yield* Ref.update(known, (all) => new Map([...all, [host, connected]]))
      return connected
    }))
})
