/**
 * An engine beyond the socket of a divided agent, both sides in this process.
 */
import { Effect, Exit, Logger, Option, Scope } from "effect"
import * as Path from "node:path"
import * as EngineServer from "../../src/internal/engine/server.ts"
import * as EngineSocket from "../../src/layers/EngineSocket.ts"
import type { Engine } from "../../src/services/Engine.ts"
import { tempDir } from "../layers/fixtures/support.ts"

export interface DivideOptions extends Pick<EngineServer.EngineServerOptions, "beat"> {
  readonly silence?: `${number} ${"millis" | "seconds"}`
  readonly task?: EngineServer.Served["task"]
}

/** The engine as the front of the guest `web` has it, and the other side, which can end and come back. */
export const divide = Effect.fnUntraced(function*(engine: Engine, { beat, silence, task }: DivideOptions = {}) {
  const socket = Path.join(yield* tempDir, "engine.sock")
  const open = Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const served = { engine, task: task ?? Effect.succeed(Option.none()) }
    yield* Scope.extend(EngineServer.serve({ socket, guests: new Map([["web", served]]), beat }), scope).pipe(
      Effect.provide(Logger.remove(Logger.defaultLogger))
    )
    return { close: Scope.close(scope, Exit.void) }
  })
  const { close } = yield* open
  const front = yield* EngineSocket.make({ socket, guest: "web", survives: engine.survives, silence })
  return { ...front, socket, open: Effect.asVoid(open), close }
})
