/**
 * Many measurements of one thing, in milliseconds.
 */
import { quantile } from "../statistics.ts"

export interface Quantiles {
  readonly n: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Milliseconds with two digits. */
export const round = (value: number): number => Math.round(value * 100) / 100

export const quantiles = (values: ReadonlyArray<number>): Quantiles => ({
  n: values.length,
  p50: round(quantile(values, 0.5)),
  p99: round(quantile(values, 0.99)),
  max: round(quantile(values, 1))
})

/** The lowest and the highest median of the rounds. */
export const medians = (rounds: ReadonlyArray<ReadonlyArray<number>>) => {
  const all = rounds.map((values) => quantiles(values).p50).sort((a, b) => a - b)
  return { min: all[0] ?? Number.NaN, max: all.at(-1) ?? Number.NaN }
}

export const ratio = (one: number, other: number): number => Number((one / other).toPrecision(3))
