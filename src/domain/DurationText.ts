/**
 * Durations as people write them: `500ms`, `30s`, `5m`, `1h30m`, `1d`.
 */
import { Duration, Option } from "effect"

const units = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000], ["ms", 1]] as const

const shape = /^(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?$/

/**
 * The longest duration that is understood. A timer of Node takes at most 2^31-1 ms, which is a little more; a longer one
 * would never fire.
 */
export const longest: Duration.Duration = Duration.days(24)

/** Reads a duration: numbers with the units d, h, m, s, ms, largest first, each at most once, no spaces. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const match = shape.exec(text)
  if (match === null || text === "") return Option.none()
  const millis = units.reduce((sum, [, size], index) => sum + Number(match[index + 1] ?? 0) * size, 0)
  return Number.isFinite(millis) ? Option.some(Duration.millis(millis)) : Option.none()
}

/** Writes a duration so that `parse` reads it back, to the millisecond. */
export const format = (duration: Duration.Duration): string => {
  let rest = Math.round(Duration.toMillis(duration))
  if (rest === 0) return "0s"
  return units.map(([unit, size]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? "" : `${count}${unit}`
  }).join("")
}
