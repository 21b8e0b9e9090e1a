/**
 * What a dead run may leave, and what recover must make of it.
 */
import { Effect, Exit } from "effect"
import type { MarkerNote, StoredMarker } from "../../src/domain/Marker.ts"
import { RunId } from "../../src/domain/RunId.ts"
import { StackName, UnitId } from "../../src/domain/Stack.ts"
import type { MemoryStack } from "../../src/layers/StackControlMemory.ts"
import { snapshotAgent } from "./agents.ts"
import { diamond } from "./graphCases.ts"
import { outOfOrder } from "./orderOracle.ts"
import { lines, makeWorld, type Modules } from "./world.ts"

export interface Recovery {
  readonly name: string
  readonly stacks: ReadonlyArray<MemoryStack>
  readonly markers: ReadonlyArray<StoredMarker>
  /** The units that must have been started, as `stack/unit`, in order. */
  readonly starts: ReadonlyArray<string>
  /** Units that may stay down. */
  readonly stayDown?: ReadonlyArray<string>
  /** Whether a marker is left. Default: no. */
  readonly markerLeft?: boolean
  readonly failed?: ReadonlyArray<string>
  /** The markers are those of the machine of which this one is a clone. */
  readonly otherMachine?: boolean
  /** Default: what was started and has not failed. */
  readonly recovered?: ReadonlyArray<string>
  readonly warned?: RegExp
  /** When (ms) a line must be in the trace for the first time, or a little later. */
  readonly at?: Readonly<Record<string, number>>
}

const runId = RunId.make("01936f00-0000-7000-8000-000000000001")

const marker = (
  stack: string,
  notes: Readonly<Record<string, MarkerNote["state"]>>,
  more: {
    readonly units?: ReadonlyArray<string>
    readonly after?: MemoryStack["after"]
    readonly warning?: string
  } = {}
): StoredMarker => ({
  _tag: "Readable",
  name: runId,
  marker: {
    runId,
    createdAt: "2026-01-01T00:00:00.000Z",
    stacks: [{
      stack: StackName.make(stack),
      control: "memory",
      units: (more.units ?? [stack]).map((id, index, all) => ({
        id: UnitId.make(id),
        after: (more.after === undefined
          ? all.slice(index + 1, index + 2).map((unit) => ({ unit, until: "up" as const }))
          : more.after[id] ?? []).map(({ unit, until }) => ({ unit: UnitId.make(unit), until })),
        stopTimeoutMs: 30_000,
        startTimeoutMs: 60_000,
        identity: {}
      }))
    }]
  },
  notes: Object.entries(notes).map(([unit, state]) => ({
    stack: StackName.make(stack),
    unit: UnitId.make(unit),
    state
  })),
  ...(more.warning === undefined ? {} : { warning: more.warning })
})

const allStopped = { web: "stopped", left: "stopped", right: "stopped", db: "stopped" } as const
const many = Array.from({ length: 10 }, (_, index) => `u${index + 1}`)

const down = (stack: string): MemoryStack => ({ stack, initially: "stopped" })
const up = (stack: string): MemoryStack => ({ stack })

