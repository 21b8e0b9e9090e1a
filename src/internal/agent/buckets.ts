/**
 * Counts what somebody does, and says when it is too much: token buckets, one for each key.
 */
import { Effect } from "effect"
import { millis } from "../monotonic.ts"

export interface Buckets {
  /** Takes one. 0: there was one; else the whole seconds until there is one again. */
  readonly take: (key: string) => Effect.Effect<number>
}

/**
 * Each key has `perMinute` to begin with, and gets as many again each minute. Of more than `keys` the one that is unused
 * for longest is forgotten.
 */
export const make = (
  { keys, perMinute }: { readonly perMinute: number; readonly keys: number }
): Effect.Effect<Buckets> =>
  Effect.sync(() => {
    // in place: a copy of a thousand keys for each request would be its whole price
    const buckets = new Map<string, { readonly left: number; readonly at: number }>()
    const rate = perMinute / 60_000
    return {
      take: (key) =>
        Effect.map(millis, (now) => {
          const { at, left } = buckets.get(key) ?? { left: perMinute, at: now }
          const filled = Math.min(perMinute, left + Math.max(0, now - at) * rate)
          const wait = filled >= 1 ? 0 : Math.max(1, Math.ceil((1 - filled) / rate / 1000))
          buckets.delete(key)
          buckets.set(key, { left: wait === 0 ? filled - 1 : filled, at: now })
          const [oldest] = buckets.keys()
          if (buckets.size > keys && oldest !== undefined) buckets.delete(oldest)
          return wait
        })
    }
  })
