/**
 * The services of a process on the machine of the app: every call is a boundary.
 */
import { Context, Effect, Option } from "effect"
import type { MarkerNote, StoredMarker } from "../../src/domain/Marker.ts"
import { StackName, type Unit, UnitId, type UnitObservation } from "../../src/domain/Stack.ts"
import type { WatchState } from "../../src/domain/Watch.ts"
import { AgentClient } from "../../src/services/AgentClient.ts"
import { DeadMan, DeadManUnavailable } from "../../src/services/DeadMan.ts"
import { MarkerStore, MarkerStoreError } from "../../src/services/MarkerStore.ts"
import { LockHeld, LockUnavailable, RunLock } from "../../src/services/RunLock.ts"
import {
  StackControl,
  StackControlError,
  type StackNotFound,
  type StopResult
} from "../../src/services/StackControl.ts"
import { WatchClaimed, WatchStore, WatchStoreError } from "../../src/services/WatchStore.ts"
import type { SimProcess } from "./simulator.ts"
import { canary, type TrueUnit } from "./truth.ts"
import type { World } from "./world.ts"

/** Milliseconds. */
const stopTakes = 600
const startTakes = 300
const stopTimeout = 3_000
const startTimeout = 4_000

const unitsOf = (world: World, stack: string): ReadonlyArray<Unit> =>
  [...world.truth.units.values()].filter((unit) => unit.stack === stack).map(({ definition, id }) => ({
    id: UnitId.make(id),
    stopTimeoutMs: stopTimeout,
    startTimeoutMs: startTimeout,
    ...definition.after === undefined
      ? {}
      : { after: definition.after.map((unit) => ({ unit: UnitId.make(unit), until: "up" as const })) },
    // what only the control reads is in no output
    identity: { unit: id, secret: canary }
  }))

const seen = (unit: Unit, truth: TrueUnit): UnitObservation => {
  // as a container engine says: running until it is down
  const state = truth.starting ? "changing" : truth.up ? "running" : "stopped"
  return { unit, state, stamp: String(truth.generation) }
}

/** What a daemon such as a container engine does once it was asked, whoever waits for it. */
const act = (world: World, millis: number, lands: () => void): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    world.sim.later(undefined, millis, () => {
      lands()
      resume(Effect.void)
    })
  })

const control = (world: World, process: SimProcess, runId: () => string): StackControl["Type"] => {
  const { truth } = world
  const failed = (stack: StackName, operation: StackControlError["operation"]) => () =>
    new StackControlError({ stack, operation, reason: "broken" })
  const at = (stack: StackName, unit: Unit) => truth.unit(`${stack}/${unit.id}`)
  return {
    stacks: Effect.sync(() => world.shape.stacks.map(({ stack }) => StackName.make(stack))),
    inspect: (stack) =>
      world.boundary<
        Effect.Effect.Success<ReturnType<StackControl["Type"]["inspect"]>>,
        StackNotFound | StackControlError
      >(
        process,
        {
          place: "look",
          name: `inspect ${stack}`,
          error: failed(stack, "inspect"),
          effect: Effect.sync(() => {
            const units = unitsOf(world, stack)
            return {
              units: { stack, control: "simulated", units },
              observations: units.map((unit) => seen(unit, at(stack, unit)))
            }
          })
        }
      ),
    observe: (stack, unit) =>
      world.boundary(process, {
        place: "look",
        name: `observe ${stack}/${unit.id}`,
        error: failed(stack, "inspect"),
        effect: Effect.sync(() => seen(unit, at(stack, unit))),
        lie: Effect.succeed({ unit, state: "unknown" })
      }),
    prepare: (stack) =>
      world.boundary(process, {
        place: "look",
        name: `prepare ${stack}`,
        error: failed(stack, "prepare"),
        effect: Effect.void
      }),
    stop: (stack, unit) =>
      world.boundary<StopResult, StackControlError>(process, {
        place: "act",
        name: `stop ${stack}/${unit.id}`,
        error: failed(stack, "stop"),
        effect: Effect.suspend(() => {
          const truly = at(stack, unit)
          truth.stopSent(truly, runId())
          truly.stopping++
          return Effect.as(act(world, stopTakes, () => truth.stopLands(truly, false)), { clean: true })
        }),
        // killed at its grace period
        lie: Effect.suspend(() => {
          const truly = at(stack, unit)
          truth.stopSent(truly, runId())
          truly.stopping++
          return Effect.as(act(world, stopTimeout, () => truth.stopLands(truly, true)), { clean: false })
        })
      }),
    start: (stack, unit) =>
      world.boundary(process, {
        place: "act",
        name: `start ${stack}/${unit.id}`,
        error: failed(stack, "start"),
        effect: Effect.suspend(() => {
          const truly = at(stack, unit)
          truth.startSent(truly)
          // as a container engine answers "already running", also while a stop is under way that then lands
          if (truly.up) return Effect.void
          truly.starting = true
          return act(world, startTakes, () => truth.startLands(truly))
        }),
        // the command says that it has started, and it has not
        lie: Effect.sync(() => truth.startSent(at(stack, unit)))
      }),
    interference: (stack) =>
      world.boundary(process, {
        place: "look",
        name: `interference ${stack}`,
        error: failed(stack, "inspect"),
        effect: Effect.succeed([])
      })
  }
}

