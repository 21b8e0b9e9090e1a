/**
 * A transfer that only says what it does: for tests of agents.
 */
import { Duration, Effect, Layer } from "effect"
import { Transfer, TransferFailed, TransferRefused } from "../services/Transfer.ts"
import { Journal } from "./Journal.ts"

/** How long the transfer takes (default: no time), and where it fails. */
export interface TransferMemoryOptions {
  readonly takes?: Duration.DurationInput | undefined
  readonly fails?: "preflight" | "run" | undefined
}

/** Writes `transfer PATH` and `transfer done` into the journal. */
export const layer = (options: TransferMemoryOptions = {}): Layer.Layer<Transfer, never, Journal> =>
  Layer.effect(
    Transfer,
    Effect.map(Journal, (journal) => ({
      preflight: options.fails === "preflight" ? new TransferRefused({ reason: "told to fail" }) : Effect.void,
      run: Effect.fnUntraced(function*({ onProgress, path }) {
        yield* journal.record(`transfer ${path}`)
        yield* Effect.sleep(options.takes ?? Duration.zero)
        yield* onProgress({ bytes: 1, totalBytes: 1 })
        if (options.fails === "run") return yield* new TransferFailed({ reason: "told to fail" })
        yield* journal.record("transfer done")
        return { location: "/artifact" }
      }),
      sweep: Effect.as(journal.record("transfer sweep"), [])
    }))
  )
