/**
 * What is true in a simulated world, and the invariants that are judged by it: never by what a program says of itself.
 */
import type { BackupStatus } from "../../src/domain/Backup.ts"
import type { MarkerDraft, MarkerNote } from "../../src/domain/Marker.ts"
import type { Shape, ShapeUnit } from "./shapes.ts"
import type { Simulator } from "./simulator.ts"

/** The promises that are checked, by the numbers of the table in CONTRIBUTING.md. */
export type Invariant =
  | "I1"
  | "I2"
  | "I3"
  | "I4"
  | "I5"
  | "I6"
  | "I7"
  | "I8"
  | "I9"
  | "I10"
  | "I11"
  | "I12"
  | "I13"

export interface Violation {
  readonly invariant: Invariant
  /** Milliseconds since the world began. */
  readonly at: number
  /** The last boundary that was reached. */
  readonly step: number
  readonly what: string
}

export interface TrueUnit {
  readonly stack: string
  readonly id: string
  readonly key: string
  /** Up when the history began. */
  readonly ours: boolean
  readonly definition: ShapeUnit
  up: boolean
  generation: number
  /** A stop that is under way. */
  stopping: number
  starting: boolean
  /** Who has taken it down. */
  downBy: "us" | "user" | undefined
  /** It was not shut down: it was killed at its grace period. */
  unclean: boolean
  /** A user has started or stopped it. */
  meddled: boolean
  /** How many stops of the present run were sent. */
  stops: number
  stopSent: boolean
}

/** A marker on the disk. */
export interface TrueMarker {
  readonly draft: MarkerDraft
  readonly notes: ReadonlyArray<MarkerNote>
}

/** One reading of the storage for a backup. */
export interface Reading {
  readonly guest: string
  readonly runId: string
  active: boolean
  complete: boolean
  /** What was wrong while it read. */
  readonly dirt: Set<string>
}

const phases = ["queued", "ready", "running", "snapshotted", "done"]
const finalRank = 4
const rankOf = (phase: string) => phase === "failed" ? finalRank : phases.indexOf(phase)

/** What is in no output, whatever happens. */
export const canary = "canary-9f2c-secret"

/** How long, in milliseconds, an app is held at most by the policy of the simulation. */
export const maxDowntime = 10_000
export const maxDowntimeWithoutSnapshot = 30_000

export class Truth {
  readonly violations: Array<Violation> = []
  readonly units: ReadonlyMap<string, TrueUnit>
  /** Markers by their run, in the page cache and on the platter. */
  volatile = new Map<string, TrueMarker>()
  durable = new Map<string, TrueMarker>()
  readonly readings: Array<Reading> = []
  /** Temporary snapshots that exist. */
  readonly snapshots = new Set<string>()
  /** When the first stop of the present hold was sent, by its stack, and whether its first start was. */
  readonly holds = new Map<string, { readonly since: number; begun: boolean; readonly limit: number }>()
  /** When the point in time of a run was told. */
  readonly told = new Map<string, number>()
  /** The runs that a guest has asked for, as `guest/run`. */
  readonly asked = new Set<string>()
  private readonly lastAnswers = new Map<
    string,
    { readonly rank: number; readonly revision: number; readonly phase: string }
  >()
  readonly log: Array<string> = []
  /** The number of the last boundary. */
  step = -1
  /** Faults that have happened so far. */
  struck = 0
  /** An engine was made to stand still for ever. */
  engineHangs = false
  /** Milliseconds that the machine was suspended. */
  slept = 0
  /** When a process died with something down. */
  private deadSince: number | undefined
  tracing = false
  /** Of the run that holds something. */
  private runId: string | undefined
  private readonly sim: Simulator
  readonly shape: Shape

  constructor(sim: Simulator, shape: Shape) {
    this.sim = sim
    this.shape = shape
    this.units = new Map(
      shape.stacks.flatMap(({ stack, units }) =>
        units.map((definition) => {
          const key = `${stack}/${definition.id}`
          const up = definition.up ?? true
          return [key, {
            stack,
            id: definition.id,
            key,
            ours: up,
            definition,
            up,
            generation: 1,
            stopping: 0,
            starting: false,
            downBy: undefined,
            unclean: false,
            meddled: false,
            stops: 0,
            stopSent: false
          }] as const
        })
      )
    )
  }

  note(what: string): void {
    if (this.tracing) this.log.push(`${String(Math.round(this.sim.mono)).padStart(7)}  ${what}`)
  }

