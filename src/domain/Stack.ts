/**
 * What is stopped and started: stacks, and the units they are made of.
 */
import { Schema } from "effect"

/** The name of a stack: letters, digits, `.`, `_` and `-`, at most 63, so that it is safe in a file name. */
export const StackName = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
    message: () => "expected a stack name: letters, digits, '.', '_' and '-', at most 63, first a letter or digit"
  }),
  Schema.brand("StackName")
)
export type StackName = typeof StackName.Type

/** The name of a unit, unique within its stack. */
export const UnitId = Schema.NonEmptyString.pipe(Schema.brand("UnitId"))
export type UnitId = typeof UnitId.Type

/**
 * Another unit of the same stack that comes first. `started`: its start has succeeded. `up`: it is seen running, and
 * healthy where its control can tell.
 */
export const Dependency = Schema.Struct({
  unit: UnitId,
  until: Schema.Literal("started", "up")
})
export interface Dependency extends Schema.Schema.Type<typeof Dependency> {}

/** Milliseconds. A timer of Node cannot be set to more: it would never fire. */
export const longestTimeLimit = 2 ** 31 - 1

/** Milliseconds in which a stop or start must have ended. */
export const TimeLimit = Schema.NonNegative.pipe(Schema.lessThanOrEqualTo(longestTimeLimit))

/**
 * One thing that is stopped and started: a container, a systemd unit, a pair of commands.
 *
 * `identity` is JSON that only the stack's control reads. It says enough to start the unit again when nothing but the
 * marker is left. The timeouts (milliseconds) bound one stop and one start. A unit is started after the units in `after`,
 * and stopped before them; units with nothing between them are stopped and started side by side.
 */
export const Unit = Schema.Struct({
  id: UnitId,
  stopTimeoutMs: TimeLimit,
  startTimeoutMs: TimeLimit,
  after: Schema.optionalWith(Schema.Array(Dependency), { exact: true }),
  identity: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})
export interface Unit extends Schema.Schema.Type<typeof Unit> {}

/**
 * `running` and `stopped` are proved; `changing` means that a stop or start is under way; `unknown` means that the
 * control could not tell.
 */
export const UnitState = Schema.Literal("running", "stopped", "changing", "unknown")
export type UnitState = typeof UnitState.Type

/**
 * A unit as its control sees it now. `stamp`, where the control can give one, changes whenever the unit has been
 * started again or recreated in between.
 */
export interface UnitObservation {
  readonly unit: Unit
  readonly state: UnitState
  readonly stamp?: string | undefined
  /** What the control saw, for people: an exit code, the last line of output. */
  readonly detail?: string | undefined
  /** It is `stopped` without having been shut down: it is paused, or a hook made it stand still. */
  readonly frozen?: boolean | undefined
  /** It is `stopped`, and nothing that is under way will bring it up: a start that has led here is over. */
  readonly ended?: boolean | undefined
}

/** Where a unit keeps data, for people and for the question whether a backup holds it. */
export interface DataPlace {
  readonly unit: UnitId
  /** `volume`, `bind`, ... */
  readonly kind: string
  /** The path on this machine. */
  readonly path: string
  /** The path that the unit knows it by. */
  readonly target: string
  readonly writable: boolean
  /** Whether what the agent backs up holds it; `undefined` where that is not known. */
  readonly covered: boolean | undefined
}

/** Everything that a control knows of one stack now. */
export interface StackInspection {
  readonly units: StackUnits
  readonly observations: ReadonlyArray<UnitObservation>
  /** What a person should know before a run: what will not be touched, what could interfere. */
  readonly notes?: ReadonlyArray<string> | undefined
  readonly data?: ReadonlyArray<DataPlace> | undefined
}

/** The units of one stack, in the order in which they are stopped one by one. */
export const StackUnits = Schema.Struct({
  stack: StackName,
  /** Which control starts them again: `command`, `docker`, ... */
  control: Schema.NonEmptyString,
  units: Schema.Array(Unit)
})
export interface StackUnits extends Schema.Schema.Type<typeof StackUnits> {}
