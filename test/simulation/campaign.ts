/**
 * Plays many histories, and says what was broken in which.
 */
import { ofSeed, oneFault, type Plan, twoFaults } from "./explore.ts"
import { show } from "./faults.ts"
import { type History, play } from "./history.ts"
import { shapes } from "./shapes.ts"
import type { Invariant, Violation } from "./truth.ts"

export interface Wrong {
  readonly plan: Plan
  /** The first. */
  readonly violation: Violation
  /** All that were broken in this history. */
  readonly invariants: ReadonlyArray<Invariant>
  /** After how many histories it was found. */
  readonly after: number
}

export interface Tally {
  one: number
  two: number
  random: number
  boundaries: number
  readonly wrong: Array<Wrong>
}

export interface Campaign {
  /** This worker's part. */
  readonly worker: number
  readonly workers: number
  /** In this order. */
  readonly parts: ReadonlyArray<"one" | "two" | "random">
  readonly pairs: "core" | "all"
  /** How many random histories in all parts together, and their first seed. */
  readonly random: number
  readonly seed: number
  /** Milliseconds after which no further history is begun. */
  readonly limit: number
  /** How many wrong histories are enough. */
  readonly enough: number
  readonly onlyShape?: number | undefined
}

export const playPlan = ({ faults, seed, shape, withLast }: Plan, tracing = false): History => {
  try {
    return play(shapes[shape]!, faults, { seed, withLast, tracing })
  } catch (error) {
    return {
      violations: [{ invariant: "I9", at: 0, step: -1, what: `the history broke off: ${String(error)}` }],
      reached: [],
      log: [],
      outcome: "broken"
    }
  }
}

/** The line that plays a history again. */
export const replay = ({ faults, seed, shape }: Plan): string =>
  seed === "0" ? `npm run simulate -- --shape ${shape} --faults ${show(faults)}` : `npm run simulate -- --seed ${seed}`

/** A prime: with it every one comes once. */
const stride = 7_919

export const run = (campaign: Campaign, progress: (tally: Tally) => void = () => {}): Tally => {
  const { enough, limit, onlyShape, parts, seed, worker, workers } = campaign
  const began = performance.now()
  const tally: Tally = { one: 0, two: 0, random: 0, boundaries: 0, wrong: [] }
  let told = began
  const only = (shape: number) => onlyShape === undefined || shape === onlyShape
  const mine = (n: number) => n % workers === worker
  /** Whether to go on. */
  const take = (kind: "one" | "two" | "random", plan: Plan): boolean => {
    const { reached, violations } = playPlan(plan)
    tally[kind]++
    tally.boundaries += reached.length
    const [violation] = violations
    if (violation !== undefined) {
      const invariants = [...new Set(violations.map(({ invariant }) => invariant))]
      tally.wrong.push({ plan, violation, invariants, after: tally.one + tally.two + tally.random })
    }
    const now = performance.now()
    if (now - told > 5_000) {
      told = now
      progress(tally)
    }
    return tally.wrong.length < enough && now - began < limit
  }
  const plans = {
    *one() {
      const all = [...oneFault(only)]
      // from all worlds and moments from the first on: a wrong program is found out soon
      for (const n of all.keys()) if (mine(n)) yield all[(n * stride) % all.length]!
    },
    two: () => twoFaults(mine, { kinds: campaign.pairs, only }),
    *random() {
      for (let n = worker; n < campaign.random; n += workers) {
        const plan = ofSeed(seed + n)
        if (only(plan.shape)) yield plan
      }
    }
  } satisfies Record<string, () => Iterable<Plan>>
  for (const part of parts) for (const plan of plans[part]()) if (!take(part, plan)) return tally
  return tally
}
