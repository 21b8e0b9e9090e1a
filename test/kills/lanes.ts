/**
 * Many kills, in several worlds side by side: a recovery that only waits leaves the machine to the others.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Quiesce from "../live/quiesce.ts"
import type * as Kills from "./kills.ts"
import * as World from "./world.ts"

/** Does each job in the next world that is free. */
export const each = Effect.fnUntraced(function*<A, B, E>(
  worlds: ReadonlyArray<World.World>,
  jobs: ReadonlyArray<A>,
  work: (world: World.World, job: A, index: number) => Effect.Effect<B, E, Scope.Scope>
) {
  const results: Array<B> = []
  let taken = 0
  const lane = (world: World.World) =>
    Effect.gen(function*() {
      for (let index = taken++; index < jobs.length; index = taken++) {
        const job = jobs[index]
        if (job !== undefined) results.push(yield* Effect.scoped(work(world, job, index)))
      }
    })
  yield* Effect.forEach(worlds, lane, { concurrency: "unbounded", discard: true })
  return results
})

/** Worlds of one kind, below a directory that is removed at the end of the scope. */
export const worlds = Effect.fnUntraced(function*(kind: World.Kind, count: number, bin: string = Quiesce.bin) {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "quiesce-crash-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )
  // a build beside a sweep must not change what is killed
  const copy = Path.join(root, "bin.js")
  Fs.copyFileSync(bin, copy)
  return yield* Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    (index) => World.make(kind, Path.join(root, String(index)), copy)
  )
})

/** Numbers from 0 to 1, always the same for a seed (a linear congruential generator, Numerical Recipes). */
export const random = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const percentile = (sorted: ReadonlyArray<number>, share: number) =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0

/** One line about many kills. */
export const summary = (what: string, seen: ReadonlyArray<Kills.Seen>): string => {
  const killed = seen.filter(({ killed }) => killed).length
  const down = seen.flatMap(({ downMillis }) => downMillis ?? []).sort((a, b) => a - b)
  const ms = (share: number) => `${Math.round(percentile(down, share))} ms`
  return `${what}: ${killed} kills, ${seen.length - killed} came too late; ${down.length} left the app down with the ` +
    `dead-man alive: up again after p50 ${ms(0.5)}, p99 ${ms(0.99)}, max ${ms(1)}`
}

/** What broke a promise, for an assertion that prints it. */
export const broken = (seen: ReadonlyArray<Kills.Seen>): ReadonlyArray<string> =>
  seen.flatMap(({ name, violations }) => violations.map((what) => `${name}: ${what}`))
