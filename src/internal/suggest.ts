/**
 * "Did you mean": the known word that a mistyped one is nearest to.
 */

/** The Damerau-Levenshtein distance (optimal string alignment): inserts, deletes, replacements, swapped neighbours. */
export const distance = (left: string, right: string): number => {
  let before: ReadonlyArray<number> = []
  let previous: ReadonlyArray<number> = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1]
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]
      current.push(Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[column - 2] ?? 0) + 1 : Infinity
      ))
    }
    before = previous
    previous = current
  }
  return previous[right.length] ?? 0
}

const normalize = (word: string) => word.toLowerCase().replaceAll(/[-_]/g, "")

/** The nearest of the known words, if it is near enough that a typing error explains it. */
export const nearest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  // a word of any length would do for the quadratic distance, but nobody mistypes a word into a page
  if (word.length > 80) return undefined
  const wanted = normalize(word)
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(wanted, normalize(candidate)) }))
    .sort((a, b) => a.far - b.far)
  const best = ranked[0]
  if (best === undefined) return undefined
  const limit = Math.min(3, Math.max(1, Math.floor(Math.max(word.length, best.candidate.length) / 3)))
  return best.far <= limit ? best.candidate : undefined
}

/** `; did you mean 'stop'?`, or nothing. */
export const hint = (word: string, known: ReadonlyArray<string>): string => {
  const near = nearest(word, known)
  return near === undefined ? "" : `; did you mean '${near}'?`
}
