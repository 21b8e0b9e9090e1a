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
const stopping = "programs/stopping.ts"
const bringUp = "programs/bringUp.ts"
const evidence = "programs/evidence.ts"
const prepare = "programs/prepare.ts"
const quiesce = "programs/quiesce.ts"
const follow = "programs/follow.ts"
const watch = "programs/watch.ts"
const watchAttempt = "programs/watchAttempt.ts"

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "marker after stop",
    breaks: "nothing is stopped before the marker is durable",
    edits: [
      { file: hold, from: "    yield* untorn(markers.write(", to: "    later = untorn(markers.write(" },
      {
        file: hold,
        from: "  const resumed = yield* Ref.make(false)\n",
        to:
          "  const resumed = yield* Ref.make(false)\n  let later: Effect.Effect<void, MarkerStoreError> = Effect.void\n"
      },
      {
        file: hold,
        from: "return { stop: stopping.stop,",
        to: "return { stop: Effect.tap(stopping.stop, () => Effect.ignore(later)),"
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
      { file: bringUp, from: "if (!(first && lift.provedDown)) {", to: "if (!first) {" }
    ]
  },
  {
    name: "ignore stop errors",
    breaks: "no backup of a running app is called application consistent",
    edits: [
      { file: stopping, from: "        if (up.length === 0) return\n", to: "        if (up.length >= 0) return\n" },
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
      {
        file: stopping,
        from: "return fiber === undefined ? Effect.void : Fiber.await(fiber)",
        to: "return Effect.as(Effect.void, fiber)"
      },
      { file: hold, from: "watchMs: pending && !entry.settled ? unit.stopTimeoutMs : 0", to: "watchMs: 0" }
    ]
  },
  {
    name: "a stop that failed is believed to be over",
    breaks: "a stop that lands late does not leave the app down",
    edits: [{ file: hold, from: "watchMs: pending && !entry.settled ? unit.stopTimeoutMs : 0", to: "watchMs: 0" }]
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
      from: "held: among(inState(\"running\"), units.units)",
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
  },
  {
    name: "a failed stop is believed to be settled",
    breaks: "a stop that lands late does not leave the app down",
    edits: [{ file: stopping, from: "settled: isSettled(exit.cause)", to: "settled: true" }]
  },
  {
    name: "a stop that cannot land is watched for",
    breaks: "a run does not wait for what cannot be",
    edits: [{ file: stopping, from: "settled: isSettled(exit.cause)", to: "settled: false" }]
  },
  {
    name: "what a stop has seen counts whatever it is",
    breaks: "no backup of a running app is called application consistent",
    edits: [{ file: stopping, from: "sent.seen?.state === \"stopped\"", to: "sent.seen !== undefined" }]
  },
  {
    name: "a start that is over is waited for",
    breaks: "the app is down no longer than its starts need",
    edits: [{
      file: bringUp,
      from: "state === \"running\" || ended === true,",
      to: "state === \"running\" || (ended && false),"
    }]
  },
  {
    name: "starts in no order",
    breaks: "dependencies are started first",
    edits: [{ file: bringUp, from: "dependencies(lifts.map(({ unit }) => unit))", to: "dependencies([])" }]
  },
  {
    name: "starts in no order after the first round",
    breaks: "dependencies are started first",
    edits: [{
      file: bringUp,
      from: "dependencies(lifts.map(({ unit }) => unit))",
      to: "dependencies(first ? lifts.map(({ unit }) => unit) : [])"
    }]
  },
  {
    name: "only the start of a dependency is waited for",
    breaks: "a unit is started once its dependencies are up",
    edits: [{ file: bringUp, from: "gates.get(unit)?.[until]", to: "gates.get(unit)?.[\"started\"]" }]
  },
  {
    name: "every dependency is waited for until it is up",
    breaks: "the app is down no longer than its dependencies say",
    edits: [{ file: bringUp, from: "gates.get(unit)?.[until]", to: "gates.get(unit)?.[\"up\"]" }]
  },
  {
    name: "a dependency that fails keeps its dependents down",
    breaks: "a unit that will not start does not keep the others down",
    edits: [{
      file: bringUp,
      from: "Effect.ensuring(Effect.zipRight(Deferred.succeed(started, undefined), Deferred.succeed(up, undefined))),",
      to:
        "Effect.tap((error) => error === undefined ? Effect.zipRight(Deferred.succeed(started, undefined), Deferred.succeed(up, undefined)) : Effect.void),"
    }]
  },
  {
    name: "stops in no order",
    breaks: "dependents are stopped first",
    edits: [{ file: stopping, from: "dependencies(held)", to: "dependencies([])" }]
  },
  {
    name: "a dependent that is not down does not count",
    breaks: "nothing is taken from under a unit that may be up",
    edits: [{ file: stopping, from: "(free) => free ?", to: "(free) => free || true ?" }]
  },
  {
    name: "stops go on although the resume has begun",
    breaks: "the resume begins as soon as the stops that were sent have ended",
    edits: [{ file: stopping, from: "    if (yield* Ref.get(closing)) return undefined\n", to: "" }]
  },
  {
    name: "who waits for a turn to stop is not told of the resume",
    breaks: "a stack comes up as soon as its own stops have ended",
    edits: [{
      file: stopping,
      from: "Effect.zipRight(Ref.set(closing, true), permits.resize(Infinity))",
      to: "Ref.set(closing, true)"
    }]
  },
  {
    name: "any number of stops at a time",
    breaks: "eight actions at a time",
    edits: [{ file: stopping, from: "Effect.makeSemaphore(actionsAtOnce)", to: "Effect.makeSemaphore(1_000)" }]
  },
  {
    name: "any number of starts at a time",
    breaks: "eight actions at a time",
    edits: [{ file: hold, from: "Effect.makeSemaphore(actionsAtOnce)", to: "Effect.makeSemaphore(1_000)" }]
  },
  {
    name: "any number of starts at a time in recover",
    breaks: "eight actions at a time",
    edits: [{
      file: "programs/recover.ts",
      from: "Effect.makeSemaphore(actionsAtOnce)",
      to: "Effect.makeSemaphore(1_000)"
    }]
  },
  {
    name: "one action at a time",
    breaks: "independent branches are stopped and started side by side",
    edits: [{ file: bringUp, from: "actionsAtOnce = 8", to: "actionsAtOnce = 1" }]
  },
  {
    name: "who waits for a health keeps others from their start",
    breaks: "a permit is held only while a start is under way",
    edits: [
      { file: bringUp, from: "    Effect.exit,\n    permits.withPermits(1)\n", to: "    Effect.exit\n" },
      {
        file: bringUp,
        from: "attempt(permits, stack, lift, first, Deferred.succeed(started, undefined))",
        to: "permits.withPermits(1)(attempt(permits, stack, lift, first, Deferred.succeed(started, undefined)))"
      }
    ]
  },
  {
    name: "a circle is waited for",
    breaks: "a damaged marker hangs nobody",
    edits: [{
      file: "domain/Order.ts",
      from: "        cycle ??= [",
      to: "        after.push(dependency)\n        cycle ??= ["
    }]
  },
  {
    name: "the order ends at a unit that is down",
    breaks: "a unit is stopped before what it needs through a job that has run",
    edits: [{
      file: "programs/plan.ts",
      from: "held: among(inState(\"running\"), units.units)",
      to: "held: inState(\"running\")"
    }]
  },
  {
    name: "recover looks at one unit after the other",
    breaks: "a recovery takes no longer than its slowest unit",
    edits: [{
      file: "programs/recover.ts",
      from: "liftOf(stored, stack, unit), {\n        concurrency: \"unbounded\"\n      }),",
      to: "liftOf(stored, stack, unit)),"
    }]
  },
  {
    name: "interference does not count",
    breaks: "'application' is said only on evidence",
    edits: [{ file: evidence, from: "    yield* recorder.against(reason)\n", to: "    void reason\n" }]
  },
  {
    name: "interference is not asked for with the app up",
    breaks: "'application' is said only on evidence",
    edits: [{
      file: evidence,
      from: "    yield* tellOutside(recorder, stack)\n    yield* interference(recorder, stack)\n",
      to: "    yield* tellOutside(recorder, stack)\n"
    }]
  },
  {
    name: "interference is not asked for at the snapshot",
    breaks: "'application' is said only on evidence",
    edits: [{ file: evidence, from: "[...held, ...idle, ...others]", to: "[...held, ...idle]" }]
  },
  {
    name: "a control that cannot tell what interferes is believed",
    breaks: "'application' is said only on evidence",
    edits: [{ file: evidence, from: "    yield* recorder.against(\"shared-data\")\n", to: "" }]
  },
  {
    name: "a control that does not tell what interferes is waited for",
    breaks: "the app is not down for a question that nobody answers",
    edits: [{ file: evidence, from: "    Effect.timeout(lookTimeout),\n", to: "" }]
  },
  {
    name: "the same interference is told again and again",
    breaks: "a warning is worth reading",
    edits: [{ file: evidence, from: "recorder.warnOnce(detail)", to: "recorder.warn(detail)" }]
  },
  {
    name: "a unit that stands still counts as shut down",
    breaks: "'application' is said only on evidence",
    edits: [{
      file: evidence,
      from: "  if (wasShutDown && seen.frozen !== true) return\n",
      to: "  if (before) return\n"
    }]
  },
  {
    name: "what the stop left frozen is forgotten at the snapshot",
    breaks: "'application' is said only on evidence",
    edits: [{ file: evidence, from: "down, down?.frozen !== true", to: "down, true" }]
  },
  {
    name: "what is frozen at the snapshot is not seen",
    breaks: "'application' is said only on evidence",
    edits: [{ file: evidence, from: "wasShutDown && seen.frozen !== true", to: "wasShutDown" }]
  },
  {
    name: "one prepare",
    breaks: "the stop has little to write",
    edits: [{
      file: prepare,
      from: "    yield* Effect.forEach(worth, again,",
      to: "    yield* Effect.forEach([], again,"
    }]
  },
  {
    name: "the second prepare is told too",
    breaks: "an event is worth reading",
    edits: [{
      file: prepare,
      from: "const again = (stack: StackName) => Effect.catchAll(control.prepare(stack), warnOf)",
      to: "const again = (stack: StackName) => first(stack)"
    }]
  },
  {
    name: "a prepare that failed is repeated",
    breaks: "a prepare is no burden for the app",
    edits: [{ file: prepare, from: "return done && Duration", to: "return (done || true) && Duration" }]
  },
  {
    name: "a long prepare is repeated",
    breaks: "a prepare is no burden for the app",
    edits: [{ file: prepare, from: "Duration.lessThanOrEqualTo(took, repeatable)", to: "(took !== undefined)" }]
  },
  {
    name: "the agent prepares after the stacks",
    breaks: "what was written during the sync is written before the stop",
    edits: [
      { file: prepare, from: "    yield* Effect.catchAll(backup.prepare, warnOf)\n", to: "" },
      {
        file: prepare,
        from: "concurrency: \"unbounded\", discard: true })\n",
        to: "concurrency: \"unbounded\", discard: true })\n    yield* Effect.catchAll(backup.prepare, warnOf)\n"
      }
    ]
  },
  {
    name: "a daemon that runs although something is down",
    breaks: "nothing is stopped while something is left down",
    edits: [{
      file: watch,
      from: "report !== undefined && report.outcome !== \"resume-failed\")",
      to: "true)"
    }]
  },
  {
    name: "a due run is settled when it begins",
    breaks: "a run that the end of the daemon has cut off is done at its next start",
    edits: [{
      file: watch,
      from: "    yield* memory.update(() => begun)",
      to: "    yield* memory.update((state) => Watch.settled(state, now))"
    }]
  },
  {
    name: "a request gets an id of its own",
    breaks: "the host's backup and the run are one",
    edits: [{
      file: watchAttempt,
      from: "const runId = asked ?? (yield* RunId.make)",
      to: "const runId = yield* RunId.make"
    }]
  },
  {
    name: "an agent that falls silent in every hold",
    breaks: "the app is not taken down again and again for an agent that does not answer",
    edits: [{ file: watchAttempt, from: "|| holds >= holdsAtMost", to: "" }]
  },
  {
    name: "a daemon that waits for an agent that hangs",
    breaks: "the daemon ends at once when the app is up",
    edits: [{ file: watch, from: ", cancelWait: \"500 millis\"", to: "" }]
  },
  {
    name: "the hour that the clock shows again",
    breaks: "a time that the clock shows twice is due once",
    edits: [{
      file: "domain/Timetable.ts",
      from: "if (first > after) return first",
      to: "if (first !== 0) return first"
    }]
  }
]
