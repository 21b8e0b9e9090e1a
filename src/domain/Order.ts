/**
 * The order within a stack: what must be stopped or started before what.
 */
import type { Dependency, Unit, UnitId } from "./Stack.ts"

type Ordered = Pick<Unit, "id" | "after">

/** Depth first; a dependency on a unit that is not in the list does not count. */
const walk = (units: ReadonlyArray<Ordered>) => {
  const all = new Map(units.map((unit) => [unit.id, unit]))
  const kept = new Map<UnitId, ReadonlyArray<Dependency>>()
  const path: Array<UnitId> = []
  let cycle: ReadonlyArray<UnitId> | undefined
  const visit = (unit: Ordered): void => {
    path.push(unit.id)
    const after: Array<Dependency> = []
    kept.set(unit.id, after)
    for (const dependency of unit.after ?? []) {
      const next = all.get(dependency.unit)
      if (next === undefined) continue
      if (path.includes(next.id)) {
        cycle ??= [...path.slice(path.indexOf(next.id)), next.id]
        continue
      }
      after.push(dependency)
      if (!kept.has(next.id)) visit(next)
    }
    path.pop()
  }
  for (const unit of units) if (!kept.has(unit.id)) visit(unit)
  return { kept, cycle }
}

/** The first circle of dependencies, with its first unit again at the end; nothing where there is none. */
export const findCycle = (units: ReadonlyArray<Ordered>): ReadonlyArray<UnitId> | undefined => walk(units).cycle

/**
 * What each unit waits for among these units. Of a circle, which only a damaged marker can have, the dependency that
 * closes it is left out: nobody may wait for ever.
 */
export const dependencies = (units: ReadonlyArray<Ordered>): ReadonlyMap<UnitId, ReadonlyArray<Dependency>> =>
  walk(units).kept

/**
 * These units, each with what it waits for among them. Where it waits for one that is not among them, because that is
 * down and stays so (a job that has run), it waits for what that one waits for: the web server that comes after the
 * migration that comes after the database comes after the database.
 */
export const among = (units: ReadonlyArray<Unit>, all: ReadonlyArray<Unit>): ReadonlyArray<Unit> => {
  const own = new Set(units.map(({ id }) => id))
  const others = new Map(all.map((unit) => [unit.id, unit]))
  const reach = (unit: Unit, passed: Set<UnitId>): ReadonlyArray<Dependency> =>
    (unit.after ?? []).flatMap((dependency) => {
      if (own.has(dependency.unit)) return [dependency]
      const other = others.get(dependency.unit)
      if (other === undefined || passed.has(other.id)) return []
      passed.add(other.id)
      return reach(other, passed)
    })
  const isFirst = ({ unit, until }: Dependency, index: number, all: ReadonlyArray<Dependency>) =>
    all.findIndex((other) => other.unit === unit && other.until === until) === index
  return units.map((unit) =>
    unit.after === undefined ? unit : { ...unit, after: reach(unit, new Set()).filter(isFirst) }
  )
}

/** The units in the order in which they are started one by one. */
export const startOrder = <A extends Ordered>(units: ReadonlyArray<A>): ReadonlyArray<A> => {
  const waiting = dependencies(units)
  const done = new Set<UnitId>()
  const order: Array<A> = []
  while (order.length < units.length) {
    const next = units.find(({ id }) => !done.has(id) && (waiting.get(id) ?? []).every(({ unit }) => done.has(unit)))
    // two units of one name, as only a damaged marker has them: none may be lost
    if (next === undefined) return [...order, ...units.filter((unit) => !order.includes(unit))]
    done.add(next.id)
    order.push(next)
  }
  return order
}
