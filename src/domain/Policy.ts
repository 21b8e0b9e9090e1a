/**
 * The limits and rhythms of a run.
 */
import { Duration } from "effect"
import type { StackName } from "./Stack.ts"

/** How long one stack may be held. */
export interface StackPolicy {
  readonly stack: StackName
  /** From its stop being asked to its resume being begun; on expiry the app is resumed first, then the backup cancelled. */
  readonly maxDowntime: Duration.Duration
  /** Takes the place of `maxDowntime` once the agent says that this backup cannot snapshot. */
  readonly maxDowntimeWithoutSnapshot: Duration.Duration
}

/** The limits and rhythms of one run, and which stacks it holds. */
export interface RunPolicy {
  readonly stacks: ReadonlyArray<StackPolicy>
  /** Stacks whose data may be in the same source, that this run does not hold. Up, they count against the claim. */
  readonly bystanders?: ReadonlyArray<StackName> | undefined
  /** Between two questions to an agent whose answer did not change. */
  readonly pollInterval: Duration.Duration
  /** For one question to the agent. */
  readonly agentTimeout: Duration.Duration
  /** How long an agent may fail to answer, with the app up, before its backup is given up. */
  readonly agentPatience: Duration.Duration
  /** How long to wait, with the app up, for the agent to be `ready`. */
  readonly queueTimeout: Duration.Duration
  /** For all prepares together, with the app still up. */
  readonly prepareTimeout: Duration.Duration
  /** How long starts are tried again before the run gives up and leaves the marker to recover. */
  readonly resumeTimeout: Duration.Duration
  /** How long a unit must stay up after its start before its undo record is given up. */
  readonly steadyTime: Duration.Duration
  /** For the whole run. */
  readonly deadline: Duration.Duration
}

/** The defaults of every limit but the stacks. */
export const defaults: Omit<RunPolicy, "stacks"> = {
  pollInterval: Duration.millis(500),
  agentTimeout: Duration.seconds(60),
  agentPatience: Duration.minutes(10),
  queueTimeout: Duration.hours(3),
  prepareTimeout: Duration.seconds(60),
  resumeTimeout: Duration.minutes(5),
  steadyTime: Duration.seconds(1),
  deadline: Duration.hours(24)
}

/** The default limits of a stack. */
export const stackDefaults = {
  maxDowntime: Duration.seconds(120),
  maxDowntimeWithoutSnapshot: Duration.hours(1)
} as const
