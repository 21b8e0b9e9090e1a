/**
 * A plan in words.
 */
import { Duration, Either } from "effect"
import type { EffectiveMode } from "../domain/Backup.ts"
import * as DurationText from "../domain/DurationText.ts"
import { dependencies } from "../domain/Order.ts"
import type { Plan, PlannedStack } from "../domain/Plan.ts"
import type { DataPlace, StackName, Unit, UnitId } from "../domain/Stack.ts"
import type { AgentOffer } from "../services/AgentClient.ts"
import * as Text from "./text.ts"

/** What is found out for a plan. */
export interface Found {
  readonly plan: Plan
  /** What would speak against `application` if the run were now, by stack. */
  readonly interference: ReadonlyMap<StackName, ReadonlyArray<string>>
  /** What the agent would do, or why a run would be refused now; not asked beside a live run. */
  readonly agent: Either.Either<AgentOffer, string> | undefined
  /** The downtimes (ms) of the last good runs, by stack. */
  readonly downtimes: ReadonlyMap<string, ReadonlyArray<number>>
}

const median = (values: ReadonlyArray<number>): number | null =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null

const expected = (found: Found, stack: string) => median(found.downtimes.get(stack) ?? [])

/** Why a run would be refused now. */
export const refusal = ({ agent }: Found): string | null =>
  agent !== undefined && Either.isLeft(agent) ? agent.left : null

const offer = ({ agent }: Found): AgentOffer | undefined =>
  agent === undefined ? undefined : Either.getOrUndefined(agent)

/** The plan as the command prints it with `--json`. */
export const toJson = (found: Found) => {
  const agent = offer(found)
  return {
    type: "plan",
    schemaVersion: 1,
    stacks: found.plan.stacks.map(({ data, held, idle, notes, policy, units }) => ({
      stack: policy.stack,
      control: units.control,
      held: held.map(({ id }) => id),
      idle: idle.map(({ id }) => id),
      after: Object.fromEntries(held.flatMap(({ after = [], id }) => after.length === 0 ? [] : [[id, after]])),
      data: data.map((place) => ({ ...place, covered: place.covered ?? null })),
      notes,
      interference: found.interference.get(policy.stack) ?? [],
      maxDowntimeMs: Duration.toMillis(policy.maxDowntime),
      maxDowntimeWithoutSnapshotMs: Duration.toMillis(policy.maxDowntimeWithoutSnapshot),
      expectedDowntimeMs: expected(found, policy.stack)
    })),
    agent: agent === undefined ? null : {
      mode: agent.mode ?? null,
      snapshotter: agent.snapshotter ?? null,
      notes: agent.notes
    },
    refused: refusal(found)
  }
}

const modes: Record<EffectiveMode, string> = {
  snapshot: "down until the storage snapshot exists",
  copy: "down until a private copy is complete",
  suspend: "down until the guest stands still at the snapshot",
  stop: "down until the backup is done, because this storage cannot snapshot"
}

const names = (units: ReadonlyArray<Unit>) => units.map(({ id }) => id).join(", ")

/** Units that are stopped side by side, step by step: `web, worker, then db`. */
const steps = (units: ReadonlyArray<Unit>): string => {
  const waiting = dependencies(units)
  const depths = new Map<UnitId, number>()
  // dependents come first in this list, so they have their depth by then
  for (const { id } of units) {
    const dependents = units.filter((one) => waiting.get(one.id)?.some(({ unit }) => unit === id))
    depths.set(id, Math.max(0, ...dependents.map((one) => (depths.get(one.id) ?? 0) + 1)))
  }
  const deepest = Math.max(0, ...depths.values())
  return Array.from({ length: deepest + 1 }, (_, depth) => names(units.filter(({ id }) => depths.get(id) === depth)))
    .join(", then ")
}

const dataText = ({ covered, kind, path, target, unit, writable }: DataPlace): string => {
  const where = covered === undefined
    ? ""
    : covered
    ? ", in the backup"
    : writable
    ? ", NOT IN THE BACKUP"
    : ", not in the backup"
  return `  data: ${unit}: ${path} (${kind} at ${target}${writable ? "" : ", read-only"})${where}\n`
}

const stackText = (found: Found, { data, held, idle, notes, policy }: PlannedStack) => {
  const mode = offer(found)?.mode
  const limit = mode === "stop" ? policy.maxDowntimeWithoutSnapshot : policy.maxDowntime
  const before = expected(found, policy.stack)
  const against = found.interference.get(policy.stack) ?? []
  if (held.length === 0) return `${policy.stack}: is down and stays down\n`
  return [
    `${policy.stack}: would stop ${steps(held)}, for at most ${DurationText.format(limit)}`,
    idle.length === 0 ? "" : ` (down already, stays down: ${names(idle)})`,
    before === null ? "" : `; the last runs took ${Text.elapsed(before)}`,
    "\n",
    ...data.map(dataText),
    ...against.map((detail) => `  against 'application': ${detail}\n`),
    ...notes.map((note) => `  note: ${note}\n`)
  ].join("")
}

const agentText = (found: Found) => {
  const refused = refusal(found)
  if (refused !== null) return `a run would be refused now: ${refused}\n`
  const agent = offer(found)
  if (agent === undefined) return "agent: not asked, a run is under way\n"
  const { mode, notes, snapshotter } = agent
  const by = snapshotter === undefined ? "" : ` (${snapshotter})`
  return [`agent: ${mode === undefined ? "ready" : modes[mode]}${by}`, ...notes].join("\n  ") + "\n"
}

/** The plan for people. */
export const toText = (found: Found): string =>
  [...found.plan.stacks.map((stack) => stackText(found, stack)), agentText(found)].join("")