  broken(invariant: Invariant, what: string): void {
    this.note(`*** ${invariant}: ${what}`)
    this.violations.push({ invariant, at: this.sim.mono, step: this.step, what })
  }

  unit(key: string): TrueUnit {
    const unit = this.units.get(key)
    if (unit === undefined) throw new Error(`there is no unit ${key}`)
    return unit
  }

  /** Whether a marker there says that this is ours to start, and no note that we had it up again. */
  private isNamed(place: "volatile" | "durable", { id, stack }: TrueUnit): boolean {
    return [...this[place].values()].some(({ draft, notes }) =>
      draft.stacks.some((one) => one.stack === stack && one.units.some((unit) => unit.id === id)) &&
      notes.findLast((note) => note.stack === stack && note.unit === id)?.state !== "running"
    )
  }

  /** A unit that we hold down must be named by a marker that survives a power loss. */
  private checkNamed(): void {
    for (const unit of this.units.values()) {
      if (unit.up || unit.downBy !== "us") continue
      if (!this.isNamed("durable", unit)) this.broken("I6", `${unit.key} is held down and no durable marker names it`)
    }
  }

  /** A run begins: the counts are of one run. */
  begins(): void {
    for (const unit of this.units.values()) unit.stops = 0
    this.holds.clear()
  }

  /** A process has died. */
  died(): void {
    if (this.left.length > 0) this.deadSince = this.sim.mono
    this.holds.clear()
    this.told.clear()
  }

  stopSent(unit: TrueUnit, runId: string): void {
    this.note(`stop ${unit.key} (${runId.slice(-4)})`)
    this.runId = runId
    unit.stopSent = true
    unit.stops++
    // whoever has stopped it a moment ago: from here on it is ours
    if (!unit.up) unit.downBy = "us"
    if (unit.stops > 1) this.broken("I3", `${unit.key} is stopped again by the same run`)
    if (!unit.ours && !unit.meddled) this.broken("I4", `${unit.key} was not up, and is stopped`)
    if (![...this.durable.values()].some(({ draft }) => draft.stacks.some(({ stack }) => stack === unit.stack))) {
      this.broken("I6", `${unit.key} is stopped before a durable marker names its stack`)
    }
    if (!this.holds.has(unit.stack)) {
      const limit = this.shape.mode === "stop" ? maxDowntimeWithoutSnapshot : maxDowntime
      this.holds.set(unit.stack, { since: this.sim.mono, begun: false, limit })
    }
  }

  stopLands(unit: TrueUnit, unclean: boolean): void {
    unit.stopping = Math.max(0, unit.stopping - 1)
    if (!unit.up) return
    unit.up = false
    unit.downBy = "us"
    unit.unclean = unclean
    this.note(`down ${unit.key}`)
    this.checkNamed()
  }

  startSent(unit: TrueUnit): void {
    this.note(`start ${unit.key}`)
    if (!unit.ours && !unit.meddled) this.broken("I4", `${unit.key} was not up, and is started`)
    if (!unit.stopSent && !this.isNamed("volatile", unit)) {
      this.broken("I4", `${unit.key} is started and was never stopped by us`)
    }
    if (unit.downBy === "user" && !unit.up && !this.isNamed("volatile", unit)) {
      this.broken("I4", `${unit.key} is started although a user has stopped it after we had brought it up`)
    }
    const hold = this.holds.get(unit.stack)
    if (hold === undefined || hold.begun) return
    hold.begun = true
    const told = this.told.get(this.runId ?? "")
    // the same for the whole history: what is left of the patience of one is no more than that of all faults
    const late = told === undefined ? 0 : this.sim.mono - told - this.slept
    if (late > 2_000 + this.struck * 20_000) {
      this.broken("I8", `${unit.stack} is started ${late} ms after the snapshot was there`)
    }
    const took = this.sim.mono - hold.since - this.slept
    // a stop that is under way is waited for, each question to a control may take 15 s, and a fault of an agent 5 s
    const allowed = hold.limit + 4_000 + this.struck * 20_000
    if (took > allowed) {
      this.broken("I8", `${unit.stack} was held for ${took} ms before its start, more than ${allowed}`)
    }
  }

  startLands(unit: TrueUnit): void {
    unit.starting = false
    if (unit.up) return
    unit.up = true
    unit.downBy = undefined
    unit.unclean = false
    unit.generation++
    this.note(`up ${unit.key}`)
    for (const reading of this.readings) if (reading.active) reading.dirt.add(`${unit.key} came up`)
    if ([...this.units.values()].every((one) => one.stack !== unit.stack || one.up || !one.ours)) {
      this.holds.delete(unit.stack)
    }
    if (this.deadSince === undefined || this.left.length > 0) return
    const took = this.sim.mono - this.deadSince - this.slept
    this.deadSince = undefined
    const allowed = 35_000 + this.struck * 40_000
    if (took > allowed) {
      this.broken("I1", `it took ${took} ms after a death until everything was up, more than ${allowed}`)
    }
  }

