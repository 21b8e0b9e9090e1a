/**
 * One kill -9 of a program in a pretended world, and what must be so afterwards.
 */
import { Effect, Schedule } from "effect"
import * as Traces from "../live/traces.ts"
import * as Death from "./death.ts"
import * as Gate from "./gate.ts"
import * as Judge from "./judge.ts"
import type { World } from "./world.ts"

/** Where a program is killed: at a boundary, or this many milliseconds later. */
export type Where = Gate.Point & { readonly later?: number }

export interface Kill {
  readonly where: Where
  readonly way: Death.Way
}

export interface Seen {
  readonly name: string
  /** Not so, when it was over before, or did not come to the point. */
  readonly killed: boolean
  readonly violations: ReadonlyArray<string>
  /** From its death to the app up again, where it was down and the dead-man lived. */
  readonly downMillis: number | undefined
}

export const nameOf = ({ way, where }: Kill): string =>
  `${where.later === undefined ? "" : `${where.later} ms after the `}${Gate.nameOf(where)}, ${way}`

const limit = "60 seconds"

/** Runs the words and kills the program where it is to be killed. */
export const strike = Effect.fnUntraced(function*(world: World, words: ReadonlyArray<string>, { way, where }: Kill) {
  return yield* Effect.scoped(Effect.gen(function*() {
    let pid = 0
    let died = 0
    let deadMan: number | undefined
    const die = () => {
      // it was quicker
      if (pid === 0) return
      deadMan = Death.kill9(pid, way)
      died = performance.now()
    }
    world.gate.arm(where, () => {
      if (where.later !== undefined) {
        setTimeout(die, where.later)
        return "goes on"
      }
      die()
      // a command of a stack is not dead when who has started it is
      return where.key.startsWith("command") ? "goes on" : "gone"
    })
    const live = yield* world.start(words)
    pid = live.pid
    const ended = yield* live.ended
    pid = 0
    const down = died !== 0 && !Judge.isUp(world)
    const watching = down ? deadMan : undefined
    // who has ended brings nothing back any more
    if (watching !== undefined) {
      yield* Death.eventually(() => Judge.isUp(world) || !Death.isAtWork(watching), limit)
    }
    const isBack = watching !== undefined && Judge.isUp(world)
    const downMillis = isBack ? performance.now() - died : undefined
    return { ...ended, killed: ended.signal === "SIGKILL", deadMan, downMillis }
  }))
})

/** With the dead-man dead too, somebody must run `quiesce recover`. */
export const recovered = Effect.fnUntraced(function*(world: World) {
  world.gate.arm()
  const { code, stderr } = yield* world.run(["recover"])
  return code === 0 ? [] : [`recover: exit code ${code}: ${stderr}`]
})

/** What the dead one has asked for at the agent comes to its end: nobody follows it, so nobody can claim anything. */
export const settled = Effect.fnUntraced(function*(world: World) {
  yield* world.agent.giveUp
  return yield* world.agent.open.pipe(
    Effect.repeat({ until: (open) => open.length === 0, schedule: Schedule.spaced("5 millis") }),
    Effect.timeoutTo({ duration: limit, onSuccess: () => Effect.succeed([]), onTimeout: () => world.agent.open }),
    Effect.flatten
  )
})

/** A kill, the way back, and every promise; with `next` a whole run after it. */
export const survive = Effect.fnUntraced(function*(world: World, kill: Kill, options: { readonly next: boolean }) {
  const since = Judge.mark(world)
  const ended = yield* strike(world, ["run", "--json"], kill)
  const busy = yield* Death.quiet(world, ended.deadMan)
  const markers = Traces.markers({ ...world, backups: "", place: "" })
  const back = Death.spares(kill.way) || markers.length === 0 ? [] : yield* recovered(world)
  const left = yield* settled(world)
  const wrong = [...busy, ...back, ...left, ...Judge.violations(world, since, ended.events)]
  // what is broken stays broken: one kill is to be blamed for it
  const after = options.next && wrong.length === 0 ? yield* Judge.next(world) : []
  const seen: Seen = {
    name: nameOf(kill),
    killed: ended.killed,
    violations: [...wrong, ...after],
    downMillis: ended.downMillis
  }
  return seen
})

/** What a clean run asks for. */
export const record = Effect.fnUntraced(function*(world: World) {
  const wrong = yield* Judge.next(world)
  return { seen: world.gate.seen, wrong }
})
