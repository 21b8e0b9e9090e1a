/**
 * What the daemon remembers and tells, for its parts. Neither a full disk nor a listener that breaks stops it.
 */
import { Clock, DateTime, Effect, Option, Random, Ref } from "effect"
import * as Watch from "../domain/Watch.ts"
import type { WatchEvent } from "../domain/WatchEvent.ts"
import { WatchStore, WatchStoreError } from "../services/WatchStore.ts"

type Body<E> = E extends WatchEvent ? Omit<E, "type" | "at"> : never

/** Tells an event, with its time. */
export type Tell = (event: Body<WatchEvent>) => Effect.Effect<void>

/** A time in words. */
export const iso = (millis: number): string => DateTime.formatIso(DateTime.unsafeMake(millis))

/** Tells a listener that may break. */
export const teller = (listener: (event: WatchEvent) => Effect.Effect<void>): Tell => (event) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.catchAllCause(
      listener({ type: "watch", at: iso(now), ...event } as WatchEvent),
      (cause) => Effect.logWarning("the listener of watch broke", cause)
    ))

/** The state, here and in the store. */
export interface Memory {
  readonly state: Effect.Effect<Watch.WatchState>
  readonly update: (change: (state: Watch.WatchState) => Watch.WatchState) => Effect.Effect<void>
  /** Chooses the next run, if that is not done yet. */
  readonly plan: (now: number) => Effect.Effect<Watch.WatchState["next"]>
}

/** The memory as the store has it. One that cannot be read begins anew. */
export const make = Effect.fnUntraced(function*(policy: Watch.WatchPolicy, tell: Tell) {
  const store = yield* WatchStore
  const found = yield* store.read.pipe(
    Effect.catchAll((error) =>
      Effect.as(
        tell({ event: "warning", message: `${error.message}; a run that was missed is not known` }),
        Option.none<Watch.WatchState>()
      )
    )
  )
  const ref = yield* Ref.make(Option.getOrElse(found, () => Watch.initialState(policy)))
  const failing = yield* Ref.make(false)

  const keep = (state: Watch.WatchState) =>
    store.write(state).pipe(
      // a state directory that stands still must not keep the daemon from its work
      Effect.disconnect,
      Effect.timeoutFail({
        duration: "5 seconds",
        onTimeout: () => new WatchStoreError({ operation: "keep", reason: "the state directory does not answer" })
      }),
      Effect.zipRight(Ref.set(failing, false)),
      Effect.catchAll((error) =>
        Effect.unlessEffect(tell({ event: "warning", message: error.message }), Ref.getAndSet(failing, true))
      )
    )

  const update: Memory["update"] = Effect.fnUntraced(function*(change) {
    const [before, after] = yield* Ref.modify(ref, (before) => {
      const after = change(before)
      return [[before, after] as const, after]
    })
    if (after !== before) yield* keep(after)
  })

  const plan: Memory["plan"] = Effect.fnUntraced(function*(now) {
    const random = yield* Random.next
    yield* update((state) => Watch.planned(policy, state, now, random))
    return (yield* Ref.get(ref)).next
  })

  const memory: Memory = { state: Ref.get(ref), update, plan }
  return memory
})
