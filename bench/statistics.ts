/** The middle value; of an even number of values, the mean of the middle two. NaN of none. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper
}

/** Repeated measurements of one thing, in milliseconds. */
export interface Series {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly all: ReadonlyArray<number>
}

export const series = (values: ReadonlyArray<number>): Series => {
  const all = values.map((value) => Math.round(value))
  return { median: Math.round(median(values)), min: Math.min(...all), max: Math.max(...all), all }
}

/** The list begun at another place, so that none is always the first of its round. */
export const rotated = <A>(list: ReadonlyArray<A>, by: number): ReadonlyArray<A> => {
  const start = by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

/** The value below which this part of the values lies (nearest rank). NaN of none. */
export const quantile = (values: ReadonlyArray<number>, part: number): number =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * part) - 1)] ?? Number.NaN
