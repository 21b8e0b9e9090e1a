/**
 * Power loss at every system call on the files that must survive it, on real file systems: each point on one of the
 * disks, and with QUIESCE_CRASH=all on each of them.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { workDirectory } from "../lab/loopfs.ts"
import { live, unmet } from "../support/live.ts"
import * as Disk from "./disk.ts"
import { files, type What } from "./fixtures/written.ts"
import { judge } from "./judge.ts"
import { type Mutant, mutants, sourceOf } from "./mutants.ts"
import * as Sweep from "./sweep.ts"

const needs = ["powerLoss"] as const
const every = process.env["QUIESCE_CRASH"] === "all" ? 1 : Disk.kinds.length
const whats = Object.keys(files) as ReadonlyArray<What>

/** The points at which a program can die, as one whole life of it shows; the last one is after its end. */
const pointsOf = (program: Sweep.Program, what: What) =>
  Effect.gen(function*() {
    const { calls, said } = yield* Sweep.write(program, what, Path.join(yield* workDirectory, "life", "state"))
    assert.strictEqual(said.at(-1), "end", said.join("\n"))
    return [...calls, undefined]
  }).pipe(Effect.scoped)

const scope = Effect.runSync(Scope.make())
let right: { readonly program: Sweep.Program; readonly lives: ReadonlyArray<Life> } | undefined
type Life = readonly [What, Effect.Effect.Success<ReturnType<typeof pointsOf>>]

beforeAll(async () => {
  if (unmet(needs).length > 0) return
  const make = Effect.gen(function*() {
    const program = yield* Sweep.bundle()
    return {
      program,
      lives: yield* Effect.forEach(whats, (what) => Effect.map(pointsOf(program, what), (all): Life => [what, all]))
    }
  })
  right = await Effect.runPromise(Scope.extend(make, scope))
}, 60_000)

let states = 0
afterAll(async () => {
  console.log(`${states} crash states`)
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

describe.concurrent("the power goes", () => {
  for (const [offset, kind] of Disk.kinds.entries()) {
    live(`on ${kind}: nothing that was promised is lost`, needs, () =>
      Effect.gen(function*() {
        if (right === undefined) return assert.fail()
        const disk = yield* Disk.make(kind)
        for (const [what, points] of right.lives) {
          for (const [index, point] of points.entries()) {
            if (point !== undefined && (index + offset) % every !== 0) continue
            const { said, wrong } = yield* Sweep.strike(right.program, disk, what, point, judge(what))
            const where = point === undefined ? "after the end" : `before ${point.line}`
            assert.deepStrictEqual(wrong, [], `${what}, ${where}, with said: ${said.join(", ")}`)
            assert.strictEqual(point === undefined, said.includes("end"), `${what}, ${where}: it did not die`)
            states += 1
          }
        }
      }), 600_000)
  }
})

describe("the sweep", () => {
  live("has seen enough crash states", needs, () => Effect.sync(() => assert.isAtLeast(states, 70)))
})

/** The first broken promise that is seen, from one moment of its life on to both of its ends. */
const firstCatch = (mutant: Mutant) =>
  Effect.gen(function*() {
    const program = { ...yield* Sweep.bundle(sourceOf(mutant)), env: mutant.env ?? {} }
    const points = yield* pointsOf(program, mutant.what)
    const first = mutant.from === "end" ? points.length : points.length / 2
    const order = points.map((point, index) => ({ point, distance: Math.abs(index - first) }))
      .sort((a, b) => a.distance - b.distance)
    for (const kind of Disk.kinds) {
      const disk = yield* Disk.make(kind)
      for (const { point } of order) {
        const { wrong } = yield* Sweep.strike(program, disk, mutant.what, point, judge(mutant.what))
        if (wrong.length > 0) return `${kind}, ${point?.call ?? "end"} ${point?.nth ?? ""}: ${wrong.join(", ")}`
      }
    }
    return undefined
  })

describe.concurrent("a wrong program is found out", () => {
  for (const mutant of mutants) {
    live(mutant.name, mutant.env === undefined ? needs : [...needs, "eatmydata"], () =>
      Effect.gen(function*() {
        const caught = yield* firstCatch(mutant)
        assert.isDefined(caught, "it was not found out")
        if (process.env["MUTANTS"] === "show") console.log(`${mutant.name}\n    ${caught}`)
      }), 300_000)
  }
})
