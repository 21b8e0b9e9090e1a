/**
 * The course of a run for people: a line for every step, and on a terminal a line below with the running downtime.
 */
import { Clock, Effect, Ref, Schedule, type Scope } from "effect"
import type { Phase, Progress } from "../domain/Backup.ts"
import type { RunEvent } from "../domain/Report.ts"
import { unbroken } from "../internal/oneLine.ts"
import type { Screen } from "./Output.ts"
import type { Sink } from "./sinks.ts"
import * as Text from "./text.ts"

interface State {
  readonly phase: Phase | undefined
  /** The stacks that are held, with the time of their stop. */
  readonly held: ReadonlyMap<string, number>
  readonly progress: Progress | undefined
  /** When progress was last written as a line of its own. */
  readonly progressAt: number
  readonly over: boolean
}

const initial: State = { phase: undefined, held: new Map(), progress: undefined, progressAt: 0, over: false }

const phaseText: Record<Phase, string> = {
  queued: "backup: waiting for the agent",
  ready: "backup: the agent is ready",
  running: "backup: running",
  snapshotted: "backup: the snapshot is taken",
  done: "backup: done",
  failed: "backup: FAILED"
}

const stackText: Record<Extract<RunEvent, { readonly type: "stack" }>["state"], string> = {
  preparing: "preparing",
  stopping: "stopping",
  stopped: "down",
  starting: "starting",
  running: "up",
  failed: "NOT UP"
}

/** Between two lines of progress where nothing can be drawn over. */
const plainEvery = 10_000

/** The state after the event, and the line that it is worth. */
const step = (state: State, event: RunEvent, now: number): readonly [State, string | undefined] => {
  switch (event.type) {
    case "phase":
      return [{ ...state, phase: event.phase }, phaseText[event.phase]]
    case "stack": {
      const since = state.held.get(event.stack)
      const held = new Map(state.held)
      if (event.state === "stopping" && since === undefined) held.set(event.stack, now)
      if (event.state === "running") held.delete(event.stack)
      const clock = event.state === "running" && since !== undefined ? ` again after ${Text.elapsed(now - since)}` : ""
      return [{ ...state, held }, `${event.stack}: ${stackText[event.state]}${clock}`]
    }
    case "progress": {
      const due = event.bytes > 0 && now - state.progressAt >= plainEvery
      return [
        { ...state, progress: event, progressAt: due ? now : state.progressAt },
        due ? `backup: ${Text.progress(event)}` : undefined
      ]
    }
    case "warning":
      return [state, `warning: ${event.message}`]
    case "report":
      return [{ ...state, over: true }, undefined]
  }
}

const status = (state: State, now: number): string => {
  const clocks = [...state.held].map(([stack, since]) => `${stack} down ${Text.elapsed(now - since)}`)
  const backup = state.phase === undefined ? [] : [phaseText[state.phase]]
  const read = state.progress === undefined ? [] : [Text.progress(state.progress)]
  return [...clocks, ...backup, ...read].join(" | ")
}

const clearLine = "\r\u001b[2K"

const paint = (screen: Screen, line: string, state: State) => {
  if (!screen.color) return line
  const code = /NOT UP|FAILED/.test(line) ? 31 : state.held.size > 0 ? 33 : 32
  return `\u001b[${code}m${line}\u001b[0m`
}

export interface ProgressOptions {
  readonly screen: Screen
  readonly write: (text: string) => Effect.Effect<void>
  /** Bytes that the reader has not taken yet: when there are some, the clock is not drawn again. */
  readonly backlog: Effect.Effect<number>
}

/** A sink that shows the run. The close of the scope takes the line with the clock away. */
export const make = (options: ProgressOptions): Effect.Effect<Sink, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { backlog, screen, write } = options
    const began = yield* Clock.currentTimeMillis
    const ref = yield* Ref.make(initial)

    const draw = Effect.gen(function*() {
      const state = yield* Ref.get(ref)
      const line = unbroken(status(state, yield* Clock.currentTimeMillis))
      const room = (yield* screen.columns) - 1
      yield* write(line === "" || state.over ? clearLine : `${clearLine}${paint(screen, line.slice(0, room), state)}`)
    })

    const emit = Effect.fnUntraced(function*(event: RunEvent) {
      const now = yield* Clock.currentTimeMillis
      const line = yield* Ref.modify(ref, (state) => {
        const [next, line] = step(state, event, now)
        return [line, next]
      })
      const state = yield* Ref.get(ref)
      if (line !== undefined && !(screen.redraws && event.type === "progress")) {
        const text = `${Text.elapsed(now - began).padStart(7)}  ${paint(screen, unbroken(line), state)}\n`
        yield* write(screen.redraws ? `${clearLine}${text}` : text)
      }
      if (screen.redraws && (event.type !== "progress" || (yield* backlog) === 0)) yield* draw
    })

    if (screen.redraws) {
      yield* Effect.addFinalizer(() => write(clearLine))
      yield* draw.pipe(
        Effect.whenEffect(Effect.map(backlog, (waiting) => waiting === 0)),
        Effect.repeat(Schedule.spaced("200 millis")),
        Effect.interruptible,
        Effect.forkScoped
      )
    }
    return { emit }
  })
