/**
 * One agent at a time in a state directory: two would both go on with the same backups.
 */
import { Effect, type Scope } from "effect"
import * as Path from "node:path"
import { tryLock } from "../internal/flock.ts"
import * as StateDir from "../internal/stateDir.ts"
import { AgentFailed } from "./AgentWorkspace.ts"

const failed = Effect.mapError((error: { readonly message: string }) =>
  new AgentFailed({ reason: error.message, busy: false })
)

/** Makes the directory where it is missing, and holds its lock until the scope closes. */
export const take = Effect.fnUntraced(function*(stateDir: string): Effect.fn.Return<void, AgentFailed, Scope.Scope> {
  yield* failed(StateDir.ensure(stateDir))
  if (yield* failed(tryLock(Path.join(stateDir, "lock")))) return
  return yield* new AgentFailed({ reason: `another agent uses the state directory ${stateDir}`, busy: true })
})