const markers = (world: World, process: SimProcess): MarkerStore["Type"] => {
  const { truth } = world
  const step = (operation: MarkerStoreError["operation"], name: string, effect: () => void) =>
    world.boundary(process, {
      place: "marker",
      name: `marker ${name}`,
      error: () => new MarkerStoreError({ operation, reason: "broken" }),
      effect: Effect.sync(effect)
    })
  const noted = (place: "volatile" | "durable", runId: string, notes: ReadonlyArray<MarkerNote>) => {
    const marker = truth[place].get(runId)
    if (marker !== undefined) truth.write(place, runId, { ...marker, notes })
  }
  return {
    check: step("check", "check", () => {}),
    mine: Effect.void,
    write: (draft) => {
      const marker = { draft, notes: [] }
      return step("write", "rename", () => truth.write("volatile", draft.runId, marker)).pipe(
        Effect.zipRight(step("write", "sync", () => truth.write("durable", draft.runId, marker))),
        Effect.tapError(() =>
          Effect.sync(() => {
            truth.volatile.delete(draft.runId)
            truth.durable.delete(draft.runId)
          })
        ),
        Effect.uninterruptible
      )
    },
    note: (runId, note) =>
      Effect.uninterruptible(step("note", `note ${note.unit} ${note.state}`, () => {
        const notes = [...truth.volatile.get(runId)?.notes ?? [], note]
        noted("volatile", runId, notes)
        if (note.state === "running") noted("durable", runId, notes)
      })),
    clear: (name) =>
      step("clear", "unlink", () => truth.cleared("volatile", name)).pipe(
        Effect.zipRight(step("clear", "unlink sync", () => truth.cleared("durable", name))),
        Effect.uninterruptible
      ),
    quarantine: (name) => step("quarantine", "quarantine", () => truth.cleared("durable", name)),
    list: Effect.suspend(() => {
      let found: ReadonlyArray<StoredMarker> = []
      return Effect.map(
        step("list", "list", () => {
          found = [...truth.volatile].map(([name, { draft, notes }]) => ({
            _tag: "Readable",
            name,
            marker: draft,
            notes
          }))
        }),
        () => found
      )
    })
  }
}

const lock = (world: World, process: SimProcess): RunLock["Type"] => ({
  acquire: () =>
    Effect.asVoid(Effect.acquireRelease(
      world.boundary<void, LockHeld | LockUnavailable>(process, {
        place: "lock",
        name: "lock",
        error: () => new LockUnavailable({ reason: "broken" }),
        effect: Effect.suspend(() => {
          if (world.lockHolder !== undefined) return Effect.fail(new LockHeld({ holder: world.lockHolder.name }))
          world.lockHolder = process
          return Effect.void
        })
      }),
      () =>
        Effect.sync(() => {
          if (world.lockHolder === process) world.lockHolder = undefined
        })
    )),
  holder: Effect.sync(() => Option.map(Option.fromNullable(world.lockHolder), ({ name }) => name))
})

const deadMan = (world: World, process: SimProcess): DeadMan["Type"] => ({
  arm: Effect.asVoid(Effect.acquireRelease(
    world.boundary(process, {
      place: "dead-man",
      name: "arm the dead-man",
      error: () => new DeadManUnavailable({ reason: "broken" }),
      effect: Effect.sync(() => void world.armed.add(process))
    }),
    () => Effect.sync(() => world.armed.delete(process))
  ))
})

/** The memory of the daemon: durable when a write has returned. */
const memory = (world: World, process: SimProcess, kept: { state: WatchState | undefined }): WatchStore["Type"] => {
  const step = <A>(operation: WatchStoreError["operation"], effect: () => A) =>
    world.boundary(process, {
      place: "memory",
      name: `memory ${operation}`,
      error: () => new WatchStoreError({ operation, reason: "broken" }),
      effect: Effect.sync(effect)
    })
  return {
    claim: Effect.suspend(() => {
      const other = [...world.processes].some((one) => one !== process && one.name === process.name)
      return other ? new WatchClaimed() : Effect.void
    }),
    alive: Effect.succeed(true),
    write: (state) => step("keep", () => void (kept.state = state)),
    read: step("read", () => Option.fromNullable(kept.state))
  }
}

/** Everything that a program needs of this machine. */
export const services = (
  world: World,
  process: SimProcess,
  agent: AgentClient["Type"],
  options: { readonly runId: () => string; readonly kept: { state: WatchState | undefined } }
): Context.Context<AgentClient | DeadMan | MarkerStore | RunLock | StackControl | WatchStore> =>
  Context.make(AgentClient, agent).pipe(
    Context.add(DeadMan, deadMan(world, process)),
    Context.add(MarkerStore, markers(world, process)),
    Context.add(RunLock, lock(world, process)),
    Context.add(StackControl, control(world, process, options.runId)),
    Context.add(WatchStore, memory(world, process, options.kept))
  )