  /** Somebody starts or stops a unit. */
  user(state: "started" | "stopped"): void {
    // the one or the other, and the same each time
    const unit = [...this.units.values()][this.step % this.units.size]!
    this.note(`a user has ${state} ${unit.key}`)
    if (state === "started") {
      if (unit.up) return
      unit.meddled = true
      this.startLands(unit)
    } else if (unit.up) {
      unit.meddled = true
      unit.up = false
      unit.downBy = "user"
    }
  }

  write(place: "volatile" | "durable", runId: string, marker: TrueMarker): void {
    this[place].set(runId, marker)
  }

  /** A marker is cleared: everything that it names must be up, down by somebody else's wish, or in a later marker. */
  cleared(place: "volatile" | "durable", runId: string): void {
    const marker = this[place].get(runId)
    this[place].delete(runId)
    if (marker === undefined) return
    this.note(`marker cleared (${place})`)
    for (const { stack, units } of marker.draft.stacks) {
      for (const { id } of units) {
        const unit = this.unit(`${stack}/${id}`)
        if (!unit.up && unit.downBy === "us" && !this.isNamed(place, unit)) {
          this.broken("I7", `the marker is cleared with ${unit.key} down`)
        }
      }
    }
    this.checkNamed()
  }

  /** What was not synced is gone. */
  powerLoss(): void {
    this.note("power loss")
    this.volatile = new Map(this.durable)
    for (const unit of this.units.values()) {
      unit.stopping = 0
      unit.starting = false
    }
    this.checkNamed()
  }

  readBegins(guest: string, runId: string): Reading {
    const others = this.readings.filter((one) => one.active && one.guest === guest)
    if (others.length > 0) this.broken("I5", `the storage of ${guest} is read for two backups at once`)
    const reading: Reading = { guest, runId, active: true, complete: false, dirt: new Set() }
    for (const unit of this.units.values()) {
      if (unit.up && guest === this.shape.guest) reading.dirt.add(`${unit.key} was up`)
      if (unit.unclean) reading.dirt.add(`${unit.key} was killed`)
    }
    this.readings.push(reading)
    this.note(`read begins (${runId.slice(-4)})${reading.dirt.size > 0 ? `, ${[...reading.dirt].join(", ")}` : ""}`)
    return reading
  }

  readEnds(reading: Reading): void {
    if (!reading.active) return
    reading.active = false
    this.note(`read ends (${reading.runId.slice(-4)})`)
  }

  /** The agent has said how far a backup is. */
  answered({ phase, revision, runId, ...rest }: BackupStatus): void {
    const rank = rankOf(phase)
    const before = this.lastAnswers.get(runId)
    this.note(`the agent says ${phase} (${revision}) of ${runId.slice(-4)}`)
    if (JSON.stringify([phase, runId, rest]).includes(canary)) this.broken("I13", "a secret is told by the agent")
    if (before !== undefined && revision <= before.revision && (revision < before.revision || phase !== before.phase)) {
      this.broken("I12", `the agent says '${phase}' (${revision}) after '${before.phase}' (${before.revision})`)
    }
    if (before !== undefined && (rank < before.rank || (before.rank === finalRank && phase !== before.phase))) {
      this.broken("I12", `the agent says '${phase}' after '${before.phase}'`)
    }
    this.lastAnswers.set(runId, { rank, revision, phase })
  }

  /** The report of a run claims `application`. */
  claimed(runId: string): void {
    const readings = this.readings.filter((one) => one.runId === runId)
    if (readings.length !== 1 || !readings[0]!.complete) {
      this.broken(
        "I2",
        `'application' is claimed for a backup that is not complete, or was taken ${readings.length} times`
      )
    }
    for (const { dirt } of readings) {
      if (dirt.size > 0) this.broken("I2", `'application' is claimed, but at the snapshot: ${[...dirt].join(", ")}`)
    }
  }

  /** All that must be up: it was up at first, and no user has touched it. */
  get left(): ReadonlyArray<string> {
    return [...this.units.values()].filter(({ downBy, ours, up }) => ours && !up && downBy !== "user").map(({ key }) =>
      key
    )
  }
}