export const recoveries: ReadonlyArray<Recovery> = [
  { name: "nothing to do", stacks: [up("app"), down("off")], markers: [], starts: [], stayDown: ["off/off"] },
  {
    name: "held: it is started",
    stacks: [down("app")],
    markers: [marker("app", { app: "stopped" })],
    starts: ["app/app"]
  },
  {
    name: "only what the marker names is started",
    stacks: [down("app"), down("off"), up("other")],
    markers: [marker("app", { app: "stopped" })],
    starts: ["app/app"],
    stayDown: ["off/off"]
  },
  { name: "killed before the first stop: all up", stacks: [up("app")], markers: [marker("app", {})], starts: [] },
  {
    name: "a marker without notes and the stack down",
    stacks: [down("app")],
    markers: [marker("app", {})],
    starts: ["app/app"]
  },
  {
    name: "killed while stopping, down",
    stacks: [down("app")],
    markers: [marker("app", { app: "stopping" })],
    starts: ["app/app"]
  },
  {
    name: "killed while stopping, still up",
    stacks: [up("app")],
    markers: [marker("app", { app: "stopping" })],
    starts: []
  },
  {
    name: "killed after the start, before the clear",
    stacks: [up("app")],
    markers: [marker("app", { app: "stopped" })],
    starts: []
  },
  {
    name: "resumed, then stopped by its user",
    stacks: [down("app")],
    markers: [marker("app", { app: "running" })],
    starts: [],
    stayDown: ["app/app"]
  },
  {
    name: "one of three is still down",
    stacks: [{ stack: "web", units: ["front", "back", "db"] }],
    markers: [marker("web", { front: "stopping" }, { units: ["front", "back", "db"] })],
    starts: []
  },
  {
    name: "units are started in reverse stop order",
    stacks: [{ stack: "web", units: ["front", "back", "db"], initially: "stopped" }],
    markers: [marker("web", { front: "stopped", back: "stopped", db: "stopped" }, { units: ["front", "back", "db"] })],
    starts: ["web/db", "web/back", "web/front"]
  },
  {
    name: "a user's stop beside one that is still ours",
    stacks: [{ stack: "web", units: ["front", "db"], initially: "stopped" }],
    markers: [marker("web", { front: "running", db: "stopped" }, { units: ["front", "db"] })],
    starts: ["web/db"],
    stayDown: ["web/front"]
  },
  {
    name: "a stack that is no longer configured",
    stacks: [{ stack: "old", initially: "stopped", unlisted: true }, up("app")],
    markers: [marker("old", { old: "stopped" })],
    starts: ["old/old"]
  },
  {
    name: "a marker of a future version",
    stacks: [down("app")],
    markers: [marker("app", { app: "stopped" }, { warning: "it is of version 2" })],
    starts: ["app/app"],
    warned: /version 2/
  },
  {
    name: "a marker that cannot be read: every configured stack comes up",
    stacks: [down("app"), up("other"), { stack: "old", initially: "stopped", unlisted: true }],
    markers: [{ _tag: "Damaged", name: "x", reason: "0 bytes" }],
    starts: ["app/app"],
    stayDown: ["old/old"],
    warned: /0 bytes/
  },
  {
    name: "a clone beside its original: its app comes up",
    stacks: [down("app"), down("off")],
    markers: [marker("app", { app: "stopped" })],
    otherMachine: true,
    starts: ["app/app"],
    stayDown: ["off/off"],
    warned: /belongs to another machine .* remove memory/
  },
  {
    name: "a clone whose marker cannot be read",
    stacks: [down("app"), up("other")],
    markers: [{ _tag: "Damaged", name: "x", reason: "0 bytes" }],
    otherMachine: true,
    starts: ["app/app"],
    warned: /0 bytes.*\n.*belongs to another machine/
  },
  {
    name: "a start that fails for ever: the marker stays, the other stack is up",
    stacks: [{ stack: "app", initially: "stopped", start: [{ result: "fail" }] }],
    markers: [marker("app", { app: "stopped" })],
    starts: ["app/app"],
    stayDown: ["app/app"],
    markerLeft: true,
    failed: ["app/app"]
  },
  {
    name: "a start that works at the third try",
    stacks: [{ stack: "app", initially: "stopped", start: [{ result: "fail" }, { result: "fail" }, {}] }],
    markers: [marker("app", { app: "stopped" })],
    starts: ["app/app"]
  },
  {
    name: "a state that cannot be told is brought up",
    stacks: [{ stack: "app", initially: "unknown" }],
    markers: [marker("app", { app: "stopped" })],
    starts: ["app/app"]
  },
  {
    name: "a diamond: dependencies first, branches side by side",
    stacks: [{ ...diamond, initially: "stopped" }],
    markers: [marker("app", allStopped, diamond)],
    starts: ["app/db", "app/right", "app/left", "app/web"],
    at: { "start app/db": 0, "start app/left": 1_000, "start app/right": 1_000, "start app/web": 2_000 }
  },
  {
    name: "started and up, from the marker",
    stacks: [{
      ...diamond,
      initially: "stopped",
      // the marker says what was true when the units were stopped
      after: {},
      start: [{ takes: "1 second", healthyAfter: "4 seconds" }]
    }],
    markers: [marker("app", allStopped, {
      ...diamond,
      after: {
        web: [{ unit: "left", until: "started" }],
        left: [{ unit: "db", until: "started" }],
        right: [{ unit: "db", until: "up" }]
      }
    })],
    starts: ["app/db", "app/left", "app/web", "app/right"],
    at: { "start app/db": 0, "start app/left": 1_000, "start app/web": 2_000, "start app/right": 5_000 }
  },
  {
    name: "what is up is not waited for",
    stacks: [{ ...diamond, unitsInitially: { web: "stopped", left: "stopped" } }],
    markers: [marker("app", allStopped, diamond)],
    starts: ["app/left", "app/web"],
    at: { "start app/left": 0, "start app/web": 1_000 }
  },
  {
    name: "a dependency that never starts does not keep its dependents down",
    stacks: [{ ...diamond, initially: "stopped", perUnit: { db: { start: [{ result: "fail" }] } } }],
    markers: [marker("app", allStopped, diamond)],
    starts: ["app/db", "app/right", "app/left", "app/web"],
    stayDown: ["app/db"],
    markerLeft: true,
    failed: ["app/db"],
    at: { "start app/left": 0, "start app/web": 1_000 }
  },
  {
    name: "a circle in a marker",
    stacks: [{ ...diamond, initially: "stopped", after: {} }],
    markers: [marker("app", allStopped, {
      ...diamond,
      after: {
        web: [{ unit: "left", until: "up" }],
        left: [{ unit: "db", until: "up" }],
        right: [{ unit: "right", until: "up" }, { unit: "gone", until: "up" }],
        db: [{ unit: "web", until: "started" }]
      }
    })],
    // where the circle is cut does not matter
    starts: ["app/right", "app/web", "app/db", "app/left"]
  },
  {
    name: "units whose stops are under way are waited for side by side",
    stacks: [{ ...diamond, initially: "changing" }],
    markers: [marker("app", { web: "stopping", left: "stopping", right: "stopping", db: "stopping" }, diamond)],
    starts: ["app/db", "app/right", "app/left", "app/web"],
    recovered: [],
    // once before anything is decided, and once more before the first start
    at: { "start app/db": 70_000 }
  },
  {
    name: "many units are started eight at a time",
    stacks: [{ stack: "app", units: many, initially: "stopped", after: {}, start: [{ takes: "1 second" }] }],
    markers: [marker("app", {}, { units: many, after: {} })],
    starts: many.toReversed().map((unit) => `app/${unit}`),
    at: { "start app/u3": 0, "start app/u2": 1_000 }
  },
  {
    name: "a marker that cannot be read, and a diamond that is down",
    stacks: [{ ...diamond, initially: "stopped" }, { ...diamond, stack: "other", unitsInitially: { web: "stopped" } }],
    markers: [{ _tag: "Damaged", name: "x", reason: "0 bytes" }],
    starts: ["app/db", "other/web", "app/right", "app/left", "app/web"],
    at: { "start app/db": 0, "start app/left": 1_000, "start app/right": 1_000, "start app/web": 2_000 }
  }
]

