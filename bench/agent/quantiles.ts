/**
 * Many measurements of one thing, in milliseconds.
 */
export interface Quantiles {
  readonly n: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Milliseconds with two digits. */
export const round = (value: number): number => Math.round(value * 100) / 100

/** The smallest value that this part of all does not exceed. NaN of none. */
const quantile = (sorted: ReadonlyArray<number>, part: number): number =>
  sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN

export const quantiles = (values: ReadonlyArray<number>): Quantiles => {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    n: sorted.length,
    p50: round(quantile(sorted, 0.5)),
    p99: round(quantile(sorted, 0.99)),
    max: round(sorted.at(-1) ?? Number.NaN)
  }
}

/** The lowest and the highest median of the rounds. */
export const medians = (rounds: ReadonlyArray<ReadonlyArray<number>>) => {
  const all = rounds.map((values) => quantiles(values).p50).sort((a, b) => a - b)
  return { min: all[0] ?? Number.NaN, max: all.at(-1) ?? Number.NaN }
}

export const ratio = (one: number, other: number): number => Number((one / other).toPrecision(3))
