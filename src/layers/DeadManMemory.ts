/**
 * A dead-man that only says when it is armed: for tests. It resumes nothing.
 */
import { Effect, Layer } from "effect"
import { DeadMan, DeadManUnavailable } from "../services/DeadMan.ts"
import { Journal } from "./Journal.ts"

/** Writes `dead-man arm` and `dead-man disarm` into the journal; with `fails` it cannot be armed. */
export const layer = (
  options: { readonly fails?: boolean | undefined } = {}
): Layer.Layer<DeadMan, never, Journal> =>
  Layer.effect(
    DeadMan,
    Effect.map(Journal, (journal) => ({
      arm: options.fails === true
        ? new DeadManUnavailable({ reason: "told to fail" })
        : Effect.acquireRelease(journal.record("dead-man arm"), () => journal.record("dead-man disarm"))
    }))
  )
