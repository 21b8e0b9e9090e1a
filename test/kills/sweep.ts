/**
 * Which kills a sweep is made of. All of them come from what a clean run was seen to ask for.
 */
import type * as Death from "./death.ts"
import * as Gate from "./gate.ts"
import type { Kill } from "./kills.ts"

/** `KILLS=2000` makes a sweep of that many kills, and `SEED=7` other random ones. */
export const wanted = Number(process.env["KILLS"] ?? 0)
/** After which of them a whole run must end well: `EVERY=1` means after each. */
export const every = Number(process.env["EVERY"] ?? 1)
export const seed = Number(process.env["SEED"] ?? 20261130)

const way = (index: number, ways: ReadonlyArray<Death.Way>): Death.Way => ways[index % ways.length] ?? "alone"

/** All that does something at each of its cuts, and each question at one. */
export const short = (seen: Gate.Gate["seen"], ways: ReadonlyArray<Death.Way>): ReadonlyArray<Kill> => {
  const orders = Gate.pointsOf(seen.filter(({ isOrder }) => isOrder))
  const questions = seen.filter(({ isOrder }) => !isOrder).map(({ key, nth }, index): Gate.Point => ({
    key,
    nth,
    cut: index % 2 === 0 ? "before" : "replied"
  }))
  return [...orders, ...questions].map((where, index) => ({ where, way: way(index, ways) }))
}

/** A moment beside the boundaries: some milliseconds after one of them. */
const beside = (seen: Gate.Gate["seen"], ways: ReadonlyArray<Death.Way>, random: () => number): ReadonlyArray<Kill> => {
  const boundary = seen[Math.floor(random() * seen.length)]
  if (boundary === undefined) return []
  const { key, nth } = boundary
  const cut = random() < 0.5 ? "before" : "replied"
  const where = { key, nth, cut, later: Math.round(random() * 80) } as const
  return [{ where, way: way(Math.floor(random() * ways.length), ways) }]
}

/** So many at random times, which the seed alone decides. */
export const atRandom = (
  seen: Gate.Gate["seen"],
  ways: ReadonlyArray<Death.Way>,
  count: number,
  random: () => number
): ReadonlyArray<Kill> => Array.from({ length: count }, () => beside(seen, ways, random)).flat()

/** Every point in every way once, and then at random times, until there are so many. */
export const long = (
  seen: Gate.Gate["seen"],
  ways: ReadonlyArray<Death.Way>,
  count: number,
  random: () => number
): ReadonlyArray<Kill> => {
  const points = Gate.pointsOf(seen)
  const all = ways.flatMap((way): ReadonlyArray<Kill> => points.map((where) => ({ where, way }))).slice(0, count)
  return [...all, ...atRandom(seen, ways, count - all.length, random)]
}
