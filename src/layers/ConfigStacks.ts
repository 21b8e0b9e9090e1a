/**
 * The stacks of a configuration file, with every default filled in.
 */
import { Duration } from "effect"
import type { DockerControl, StackConfig } from "../domain/Config.ts"
import type { Argv } from "../domain/ConfigWords.ts"
import type { StackName } from "../domain/Stack.ts"

/** A stack of commands. */
export interface ResolvedCommandStack {
  readonly _tag: "Command"
  readonly stack: StackName
  readonly stop: Argv
  readonly start: Argv
  readonly status: Argv
  readonly prepare: Argv | undefined
  readonly stopTimeout: Duration.Duration
  readonly startTimeout: Duration.Duration
  /** The working directory of its commands: the directory of the file. */
  readonly cwd: string
}

/** A stack of containers. Without timeouts of its own, those of each container count. */
export interface ResolvedDockerStack {
  readonly _tag: "Docker"
  readonly stack: StackName
  readonly docker: DockerControl
  readonly stopTimeout: Duration.Duration | undefined
  readonly startTimeout: Duration.Duration | undefined
}

/** A stack with every default filled in. */
export type ResolvedStack = ResolvedCommandStack | ResolvedDockerStack

/** The timeouts of a stack of commands where the file gives none. */
export const timeoutDefaults = { stop: "30 seconds", start: "60 seconds" } as const

/** Resolves one stack; nothing for a control that the schema does not let pass. */
export const resolve = (stack: StackName, config: StackConfig, cwd: string): ReadonlyArray<ResolvedStack> => {
  const { command, docker, startTimeout, stopTimeout } = config
  if (docker !== undefined) return [{ _tag: "Docker", stack, docker, stopTimeout, startTimeout }]
  if (command === undefined) return []
  return [{
    _tag: "Command",
    stack,
    stop: command.stop,
    start: command.start,
    status: command.status,
    prepare: command.prepare,
    stopTimeout: stopTimeout ?? Duration.decode(timeoutDefaults.stop),
    startTimeout: startTimeout ?? Duration.decode(timeoutDefaults.start),
    cwd
  }]
}
