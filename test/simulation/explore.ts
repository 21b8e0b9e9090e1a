/**
 * Which histories are played: all with one fault, all with two, and random ones with more.
 */
import { type Fault, type Kind, kindsAt } from "./faults.ts"
import { play } from "./history.ts"
import { type Shape, shapes } from "./shapes.ts"
import type { Reached } from "./world.ts"

/** A history to play, and how to play it again. */
export interface Plan {
  readonly shape: number
  readonly faults: ReadonlyArray<Fault>
  readonly seed: string
  readonly withLast: boolean
}

/** The kinds of all pairs: what tears a run, what it does not get an answer to, and who ends it. */
const core: ReadonlySet<Kind> = new Set([
  "kill-before",
  "kill-after",
  "power-after",
  "error-before",
  "hang",
  "signal",
  "agent-kill"
])

/** The boundaries from `from` on; of the same call again and again, with nothing between, the first and the last. */
const boundaries = (reached: ReadonlyArray<Reached>, from: number): ReadonlyArray<number> =>
  reached.flatMap(({ name }, at) =>
    at >= from && (name !== reached[at - 1]?.name || name !== reached[at + 1]?.name) ? [at] : []
  )

const faultsAt = (reached: ReadonlyArray<Reached>, from: number, wanted: (kind: Kind) => boolean) =>
  boundaries(reached, from).flatMap((at) =>
    kindsAt[reached[at]!.place].filter(wanted).map((kind): Fault => ({ at, kind }))
  )

const all = () => true
const isCore = (kind: Kind) => core.has(kind)

const reachedBy = (shape: Shape, faults: ReadonlyArray<Fault>) => play(shape, faults, { withLast: false }).reached

/** Every boundary of every shape with every kind. */
export function* oneFault(only: (shape: number) => boolean = all): Generator<Plan> {
  for (const [shape, one] of shapes.entries()) {
    if (!only(shape)) continue
    yield { shape, faults: [], seed: "0", withLast: true }
    for (const fault of faultsAt(reachedBy(one, []), 0, all)) {
      yield { shape, faults: [fault], seed: "0", withLast: true }
    }
  }
}

/**
 * Every pair of faults, the second at any boundary after the first that the history with the first one reaches: also in
 * what heals it. Of the core kinds, or of all.
 */
export function* twoFaults(
  part: (n: number) => boolean,
  options: { readonly kinds: "core" | "all"; readonly only?: (shape: number) => boolean }
): Generator<Plan> {
  const wanted = options.kinds === "core" ? isCore : all
  let n = 0
  for (const [shape, one] of shapes.entries()) {
    if (options.only?.(shape) === false) continue
    for (const first of faultsAt(reachedBy(one, []), 0, wanted)) {
      if (!part(n++)) continue
      for (const second of faultsAt(reachedBy(one, [first]), first.at + 1, wanted)) {
        yield { shape, faults: [first, second], seed: "0", withLast: false }
      }
    }
  }
}

/** Numbers from a seed, the same every time (mulberry32). */
const random = (seed: number) => {
  let state = seed >>> 0
  return (below: number) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const lengths = new Map<number, ReadonlyArray<Reached>>()

/** The history of a seed: three to eight faults. */
export const ofSeed = (seed: number): Plan => {
  const next = random(seed)
  const shape = next(shapes.length)
  const reached = lengths.get(shape) ?? reachedBy(shapes[shape]!, [])
  lengths.set(shape, reached)
  const count = 3 + next(6)
  const at = new Map<number, Kind>()
  while (at.size < count) {
    // faults lie beyond the clean run too: they make it longer
    const where = next(Math.round(reached.length * 1.7))
    const kinds = kindsAt[reached[where]?.place ?? "look"]
    at.set(where, kinds[next(kinds.length)]!)
  }
  const faults = [...at].map(([at, kind]) => ({ at, kind })).sort((a, b) => a.at - b.at)
  return { shape, faults, seed: String(seed), withLast: next(4) === 0 }
}
