/**
 * Wrong programs: each breaks one promise by a small edit of the real source. The suite must catch every one of them.
 */

export interface Edit {
  readonly file: string
  /** Must occur exactly once. */
  readonly from: string
  readonly to: string
}

export interface Mutant {
  readonly name: string
  /** The promise that it breaks. */
  readonly breaks: string
  readonly edits: ReadonlyArray<Edit>
}

const hold = "programs/hold.ts"
const quiesce = "programs/quiesce.ts"
const follow = "programs/follow.ts"

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "marker after stop",
    breaks: "nothing is stopped before the marker is durable",
    edits: [
      { file: hold, from: "    yield* markers.write({\n", to: "    later = markers.write({\n" },
      {
        file: hold,
        from: "  const resumed = yield* Ref.make(false)\n",
        to:
          "  const resumed = yield* Ref.make(false)\n  let later: Effect.Effect<void, MarkerStoreError> = Effect.void\n"
      },
      {
        file: hold,
        from: "      const up = yield* notDown\n",
        to: "      yield* Effect.ignore(later)\n      const up = yield* notDown\n"
      }
    ]
  },
  {
    name: "clear before start",
    breaks: "the marker stays until everything is verified up",
    edits: [{
      file: hold,
      from: "    const failures = yield* Effect.forEach(held, resumeStack",
      to: "    yield* clear\n    const failures = yield* Effect.forEach(held, resumeStack"
    }]
  },
  {
    name: "resume only at done",
    breaks: "the app is down only until the snapshot exists",
    edits: [{ file: quiesce, from: "Effect.forkScoped(hold.resume)", to: "Effect.forkScoped(Effect.void)" }]
  },
  {
    name: "resume twice",
    breaks: "one resume, however many paths ask for it",
    edits: [
      { file: hold, from: "Ref.get(resumed))\n", to: "Effect.succeed(false))\n" },
      { file: "programs/bringUp.ts", from: "if (!(first && lift.provedDown)) {", to: "if (!first) {" }
    ]
  },
  {
    name: "ignore stop errors",
    breaks: "no backup of a running app is called application consistent",
    edits: [
      { file: hold, from: "      if (up.length === 0) return\n", to: "      if (up.length >= 0) return\n" },
      { file: quiesce, from: "if (point.phase !== \"failed\") yield* hold.verifyDown", to: "" }
    ]
  },
  {
    name: "recover starts everything",
    breaks: "nothing is started that the run did not stop",
    edits: [{
      file: "programs/recover.ts",
      from: "  if (decided === \"leave\" || (decided === \"watch\" && stopOver)) return []\n",
      to: "  if (seen.state === \"running\") return []\n"
    }]
  },
  {
    name: "recover trusts no marker that it cannot read",
    breaks: "a damaged marker does not leave an app down",
    edits: [{
      file: "programs/recover.ts",
      from: "state === \"running\" ? [] :",
      to: "state === \"running\" || state === \"stopped\" ? [] :"
    }]
  },
  {
    name: "no dead-man",
    breaks: "a killed run is resumed from outside",
    edits: [
      { file: quiesce, from: "yield* Effect.either(deadMan.arm)", to: "yield* Effect.either(Effect.void)" },
      { file: quiesce, from: "  const deadMan = yield* DeadMan\n", to: "" }
    ]
  },
  {
    name: "the dead-man is disarmed before the resume",
    breaks: "a killed run is resumed from outside",
    edits: [{
      file: quiesce,
      from: "yield* Effect.either(deadMan.arm)",
      to: "yield* Effect.either(Effect.scoped(deadMan.arm))"
    }]
  },
  {
    name: "claim without evidence",
    breaks: "'application' is said only on evidence",
    edits: [{
      file: "domain/Consistency.ts",
      from: "  if (reasons.size === 0) return",
      to: "  if (reasons.size >= 0) return"
    }]
  },
  {
    name: "no second look at the snapshot",
    breaks: "'application' is said only on evidence",
    edits: [{ file: quiesce, from: "if (point.phase !== \"failed\") yield* hold.verifyDown", to: "" }]
  },
  {
    name: "a snapshot that came too early is believed",
    breaks: "'application' is said only on evidence",
    edits: [{ file: quiesce, from: "if (early) yield*", to: "if (early && false) yield*" }]
  },
  {
    name: "a stop under way is not waited for",
    breaks: "a start during a stop that lands later does not leave the app down",
    edits: [
      { file: hold, from: "    if (fiber !== undefined) yield* Fiber.await(fiber)\n", to: "    void fiber\n" },
      { file: hold, from: "watchMs: pending ? unit.stopTimeoutMs : 0", to: "watchMs: 0" }
    ]
  },
  {
    name: "a stop that failed is believed to be over",
    breaks: "a stop that lands late does not leave the app down",
    edits: [{ file: hold, from: "watchMs: pending ? unit.stopTimeoutMs : 0", to: "watchMs: 0" }]
  },
  {
    name: "the resume can be interrupted",
    breaks: "a signal never skips the resume",
    edits: [{
      file: "internal/untorn.ts",
      from:
        "Effect.uninterruptible(Effect.flatMap(Effect.forkDaemon(Effect.interruptible(effect)), (fiber) => Fiber.join(fiber)))",
      to: "Effect.interruptible(Effect.flatMap(Effect.fork(effect), (fiber) => Fiber.join(fiber)))"
    }]
  },
  {
    name: "the limit is not looked at again after the answer",
    breaks: "a snapshot at the very limit is not called application consistent",
    edits: [{ file: follow, from: "  if (still <= 0) return yield* expired\n", to: "" }]
  },
  {
    name: "no limit",
    breaks: "the app is never held longer than its limit",
    edits: [
      { file: follow, from: "  if (still <= 0) return yield* expired\n", to: "" },
      { file: follow, from: "    if (left <= 0) return yield* expired\n", to: "" }
    ]
  },
  {
    name: "the backup is cancelled before the resume",
    breaks: "resume first, then cancel",
    edits: [{
      file: quiesce,
      from: "Effect.zipRight(giveUp(backup), hold.resume)",
      to: "Effect.zipRight(backup.cancel, hold.resume)"
    }]
  },
  {
    name: "phases may go backwards",
    breaks: "phases are monotone",
    edits: [{ file: "domain/Backup.ts", from: "rank[status.phase] < rank[view.phase] ||", to: "false ||" }]
  },
  {
    name: "an unknown word counts as the snapshot",
    breaks: "the app is not resumed before the snapshot",
    edits: [{
      file: "domain/Backup.ts",
      from: "phase: anomaly === undefined && isPhase(status.phase) ? status.phase : view.phase",
      to: "phase: isPhase(status.phase) ? status.phase : \"snapshotted\""
    }]
  },
  {
    name: "the answer for another run is taken",
    breaks: "the answer is for our run",
    edits: [{ file: follow, from: "(status) => status.runId === runId,", to: "() => true," }]
  },
  {
    name: "a stack that was down is started too",
    breaks: "nothing is started that the run did not stop",
    edits: [{
      file: "programs/plan.ts",
      from: "held: inState(\"running\")",
      to: "held: observations.map(({ unit }) => unit)"
    }]
  },
  {
    name: "a failed resume is not told",
    breaks: "an app that is down is told by exit code 4",
    edits: [{
      file: hold,
      from: "    yield* Ref.set(notUp, failures.flat())\n",
      to: "    yield* Ref.set(notUp, [])\n"
    }]
  },
  {
    name: "a failed unit keeps the others down",
    breaks: "a unit that will not start does not keep the others down",
    edits: [{
      file: hold,
      from: "Effect.forEach(held, resumeStack, { concurrency: \"unbounded\" })",
      to: "Effect.forEach(held, resumeStack)"
    }]
  }
]
