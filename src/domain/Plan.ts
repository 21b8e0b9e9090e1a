/**
 * What a run will do: which units it will hold, seen from what runs now.
 */
import type { StackPolicy } from "./Policy.ts"
import type { StackUnits, Unit, UnitObservation } from "./Stack.ts"

export interface PlannedStack {
  readonly policy: StackPolicy
  readonly units: StackUnits
  readonly observations: ReadonlyArray<UnitObservation>
  /** Running now: these are stopped, in this order, and started again in the reverse order. */
  readonly held: ReadonlyArray<Unit>
  /** Down already: never started, but they must still be down at the snapshot. */
  readonly idle: ReadonlyArray<Unit>
}

export interface Plan {
  readonly stacks: ReadonlyArray<PlannedStack>
}
