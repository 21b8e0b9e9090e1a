/**
 * The oracle of the order within a stack: reads from the trace of stops and starts what must never happen, whatever the
 * graph, and knows nothing of how the programs do it.
 */
import { findCycle } from "../../src/domain/Order.ts"
import { UnitId } from "../../src/domain/Stack.ts"
import type { JournalEntry } from "../../src/layers/Journal.ts"
import type { MemoryStack } from "../../src/layers/StackControlMemory.ts"

type Edges = NonNullable<MemoryStack["after"]>

export const unitNames = ({ stack, units = [stack] }: MemoryStack) => units

/** Whether a run may stop it: it is up when the run begins. */
export const isOurs = (stack: MemoryStack, unit: string) =>
  (stack.unitsInitially?.[unit] ?? stack.initially ?? "running") === "running"

/** How the first call for a unit behaves. */
export const firstBehaviour = (stack: MemoryStack, unit: string, operation: "start" | "stop") =>
  (stack.perUnit?.[unit]?.[operation] ?? stack[operation])?.[0] ?? {}

/** What each unit comes after, as the control says it. */
const edgesOf = (stack: MemoryStack): Edges => {
  const units = unitNames(stack)
  const chain = units.slice(1).map((unit, index) => [units[index] ?? "", [{ unit, until: "up" as const }]] as const)
  return stack.after ?? Object.fromEntries(chain)
}

/** What a unit waits for among those that take part; through those that do not. */
const waitsFor = (edges: Edges, takesPart: (unit: string) => boolean, unit: string): Edges[string] =>
  (edges[unit] ?? []).flatMap((edge) => takesPart(edge.unit) ? [edge] : waitsFor(edges, takesPart, edge.unit))

const isCircular = (edges: Edges) =>
  findCycle(
    Object.entries(edges).map(([id, after]) => ({
      id: UnitId.make(id),
      after: after.map(({ unit, until }) => ({ unit: UnitId.make(unit), until }))
    }))
  ) !== undefined

/** How many stops, and how many starts, may be under way at a time. */
const atOnce = 8

const crowds = (trace: ReadonlyArray<JournalEntry>) =>
  ["stop", "start"].flatMap((verb) => {
    const calls = trace.flatMap(({ at, what }, index) => {
      if (!what.startsWith(`${verb} `) || what.split(" ").length !== 2) return []
      const end = trace.find((later, after) => after > index && later.what.startsWith(`${what} `))
      return [{ from: at, to: end?.at ?? Infinity }]
    })
    const most = Math.max(
      0,
      ...calls.map(({ from: now }) => calls.filter(({ from, to }) => from <= now && now < to).length)
    )
    return most > atOnce ? [`${most} ${verb}s were under way at a time`] : []
  })

interface Start {
  readonly count: number
  readonly end?: string | undefined
  readonly at: number
}

/** Each line is one broken promise. Units that somebody else starts or stops say nothing of the order. */
export const outOfOrder = (
  stacks: ReadonlyArray<MemoryStack>,
  trace: ReadonlyArray<JournalEntry>,
  options: {
    readonly meddled?: ReadonlySet<string>
    /** What may be stopped and started. Default: what is up at first. */
    readonly takesPart?: (stack: MemoryStack, unit: string) => boolean
  } = {}
): ReadonlyArray<string> => {
  const { meddled = new Set(), takesPart = isOurs } = options
  const wrong: Array<string> = [...crowds(trace)]
  for (const stack of stacks) {
    const edges = edgesOf(stack)
    const units = unitNames(stack)
    if (isCircular(edges) || units.some((unit) => meddled.has(`${stack.stack}/${unit}`))) continue
    const waits = new Map(
      units.map((unit) => [unit, waitsFor(edges, (one) => units.includes(one) && takesPart(stack, one), unit)])
    )
    const up = new Set(units.filter((unit) => isOurs(stack, unit)))
    const starts = new Map<string, Start>()
    /** Whether everything was done for a unit that can be done before another one has its turn for the nth time. */
    const hadItsTurn = (unit: string, until: string, n: number, now: number) => {
      const start = starts.get(unit)
      if (up.has(unit)) return true
      if (start === undefined || start.count < n || start.end === undefined) return false
      return start.end === "failed" || until === "started" || now - start.at >= (stack.startTimeoutMs ?? 60_000)
    }
    for (const { at, what } of trace) {
      const [verb = "", place = "", end] = what.split(" ")
      const unit = place.slice(stack.stack.length + 1)
      if (!place.startsWith(`${stack.stack}/`) || !units.includes(unit)) continue
      if (verb === "up") up.add(unit)
      if (verb === "down") up.delete(unit)
      if (verb === "stop" && end === undefined) {
        const dependents = units.filter((one) => up.has(one) && waits.get(one)?.some((on) => on.unit === unit))
        wrong.push(...dependents.map((one) => `${place} was stopped while ${one} was up`))
      }
      if (verb !== "start") continue
      const count = (starts.get(unit)?.count ?? 0) + (end === undefined ? 1 : 0)
      starts.set(unit, { count, end, at })
      if (end !== undefined) continue
      for (const { unit: other, until } of waits.get(unit) ?? []) {
        const { effective, lands, result = "succeed" } = firstBehaviour(stack, other, "stop")
        // one that may go down late can have been up when it was looked at
        if (effective !== undefined || lands !== undefined || result !== "succeed") continue
        if (!hadItsTurn(other, until, count, at)) wrong.push(`${place} was started before ${other} (${until})`)
      }
    }
  }
  return wrong
}