const unique = (all: ReadonlyArray<string>) => [...new Set(all)]

/** Plays one; answers with what is wrong. */
export const playRecovery = (modules: Modules, recovery: Recovery) =>
  Effect.gen(function*() {
    const { history, recover } = yield* makeWorld(modules, {
      stacks: recovery.stacks,
      agent: snapshotAgent,
      markers: { initially: recovery.markers, otherMachine: recovery.otherMachine }
    })
    const exit = yield* recover
    const after = yield* history
    const wrong: Array<string> = []
    if (exit === undefined || Exit.isFailure(exit)) return [`recover ended badly: ${exit}`]
    const starts = unique(lines(after).filter((line) => line.startsWith("start ")).map((line) => line.slice(6)))
    const differ = (what: string, is: ReadonlyArray<string>, should: ReadonlyArray<string>) => {
      if (is.join() !== should.join()) {
        wrong.push(`${what}: ${is.join(", ") || "none"}, not ${should.join(", ") || "none"}`)
      }
    }
    differ("started", starts, recovery.starts)
    differ("down", after.down, recovery.stayDown ?? [])
    for (const [line, at] of Object.entries(recovery.at ?? {})) {
      const is = after.trace.find(({ what }) => what === line)?.at ?? Infinity
      if (is < at || is >= at + 500) wrong.push(`'${line}' at ${is}, not ${at}`)
    }
    // in the order that the control says; a marker may say another one
    const takesPart = (stack: MemoryStack, unit: string) => recovery.starts.includes(`${stack.stack}/${unit}`)
    wrong.push(...outOfOrder(recovery.stacks, after.trace, { takesPart }))
    differ("failed", exit.value.failed.map(({ stack, unit }) => `${stack}/${unit}`), recovery.failed ?? [])
    const started = recovery.recovered ?? recovery.starts.filter((at) => !(recovery.failed ?? []).includes(at))
    differ("recovered", exit.value.recovered.map(({ stack, unit }) => `${stack}/${unit}`).sort(), [...started].sort())
    if ((after.markers.length > 0) !== (recovery.markerLeft ?? false)) {
      wrong.push(`markers left: ${after.markers.length}`)
    }
    const warnings = exit.value.warnings.join("\n")
    if (recovery.warned !== undefined && !recovery.warned.test(warnings)) wrong.push(`no warning: ${warnings}`)
    const up = lines(after).findLastIndex((line) => line.startsWith("up "))
    const cleared = lines(after).findIndex((line) => line.startsWith("marker clear") || line.startsWith("marker quara"))
    if (cleared >= 0 && cleared < up) wrong.push("the marker was cleared before everything was up")
    return wrong
  }).pipe(Effect.scoped)
