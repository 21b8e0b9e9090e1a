/**
 * Counts what somebody does, and says when it is too much: token buckets, one for each key.
 */
import { Clock, Effect, Ref } from "effect"

export interface Buckets {
  /** Takes one. 0: there was one; else the whole seconds until there is one again. */
  readonly take: (key: string) => Effect.Effect<number>
}

interface Bucket {
  readonly left: number
  readonly at: number
}

/** Each key has `perMinute` to begin with, and gets as many again each minute. Keys unused for long are forgotten. */
export const make = (
  { keys, perMinute }: { readonly perMinute: number; readonly keys: number }
): Effect.Effect<Buckets> =>
  Effect.map(Ref.make<ReadonlyMap<string, Bucket>>(new Map()), (all) => ({
    take: (key) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Ref.modify(all, (before) => {
          const rate = perMinute / 60_000
          const bucket = before.get(key) ?? { left: perMinute, at: now }
          const filled = Math.min(perMinute, bucket.left + Math.max(0, now - bucket.at) * rate)
          const left = filled >= 1 ? filled - 1 : filled
          const others = [...before].filter(([other]) => other !== key)
          const after = new Map([...others.slice(Math.max(0, others.length + 1 - keys)), [key, { left, at: now }]])
          return [filled >= 1 ? 0 : Math.max(1, Math.ceil((1 - filled) / rate / 1000)), after]
        }))
  }))
