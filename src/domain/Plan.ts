/**
 * What a run will do: which units it will hold, seen from what runs now.
 */
import type { StackPolicy } from "./Policy.ts"
import type { DataPlace, StackUnits, Unit, UnitObservation } from "./Stack.ts"

/** What a run will do with one stack. */
export interface PlannedStack {
  readonly policy: StackPolicy
  readonly units: StackUnits
  readonly observations: ReadonlyArray<UnitObservation>
  /** Running now: these are stopped, dependents first, and started again, dependencies first. */
  readonly held: ReadonlyArray<Unit>
  /** Down already: never started, but they must still be down at the snapshot. */
  readonly idle: ReadonlyArray<Unit>
  /** What a person should know before a run. */
  readonly notes: ReadonlyArray<string>
  readonly data: ReadonlyArray<DataPlace>
}

/** What a run will do, stack by stack. */
export interface Plan {
  readonly stacks: ReadonlyArray<PlannedStack>
}
