/**
 * What a dead run may leave, and what recover must make of it.
 */
import { Effect, Exit } from "effect"
import type { MarkerNote, StoredMarker } from "../../src/domain/Marker.ts"
import { RunId } from "../../src/domain/RunId.ts"
import { StackName, UnitId } from "../../src/domain/Stack.ts"
import type { MemoryStack } from "../../src/layers/StackControlMemory.ts"
import { snapshotAgent } from "./scenarios.ts"
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
  readonly warned?: RegExp
}

const runId = RunId.make("01936f00-0000-7000-8000-000000000001")

const marker = (
  stack: string,
  notes: Readonly<Record<string, MarkerNote["state"]>>,
  more: { readonly units?: ReadonlyArray<string>; readonly warning?: string } = {}
): StoredMarker => ({
  _tag: "Readable",
  name: runId,
  marker: {
    runId,
    createdAt: "2026-01-01T00:00:00.000Z",
    stacks: [{
      stack: StackName.make(stack),
      control: "memory",
      units: (more.units ?? [stack]).map((id) => ({
        id: UnitId.make(id),
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
  }
]

const unique = (all: ReadonlyArray<string>) => [...new Set(all)]

/** Plays one; answers with what is wrong. */
export const playRecovery = (modules: Modules, recovery: Recovery) =>
  Effect.gen(function*() {
    const { history, recover } = yield* makeWorld(modules, {
      stacks: recovery.stacks,
      agent: snapshotAgent,
      markers: { initially: recovery.markers }
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
    differ("failed", exit.value.failed.map(({ stack, unit }) => `${stack}/${unit}`), recovery.failed ?? [])
    const started = recovery.starts.filter((at) => !(recovery.failed ?? []).includes(at))
    differ("recovered", exit.value.recovered.map(({ stack, unit }) => `${stack}/${unit}`), started)
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
