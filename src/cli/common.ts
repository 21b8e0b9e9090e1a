/**
 * What several commands do alike.
 */
import { Effect, Option } from "effect"
import type { RunPolicy } from "../domain/Policy.ts"
import { hint } from "../internal/suggest.ts"
import type { ResolvedConfig } from "../layers/ConfigFile.ts"
import { Workspace } from "../layers/Workspace.ts"
import { ExitWith, UsageError } from "./errors.ts"
import { Process } from "./Process.ts"

/** The configuration that `--config` or the search finds. */
export const load = (explicit: Option.Option<string>) =>
  Effect.flatMap(Workspace, (workspace) => workspace.load(Option.getOrUndefined(explicit)))

/** The policy for the stacks that `--stack` names, in the order of the file; without a name, for all. */
export const select = (
  command: string,
  config: ResolvedConfig,
  wanted: ReadonlyArray<string>
): Effect.Effect<RunPolicy, UsageError> => {
  const known = config.policy.stacks.map(({ stack }) => String(stack))
  const unknown = wanted.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    const names = known.join(", ")
    return new UsageError({
      command: `quiesce ${command}`,
      problem: `quiesce ${command}: there is no stack '${unknown}' in ${config.file}, which has: ${names}${
        hint(unknown, known)
      }`
    })
  }
  return Effect.succeed({
    ...config.policy,
    stacks: config.policy.stacks.filter(({ stack }) => wanted.length === 0 || wanted.includes(stack)),
    bystanders: config.policy.stacks.flatMap(({ stack }) =>
      wanted.length === 0 || wanted.includes(stack) ? [] : [stack]
    )
  })
}

/** Ends the command with this exit code, also beside a signal. */
export const conclude = (exitCode: number): Effect.Effect<void, ExitWith> =>
  Effect.flatMap(Process, (process) => process.concluded(exitCode)).pipe(
    Effect.zipRight(exitCode === 0 ? Effect.void : new ExitWith({ exitCode }))
  )
