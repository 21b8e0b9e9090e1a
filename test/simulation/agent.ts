/**
 * The agent of a simulated world: the real backups of guests, over an engine and a journal that can break.
 */
import { Effect, Option, type Scope } from "effect"
import * as Jobs from "../../src/internal/agent/jobs.ts"
import type { BackupStatus } from "../../src/domain/Backup.ts"
import { RunId } from "../../src/domain/RunId.ts"
import {
  AgentAnswerInvalid,
  type AgentClient,
  type AgentError,
  AgentUnavailable,
  BackupUnknown
} from "../../src/services/AgentClient.ts"
import { type Engine, EngineFailed, type EngineJob, EngineRefused } from "../../src/services/Engine.ts"
import { type JobRecord, type JobStore, JobStoreError } from "../../src/services/JobStore.ts"
import type { SimProcess } from "./simulator.ts"
import type { Reading } from "./truth.ts"
import { forever, type World } from "./world.ts"

/** Milliseconds. */
const snapshotTakes = 100
const copyTakes = 1_000
const transferTakes = 1_500
/** Of a world in which the next run comes while the backup of a dead one goes on. */
const longTransferTakes = 6_000

/** Work that goes on without its agent. */
interface Detached {
  readonly guest: string
  readonly runId: string
  phase: "running" | "snapshotted" | "done" | "failed"
  reading: Reading | undefined
}

/** What the host keeps when an agent dies: its journal, the temporary snapshots, the work that goes on. */
export class Host {
  readonly journal = new Map<string, JobRecord>()
  readonly detached = new Map<string, Detached>()
}

