/**
 * WrongProgram programs that the simulated world must find out: those of test/mutants, and these, by the invariant that they break.
 */
import { type Mutant, mutants as others } from "../mutants/mutants.ts"

export interface WrongProgram extends Mutant {
  /** The world in which it shows; default: any. */
  readonly world?: number
}

const own: ReadonlyArray<WrongProgram> = [
  {
    name: "recover starts nothing that is down",
    breaks: "I1",
    edits: [{
      file: "programs/recover.ts",
      from: "  if (decided === \"leave\" ||",
      to: "  if (decided === \"leave\" || decided === \"start\" ||"
    }]
  },
  {
    name: "a stop that was sent before the death is believed to be over",
    breaks: "I6",
    edits: [{
      file: "domain/Marker.ts",
      from: "return note === \"stopping\" ? \"watch\" : \"leave\"",
      to: "return \"leave\""
    }]
  },
  {
    name: "every stop is sent twice",
    breaks: "I3",
    edits: [{
      file: "programs/stopping.ts",
      from: "    const exit = yield* control.stop(stack, unit).pipe(",
      to: "    yield* Effect.ignore(control.stop(stack, unit))\n    const exit = yield* control.stop(stack, unit).pipe("
    }]
  },
  {
    name: "an agent takes a second backup beside the first",
    world: 8,
    breaks: "I5",
    edits: [
      { file: "internal/agent/jobs.ts", from: "    yield* idle\n    const job", to: "    const job" },
      {
        file: "internal/agent/jobs.ts",
        from: "      const slot = slots === undefined\n",
        to: "      const slot = slots !== null\n"
      }
    ]
  },
  {
    name: "the limit of the hold is never over",
    breaks: "I8",
    edits: [{
      file: "programs/hold.ts",
      from: "return Math.min(Infinity, ...left)",
      to: "return Math.max(Infinity, ...left)"
    }]
  },
  {
    name: "a marker that cannot be written is waited for without end",
    breaks: "I9",
    edits: [{
      file: "programs/hold.ts",
      from: "untorn(markers.write({ runId, createdAt, stacks }))",
      to: "markers.write({ runId, createdAt, stacks })"
    }]
  },
  {
    name: "a stack that does not answer is waited for without end",
    breaks: "I9",
    edits: [{
      file: "programs/look.ts",
      from: "  return yield* bounded(inspectTimeout, silent)(control.inspect(stack))",
      to: "  yield* Effect.sync(silent)\n  return yield* control.inspect(stack)"
    }]
  },
  {
    name: "an agent goes on with the backups of all guests for each",
    world: 3,
    breaks: "I10",
    edits: [{
      file: "internal/agent/jobs.ts",
      from: "recorded.filter((one) => one.guest === guest)",
      to: "recorded"
    }]
  },
  {
    name: "a restarted agent leaves alone what it had begun",
    breaks: "I11",
    edits: [{
      file: "internal/agent/jobs.ts",
      from: "    if (yield* Job.isOver(job)) continue\n",
      to: "    if (!(yield* Job.isOver(job))) continue\n"
    }]
  },
  {
    name: "what a backup held is not given back",
    breaks: "I11",
    edits: [{
      file: "internal/agent/jobs.ts",
      from: "yield* Effect.exit(Scope.close(scope, exit))",
      to: "yield* Effect.exit(Effect.void)"
    }]
  },
  {
    name: "a phase that goes back is followed",
    world: 0,
    breaks: "I12",
    edits: [{ file: "domain/Backup.ts", from: "rank[status.phase] < rank[view.phase]", to: "rank[status.phase] < -1" }]
  },
  {
    name: "a warning tells what only the control of a stack may read",
    breaks: "I13",
    edits: [{
      file: "programs/stopping.ts",
      from: "Effect.tapError((error) => recorder.warn(error.message))",
      to: "Effect.tapError((error) => recorder.warn(`${error.message} ${JSON.stringify(unit.identity)}`))"
    }]
  },
  {
    name: "a backup that has failed is one that is done",
    breaks: "I2",
    edits: [{ file: "programs/quiesce.ts", from: "  if (last.phase === \"failed\") {", to: "  if (Date.now() < 0) {" }]
  },
  {
    name: "an agent tells 'done' of a transfer that has failed",
    breaks: "I2",
    edits: [{
      file: "internal/agent/jobs.ts",
      from: "onFailure: (cause) => ({ phase: \"failed\", error",
      to: "onFailure: (cause) => ({ phase: \"done\", error"
    }]
  },
  {
    name: "a run leaves its marker",
    breaks: "I7",
    edits: [{
      file: "programs/hold.ts",
      from: "const clear = whileDown.clear(runId).pipe(",
      to: "const clear = Effect.void.pipe("
    }]
  },
  {
    name: "recover leaves the markers",
    breaks: "I7",
    edits: [{
      file: "programs/recover.ts",
      from: "Effect.either(markers.clear(stored.name))",
      to: "Effect.either(Effect.void)"
    }]
  },
  {
    name: "a slot is not given back",
    breaks: "I9",
    edits: [{
      file: "internal/agent/jobs.ts",
      from: "Effect.addFinalizer(() => slots.release(1))",
      to: "Effect.addFinalizer(() => Effect.void)"
    }]
  },
  {
    name: "an agent is not told that everything is down",
    breaks: "I9",
    edits: [{
      file: "programs/quiesce.ts",
      from: "    yield* backup.tellQuiesced.pipe(within(limit, plan, ready.mode))\n",
      to: ""
    }]
  }
]

/** Those of the scenarios that these worlds see too; the others need what they do not have, such as health checks. */
const shared: ReadonlySet<string> = new Set([
  "marker after stop",
  "clear before start",
  "resume only at done",
  "resume twice",
  "ignore stop errors",
  "claim without evidence",
  "no second look at the snapshot",
  "the resume can be interrupted",
  "a stack that was down is started too",
  "a control that does not tell what interferes is waited for"
])

export const mutants: ReadonlyArray<WrongProgram> = [...own, ...others.filter(({ name }) => shared.has(name))]
