/**
 * The best snapshotter that a probe proves: btrfs, reflink, copy, or none.
 */
import { Effect, Layer, Option, Ref } from "effect"
import type { Options } from "../internal/snapshotting.ts"
import { type SnapshotCapability, SnapshotFailed, Snapshotter, SnapshotUnsupported } from "../services/Snapshotter.ts"
import * as SnapshotterBtrfs from "./SnapshotterBtrfs.ts"
import * as SnapshotterCopy from "./SnapshotterCopy.ts"
import * as SnapshotterNone from "./SnapshotterNone.ts"
import * as SnapshotterReflink from "./SnapshotterReflink.ts"

/** `source`: the directory to back up. `stateDir`: the mark of this installation's processes. */
export type SnapshotterAutoOptions = Options

/** The best first. */
const candidates = (options: SnapshotterAutoOptions) => [
  { name: "btrfs", snapshotter: SnapshotterBtrfs.make(options) },
  { name: "reflink", snapshotter: SnapshotterReflink.make(options) },
  { name: "copy", snapshotter: SnapshotterCopy.make(options) },
  { name: "none", snapshotter: SnapshotterNone.make(options) }
]

interface Choice {
  readonly name: string
  readonly snapshotter: Snapshotter["Type"]
  readonly capability: SnapshotCapability
}

const choose = Effect.fnUntraced(function*(options: SnapshotterAutoOptions) {
  const reasons: Array<string> = []
  for (const { name, snapshotter } of candidates(options)) {
    const probed = yield* Effect.either(snapshotter.probe)
    if (probed._tag === "Right") {
      return { name, snapshotter, capability: { ...probed.right, notes: reasons } }
    }
    reasons.push(probed.left.message)
  }
  return yield* new SnapshotUnsupported({ snapshotter: "auto", reason: reasons.at(-1) ?? "no snapshotter" })
})

const make = (options: SnapshotterAutoOptions): Effect.Effect<Snapshotter["Type"]> =>
  Effect.gen(function*() {
    const gate = yield* Effect.makeSemaphore(1)
    const chosen = yield* Ref.make(Option.none<Choice>())

    const choice: Effect.Effect<Choice, SnapshotUnsupported> = gate.withPermits(1)(Effect.gen(function*() {
      const before = yield* Ref.get(chosen)
      if (Option.isSome(before)) return before.value
      const choice = yield* choose(options)
      yield* Ref.set(chosen, Option.some(choice))
      return choice
    }))

    const choiceFor = (operation: SnapshotFailed["operation"]) =>
      Effect.mapError(choice, ({ reason, snapshotter }) => new SnapshotFailed({ snapshotter, operation, reason }))

    /** All places are swept: the run that died may have chosen otherwise. Only the chosen one must not be in use. */
    const sweep = Effect.gen(function*() {
      const before = yield* Ref.get(chosen)
      const removed: Array<string> = []
      for (const { name, snapshotter } of candidates(options)) {
        const swept = yield* Effect.either(snapshotter.sweep)
        if (swept._tag === "Right") removed.push(...swept.right)
        else if (Option.isNone(before) || before.value.name === name) return yield* swept.left
        else yield* Effect.logDebug(swept.left.message)
      }
      return removed
    })

    return {
      probe: Effect.map(choice, ({ capability }) => capability),
      prepare: Effect.flatMap(choiceFor("prepare"), ({ snapshotter }) => snapshotter.prepare),
      reserve: Effect.flatMap(choiceFor("reserve"), ({ snapshotter }) => snapshotter.reserve),
      sweep
    }
  })

/**
 * Uses the best snapshotter that a probe proves. The choice is made once, at the first probe (or at `reserve`, where there
 * was none); the notes of its capability say why it is not a better one.
 */
export const layer = (options: SnapshotterAutoOptions): Layer.Layer<Snapshotter> =>
  Layer.effect(Snapshotter, make(options))