const engineOf = (world: World, process: SimProcess, host: Host, guest: string): Engine => {
  const { shape, truth } = world
  const foreign = guest !== shape.guest
  const step = (name: string, effect: Effect.Effect<void> = Effect.void) =>
    foreign ? effect : world.boundary(process, {
      place: "engine",
      name: `engine ${name}`,
      error: () => new EngineFailed({ reason: "broken" }),
      effect
    })
  const wait = (millis: number) => Effect.sleep(millis)
  const isAsked = (job: EngineJob) => {
    if (!truth.asked.has(`${guest}/${job.runId}`)) {
      truth.broken("I10", `${guest} is backed up for a run of another guest`)
    }
  }
  const removeSnapshots = Effect.sync(() => {
    for (const name of truth.snapshots) if (name.startsWith(`${guest}/`)) truth.snapshots.delete(name)
  })
  const work = Effect.fnUntraced(function*(job: EngineJob) {
    isAsked(job)
    const name = `${guest}/${job.runId}`
    const reading = truth.readBegins(guest, job.runId)
    process.whenDead(() => truth.readEnds(reading))
    yield* Effect.addFinalizer(() => Effect.sync(() => truth.readEnds(reading)))
    if (shape.mode !== "stop") {
      yield* Effect.addFinalizer(() => Effect.sync(() => truth.snapshots.delete(name)))
      yield* step(
        "snapshot",
        Effect.sync(() => void truth.snapshots.add(name)).pipe(
          Effect.zipRight(wait(shape.mode === "copy" ? copyTakes : snapshotTakes))
        )
      )
      truth.readEnds(reading)
      truth.told.set(job.runId, world.sim.mono)
      yield* job.report({ phase: "snapshotted", effectiveMode: shape.mode })
    }
    yield* step("transfer", wait(foreign ? shape.queued : shape.runsAgain ? longTransferTakes : transferTakes))
    truth.readEnds(reading)
    reading.complete = true
    if (shape.mode === "stop") truth.told.set(job.runId, world.sim.mono)
    return { location: `${name}.tar` }
  })
  const run = Effect.fnUntraced(function*(job: EngineJob) {
    yield* step("reserve")
    yield* removeSnapshots
    yield* job.ready(shape.mode)
    yield* job.report({ phase: "running" })
    return yield* work(job)
  })

  /** The work of a process that has no parent: only its end in the journal of the host is waited for. */
  const detach = (job: EngineJob): Detached => {
    isAsked(job)
    const work: Detached = { guest, runId: job.runId, phase: "running", reading: truth.readBegins(guest, job.runId) }
    host.detached.set(job.runId, work)
    world.soon(snapshotTakes, () => {
      if (work.phase !== "running") return
      if (work.reading !== undefined) truth.readEnds(work.reading)
      work.phase = "snapshotted"
      truth.told.set(job.runId, world.sim.mono)
    })
    world.soon(snapshotTakes + transferTakes, () => {
      if (work.phase !== "snapshotted") return
      if (work.reading !== undefined) work.reading.complete = true
      work.phase = "done"
    })
    return work
  }
  const end = (work: Detached) => {
    if (work.reading !== undefined) truth.readEnds(work.reading)
    if (work.phase !== "done") work.phase = "failed"
  }
  const follow = Effect.fnUntraced(function*(job: EngineJob, work: Detached) {
    yield* Effect.addFinalizer(() =>
      Effect.map(job.cancelled, (cancelled) => {
        if (cancelled) end(work)
      })
    )
    yield* job.report({ phase: "running", effectiveMode: shape.mode })
    for (;;) {
      yield* step("look at the log")
      if (work.phase === "snapshotted" || work.phase === "done") {
        yield* job.report({ phase: "snapshotted", effectiveMode: shape.mode })
      }
      if (work.phase === "done") return { location: `${guest}/${job.runId}.vma` }
      if (work.phase === "failed") return yield* new EngineFailed({ reason: "the backup failed" })
      yield* Effect.sleep(work.phase === "running" ? 50 : 1_000)
    }
  })
  const launch = Effect.fnUntraced(function*(job: EngineJob) {
    yield* step("reserve")
    yield* job.ready(shape.mode)
    yield* job.remember(job.runId)
    let work: Detached | undefined
    yield* step("launch", Effect.sync(() => void (work = detach(job))))
    if (work === undefined) return yield* new EngineFailed({ reason: "not begun" })
    return yield* follow(job, work)
  })

  const swept = Effect.as(removeSnapshots, [] as ReadonlyArray<string>)
  const broken = new EngineRefused({ reason: "broken" })
  return {
    survives: shape.survives,
    preflight: Effect.mapError(Effect.as(step("preflight"), { mode: shape.mode, notes: [] }), () => broken),
    prepare: Effect.mapError(step("prepare"), () => broken),
    run: shape.survives ? launch : run,
    resume: (job, handle): Effect.Effect<{ readonly location: string }, EngineFailed, Scope.Scope> => {
      isAsked(job)
      if (!shape.survives) {
        return Effect.zipRight(swept, new EngineFailed({ reason: "the agent died in the middle of it" }))
      }
      const work = handle === undefined ? undefined : host.detached.get(handle)
      return work === undefined ? new EngineFailed({ reason: "it was never begun" }) : follow(job, work)
    },
    sweep: Effect.mapError(Effect.zipRight(step("sweep"), swept), () => broken)
  }
}

/** A journal that a power loss of the app's machine does not touch: it is the host's. */
const storeOf = (world: World, process: SimProcess, host: Host): JobStore["Type"] => {
  const keyOf = ({ guest, runId }: Pick<JobRecord, "guest" | "runId">) => `${guest}/${runId}`
  const step = <A>(operation: JobStoreError["operation"], effect: () => A, name = "") =>
    world.boundary(process, {
      place: "journal",
      name: `journal ${operation}${name}`,
      error: () => new JobStoreError({ operation, reason: "broken" }),
      effect: Effect.sync(effect)
    })
  return {
    save: (record) =>
      record.guest === world.shape.guest
        ? step("save", () => void host.journal.set(keyOf(record), record), ` ${record.status.phase}`)
        : Effect.sync(() => void host.journal.set(keyOf(record), record)),
    list: step("list", () => [...host.journal.values()]),
    remove: (record) => Effect.sync(() => void host.journal.delete(keyOf(record)))
  }
}

const other = "mail"

/** The backups of the guests of an agent, by the names of the guests. */
export const backups = Effect.fnUntraced(function*(world: World, process: SimProcess, host: Host) {
  const { shape } = world
  const slots = yield* Effect.makeSemaphore(1)
  const guests = shape.queued > 0 ? [shape.guest, other] : [shape.guest]
  const all = new Map<string, Jobs.Jobs>()
  for (const guest of guests) {
    all.set(
      guest,
      yield* Jobs.make({
        guest,
        engine: engineOf(world, process, host, guest),
        store: storeOf(world, process, host),
        slots,
        readyTimeout: "40 seconds",
        cancelLate: shape.agent === "local"
      })
    )
  }
  return all
})

