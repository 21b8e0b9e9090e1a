/**
 * One kill -9 of a run, and everything that must be so afterwards.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import type { RunEvent } from "../../src/domain/Report.ts"
import type { Point } from "./hooks.ts"
import type { Live } from "./quiesce.ts"
import type { Project, Site } from "./site.ts"
import * as Traces from "./traces.ts"

/** How soon a killed run's app must be back. */
export const promised = 5_000

export interface Kill {
  /** Shell text that kills the run, and where. */
  readonly hooks?: Readonly<Partial<Record<Point, string>>>
  /** The event after which it is killed. */
  readonly after?: (event: RunEvent) => boolean
  /** Milliseconds after the start of the process. */
  readonly at?: number
  /** What else is done to the live run. */
  readonly act?: (live: Live) => Effect.Effect<void>
  readonly env?: Readonly<Record<string, string>>
  /** The run dies before its dead-man is armed: nothing was stopped. */
  readonly unarmed?: true
}

export interface Seen {
  /** The run was killed. One that had ended before cannot be. */
  readonly killed: boolean
  /** From the death of the run to the first row that the client could write, if it had to wait; else 0. */
  readonly downMillis: number
  /** From the death of the run to the end of the recovery. */
  readonly recoveryMillis: number
}

const kill9 = (pid: number) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // ESRCH: it has ended
  }
}

/** Starts a run and kills it; returns at its death. */
export const strike = Effect.fnUntraced(function*(project: Project, kill: Kill) {
  const { after, at, act, env, hooks } = kill
  project.hooks.disarm()
  for (const [point, text] of Object.entries(hooks ?? {})) project.hooks.arm(point as Point, text)
  return yield* Effect.scoped(Effect.gen(function*() {
    let done = false
    const live = yield* project.start(["run", "--json"], {
      env,
      onEvent: (event, pid) => {
        if (done || after?.(event) !== true) return
        done = true
        kill9(pid)
      }
    })
    if (at !== undefined) yield* Effect.sleep(at)
    if (at !== undefined) kill9(live.pid)
    if (act !== undefined) yield* act(live)
    return yield* live.ended
  }))
})

/** The longest time after the moment in which the client got no answer, from that moment on. */
const downSince = (site: Site, moment: number): number => {
  const gap = site.writer.longestGap(moment, performance.now())
  // a busy machine delays a client without anything being down
  return gap.millis < 150 ? 0 : Math.round(gap.to - moment)
}

/** The next run works, and nothing is left of any. */
export const next = Effect.fnUntraced(function*(site: Site, project: Project) {
  const { code, report, stderr } = yield* project.quiesce(["run", "--json"])
  assert.deepStrictEqual([code, report?.consistency.level, stderr], [0, "application", ""])
  assert.deepStrictEqual(Traces.everything(project), [])
  assert.isTrue(yield* site.server.isRunning)
  Fs.rmSync(project.backups, { recursive: true, force: true })
})

/** Kills a run, leaves all to the dead-man, and checks all that must be so before anything else runs. */
export const survive = Effect.fnUntraced(function*(site: Site, project: Project, kill: Kill) {
  const ended = yield* strike(project, kill)
  const killed = ended.signal === "SIGKILL"
  const busy = yield* Traces.quiet(project)
  const recoveryMillis = Math.round(performance.now() - ended.at)
  project.hooks.disarm()
  assert.deepStrictEqual(busy, [], "processes are left")
  assert.isTrue(yield* site.server.isRunning, "the app is down")
  yield* site.writer.next
  const downMillis = downSince(site, ended.at)
  assert.isBelow(downMillis, promised)
  assert.deepStrictEqual(Traces.markers(project), [])
  // a run that dies without a dead-man leaves its probes to the next one
  if (kill.unarmed !== true) assert.deepStrictEqual(Traces.leftovers(project), [])
  const seen: Seen = { killed, downMillis, recoveryMillis }
  return seen
})

/** All kills of a test file. */
export const tally = () => {
  const all: Array<Seen & { readonly name: string }> = []
  const percentile = (values: ReadonlyArray<number>, share: number) =>
    [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? 0
  return {
    add: (name: string, seen: Seen) => all.push({ name, ...seen }),
    summary: () => {
      const killed = all.filter(({ killed }) => killed)
      const down = killed.map(({ downMillis }) => downMillis).filter((millis) => millis > 0)
      const recovery = killed.map(({ recoveryMillis }) => recoveryMillis)
      return `${killed.length} kills, ${down.length} with the app down: ` +
        `up again after p50 ${percentile(down, 0.5)} ms, max ${percentile(down, 1)} ms; ` +
        `recovery over after p50 ${percentile(recovery, 0.5)} ms, max ${percentile(recovery, 1)} ms`
    },
    all
  }
}
