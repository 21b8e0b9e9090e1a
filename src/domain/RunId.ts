/**
 * The id of a run: a UUID version 7 (RFC 9562), the idempotency key everywhere.
 */
import { Clock, Effect, Random, Schema } from "effect"

/** The id of a run. Ids sort by the time at which they were made. */
export const RunId = Schema.String.pipe(
  Schema.pattern(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, {
    message: () => "expected a run id (a lower-case UUID version 7)"
  }),
  Schema.brand("RunId")
)
export type RunId = typeof RunId.Type

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0")

/** A new id: 48 bits of time in milliseconds, then random bits. */
export const make: Effect.Effect<RunId> = Effect.gen(function*() {
  const now = hex(yield* Clock.currentTimeMillis, 12)
  const random = (bits: number) => Random.nextIntBetween(0, 2 ** bits)
  const a = hex(0x7000 | (yield* random(12)), 4)
  const b = hex(0x8000 | (yield* random(14)), 4)
  const c = hex(yield* random(24), 6) + hex(yield* random(24), 6)
  return RunId.make(`${now.slice(0, 8)}-${now.slice(8)}-${a}-${b}-${c}`)
})