/** Another guest of the same host takes a backup, and holds the slot. */
export const occupy = (world: World, jobs: ReadonlyMap<string, Jobs.Jobs>) =>
  Effect.gen(function*() {
    const mail = jobs.get(other)
    if (mail === undefined) return
    const runId = RunId.make("0192c1d4-0000-7000-8000-00000000beef")
    world.truth.asked.add(`${other}/${runId}`)
    yield* mail.request(runId)
    for (let status = yield* mail.status(runId, -1, 0); status.phase !== "ready";) {
      status = yield* mail.status(runId, status.revision, "10 seconds")
    }
    yield* mail.quiesced(runId)
  }).pipe(Effect.ignore)

const stranger = RunId.make("00000000-0000-7000-8000-000000000000")

/** How a call reaches the backups: in this process, or in that of the agent. */
export type Reach = <A, E>(use: (jobs: Jobs.Jobs) => Effect.Effect<A, E>) => Effect.Effect<A, E | AgentUnavailable>

/** The agent as its controller sees it. */
export const clientOf = (world: World, process: SimProcess, reach: Reach): AgentClient["Type"] => {
  const { truth } = world
  const isLocal = world.shape.agent === "local"
  const call = <A, E>(name: string, effect: Effect.Effect<A, E>, lie?: Effect.Effect<A, AgentError>) =>
    world.boundary<A, E | AgentError>(process, {
      place: "agent",
      name: `agent ${name}`,
      error: () => new AgentUnavailable({ reason: "broken" }),
      effect,
      lie: lie ?? new AgentAnswerInvalid({ reason: "garbage" })
    })
  /** What an agent may say that is not so; never that a snapshot exists, which nobody could find out. */
  const wrong = (runId: RunId) =>
    Effect.suspend((): Effect.Effect<BackupStatus, AgentError> => {
      switch (world.reached.length % 4) {
        case 0:
          return new AgentAnswerInvalid({ reason: "garbage" })
        case 1:
          return Effect.succeed({ runId: stranger, revision: 99, phase: "snapshotted" })
        case 2:
          return Effect.succeed({ runId, revision: 0, phase: "SNAPSHOTTED" })
        default:
          return Effect.succeed({ runId, revision: 0, phase: "queued" })
      }
    })
  const told = <E>(effect: Effect.Effect<BackupStatus, E>) =>
    Effect.tap(effect, (status) => Effect.sync(() => truth.answered(status)))
  const asked = (runId: string) => Effect.sync(() => void truth.asked.add(`${world.shape.guest}/${runId}`))
  return {
    preflight: call("preflight", reach((jobs) => jobs.preflight)),
    request: (runId) =>
      Effect.zipRight(asked(runId), call("request", told(reach((jobs) => jobs.request(runId))), wrong(runId))),
    prepare: (runId) => call("prepare", reach((jobs) => jobs.prepare(runId))),
    quiesced: (runId) => call("quiesced", told(reach((jobs) => jobs.quiesced(runId))), wrong(runId)),
    status: (runId, after) =>
      call(
        "status",
        told(reach((jobs) => jobs.status(runId, after, isLocal ? "3 seconds" : "4 seconds"))),
        wrong(runId)
      ),
    cancel: (runId) =>
      call(
        "cancel",
        reach((jobs) => jobs.cancel(runId)).pipe(
          Effect.catchAll((error) => error instanceof BackupUnknown ? Effect.void : Effect.fail(error))
        )
      ),
    asked: isLocal ? forever : Effect.flatMap(
      call("asked", reach((jobs) => Effect.repeat(jobs.asked("30 seconds"), { until: Option.isSome }))),
      (found) => Option.isSome(found) ? Effect.succeed(found.value) : forever
    ),
    sweep: isLocal ? call("sweep", reach((jobs) => jobs.sweep)) : Effect.succeed([])
  }
}
