/**
 * The engine that lets Proxmox VE's vzdump take the backups of a guest, on the host of that guest.
 *
 * A vzdump goes on without the agent, and is found again by its run directory. One that the host has started by itself
 * is found by its UPID; it is followed, and never ended.
 */
import { Clock, Effect, Either, Option, Schedule, Schema } from "effect"
import { decode, taskLogPath, Upid } from "../domain/Upid.ts"
import { isExecutable } from "../internal/executable.ts"
import * as Command from "../internal/vzdump/command.ts"
import * as Ends from "../internal/vzdump/ends.ts"
import { follow } from "../internal/vzdump/follow.ts"
import * as GuestConfig from "../internal/vzdump/guestConfig.ts"
import * as Host from "../internal/vzdump/host.ts"
import * as HostLock from "../internal/vzdump/hostLock.ts"
import { launch } from "../internal/vzdump/launch.ts"
import * as Offer from "../internal/vzdump/offer.ts"
import * as RunDirectory from "../internal/vzdump/runDirectory.ts"
import * as Storages from "../internal/vzdump/storages.ts"
import { terminate } from "../internal/vzdump/terminate.ts"
import { type Engine, EngineFailed, type EngineJob, EngineRefused } from "../services/Engine.ts"

/** Which guest is backed up, where to and how. */
export interface EngineVzdumpOptions extends Command.VzdumpOptions {
  /** Where the run directories are. Several guests may share it. */
  readonly stateDir: string
  /** Where the host has its things, when it is not as Proxmox VE has them. */
  readonly host?: Partial<Host.VzdumpHost> | undefined
}

const refused = Effect.mapError(({ message }: { readonly message: string }) => new EngineRefused({ reason: message }))

const pollInterval = "1 second"

/** An engine for one guest of this host. Needs root. */
export const make = (options: EngineVzdumpOptions): Effect.Effect<Engine> => Effect.sync(() => engineOf(options))

const engineOf = (options: EngineVzdumpOptions): Engine => {
  const { stateDir, vmid } = options
  const host: Host.VzdumpHost = { ...Host.defaults, ...options.host }
  const guest = GuestConfig.require(host.guestConfigDir, vmid)

  /** What keeps vzdump from a backup now, in words. */
  const hindrance = Effect.gen(function*() {
    const { lock } = yield* guest
    if (lock !== undefined) return `guest ${vmid} is locked (${lock})`
    return (yield* HostLock.isFree(host.lockFile)) ? undefined : "another vzdump holds the lock of the host"
  })

  const untilFree = Effect.repeat(hindrance, {
    until: (reason) => reason === undefined,
    schedule: Schedule.spaced(pollInterval)
  })

  const sweep = Effect.flatMap(Clock.currentTimeMillis, (now) => RunDirectory.sweep(stateDir, now))

  const followRun = (job: EngineJob, directory: RunDirectory.RunDirectory, writer?: number) =>
    follow(job, {
      vmid,
      log: directory.log,
      watched: directory.path,
      ended: Ends.ofRun(host, directory, writer)
    })

  /** An interruption that is no cancel is the end of the agent alone. */
  const endedWithJob = (job: EngineJob, directory: RunDirectory.RunDirectory) =>
    Effect.onInterrupt(() => Effect.whenEffect(terminate(directory), job.cancelled))

  const run = Effect.fn("EngineVzdump.run")(function*(job: EngineJob) {
    const checked = yield* Either.mapLeft(Command.check(options), (reason) => new EngineFailed({ reason }))
    yield* Effect.ignoreLogged(sweep)
    yield* untilFree
    const directory = RunDirectory.at(stateDir, job.runId)
    const log = yield* RunDirectory.prepare(stateDir, directory)
    yield* job.ready(options.mode === "stop" ? "stop" : undefined)
    const late = yield* hindrance
    if (late !== undefined) {
      return yield* new EngineFailed({ reason: `${late}, since the moment in which the app was told to stop` })
    }
    const argv = Command.argv(host.vzdump, checked, yield* guest, job.runId)
    yield* job.remember(directory.path)
    return yield* Effect.flatMap(
      launch(directory, log.fd, argv),
      (writer) => followRun(job, directory, writer)
    ).pipe(endedWithJob(job, directory))
  })

  const resume = Effect.fn("EngineVzdump.resume")(function*(job: EngineJob, handle: string | undefined) {
    const upid = Schema.decodeUnknownOption(Upid)(handle)
    if (Option.isSome(upid)) {
      const { id, type } = decode(upid.value)
      if (type !== "vzdump" || (id !== "" && id !== `${vmid}`)) {
        return yield* new EngineFailed({ reason: `the task ${upid.value} is no backup of guest ${vmid}` })
      }
      const log = taskLogPath(upid.value, host.tasksDir)
      return yield* follow(job, { vmid, log, watched: log, ended: Ends.ofTask(upid.value) })
    }
    const directory = RunDirectory.at(stateDir, job.runId)
    if (handle === undefined || (yield* RunDirectory.giveUp(directory))) {
      return yield* new EngineFailed({ reason: "the agent ended before vzdump was started" })
    }
    return yield* followRun(job, directory).pipe(endedWithJob(job, directory))
  })

  const preflight = Effect.gen(function*() {
    yield* Either.mapLeft(Command.check(options), (reason) => new EngineRefused({ reason }))
    if (!(yield* isExecutable(host.vzdump, "/"))) {
      return yield* new EngineRefused({ reason: `${host.vzdump} is not there: is this a Proxmox VE host?` })
    }
    const offer = Offer.make(options, yield* refused(guest), yield* Storages.read(host.guestConfigDir))
    return "refusal" in offer ? yield* new EngineRefused({ reason: offer.refusal }) : offer
  }).pipe(Effect.withSpan("EngineVzdump.preflight"))

  return { survives: true, preflight, prepare: Effect.void, run, resume, sweep: refused(sweep) }
}
