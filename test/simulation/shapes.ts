/**
 * The shapes of simulated worlds.
 */
import type { EffectiveMode } from "../../src/domain/Backup.ts"

export interface ShapeUnit {
  readonly id: string
  /** Default: true. */
  readonly up?: boolean
  /** The units that come first. */
  readonly after?: ReadonlyArray<string>
}

export interface Shape {
  readonly name: string
  readonly stacks: ReadonlyArray<{ readonly stack: string; readonly units: ReadonlyArray<ShapeUnit> }>
  /** In the process of the controller, or of its own with a journal. */
  readonly agent: "local" | "remote"
  readonly guest: string
  readonly mode: EffectiveMode
  /** The engine's work goes on without the agent, as vzdump does. */
  readonly survives: boolean
  /** Another guest's backup holds the slot at first, for so many milliseconds. */
  readonly queued: number
  /** A process outside brings the app up when the controller dies; without it a supervisor does, later. */
  readonly deadMan: boolean
  readonly program: "quiesce" | "watch"
  /** Somebody runs it again as soon as what a dead run left is healed. */
  readonly runsAgain: boolean
}

const one = { stack: "app", units: [{ id: "app" }] }

const base = {
  stacks: [one],
  agent: "local",
  guest: "web",
  mode: "snapshot",
  survives: false,
  queued: 0,
  deadMan: true,
  program: "quiesce",
  runsAgain: false
} as const satisfies Omit<Shape, "name">

export const shapes: ReadonlyArray<Shape> = [
  { ...base, name: "one unit, this process takes the snapshot" },
  {
    ...base,
    name: "a database and what depends on it, beside a stack that is down",
    stacks: [
      { stack: "shop", units: [{ id: "web", after: ["db"] }, { id: "db" }] },
      { stack: "idle", units: [{ id: "old", up: false }] }
    ],
    deadMan: false
  },
  { ...base, name: "a copy that takes time", mode: "copy" },
  { ...base, name: "an agent with a journal, and a queue before it", agent: "remote", queued: 4_000 },
  { ...base, name: "an agent without snapshots", agent: "remote", mode: "stop", deadMan: false },
  { ...base, name: "a backup that goes on without its agent", agent: "remote", survives: true },
  {
    ...base,
    name: "two stacks",
    stacks: [one, { stack: "mail", units: [{ id: "imap" }] }],
    agent: "remote"
  },
  { ...base, name: "a daemon with a schedule", agent: "remote", program: "watch" },
  { ...base, name: "the next run comes soon after a dead one", agent: "remote", mode: "stop", runsAgain: true }
]
