/**
 * The stacks of a configuration as one control.
 */
import { Duration, Effect, Layer, Scope } from "effect"
import { isIdentity } from "../internal/docker/identity.ts"
import { StackControl } from "../services/StackControl.ts"
import type { ResolvedConfig } from "./ConfigFile.ts"
import type { ResolvedDockerStack } from "./ConfigStacks.ts"
import * as StackControlAny from "./StackControlAny.ts"
import * as StackControlCommand from "./StackControlCommand.ts"
import type { DockerStack, Selector } from "./StackControlDocker.ts"

/** What the stacks need of a configuration. Without one, only the markers say what the stacks are. */
export interface StacksOptions {
  readonly stateDir: string
  readonly config: Pick<ResolvedConfig, "stacks" | "policy" | "dockerHost" | "agent"> | undefined
}

const selectorOf = ({ docker: { containers, project } }: ResolvedDockerStack): Selector =>
  project !== undefined
    ? { _tag: "Project", project }
    : containers !== undefined
    ? { _tag: "Containers", names: containers }
    : { _tag: "Enabled" }

const make = Effect.fnUntraced(function*({ config, stateDir }: StacksOptions) {
  const scope = yield* Effect.scope
  const stacks = config?.stacks ?? []
  const prepareTimeout = config?.policy.prepareTimeout ?? Duration.minutes(1)
  const command = stacks.flatMap((stack) => stack._tag === "Command" ? [{ prepareTimeout, ...stack }] : [])
  const docker = stacks.flatMap((stack): ReadonlyArray<DockerStack> =>
    stack._tag === "Docker" ? [{ ...stack, selector: selectorOf(stack) }] : []
  )
  return StackControlAny.make([
    {
      stacks: docker.map(({ stack }) => stack),
      reads: ({ identity }) => isIdentity(identity),
      // its HTTP client would make every start of the program slower
      control: yield* Effect.cached(
        Effect.promise(() => import("./StackControlDocker.ts")).pipe(
          Effect.flatMap((control) =>
            Scope.extend(
              control.make({
                stacks: docker,
                host: config?.dockerHost,
                source: config?.agent._tag === "Local" ? config.agent.source : undefined
              }),
              scope
            )
          ),
          Effect.uninterruptible
        )
      )
    },
    {
      stacks: command.map(({ stack }) => stack),
      reads: ({ identity }) => StackControlCommand.isIdentity(identity),
      control: Effect.succeed(StackControlCommand.make({ stateDir, stacks: command }))
    }
  ])
})

/** All stacks of the configuration, and those that only markers know. */
export const layer = (options: StacksOptions): Layer.Layer<StackControl> => Layer.scoped(StackControl, make(options))
