/**
 * The engine that lets Proxmox VE itself take the backups of a guest, asked by its API.
 */
import { Effect, Option, Schedule, Schema } from "effect"
import type { RunId } from "../../domain/RunId.ts"
import { Upid } from "../../domain/Upid.ts"
import type { VzdumpConfig } from "../../domain/VzdumpConfig.ts"
import { type Engine, EngineFailed, type EngineJob, EngineRefused } from "../../services/Engine.ts"
import { stopwatch } from "../monotonic.ts"
import { notesOf } from "../vzdump/command.ts"
import type { Proxmox } from "./client.ts"
import type { ProxmoxError } from "./errors.ts"
import { follow } from "./follow.ts"
import { isTransient, mayBeDone, toAgent } from "./meaning.ts"
import type { Patience } from "./patience.ts"
import { offer } from "./preflight.ts"

/** Between two looks at what else runs, with the app up. */
const queuePoll = "2 seconds"
/** How often a task is looked for whose beginning was not answered. */
const searches = 3
/** How long, in milliseconds, the beginning is asked for again: the app is down. */
const budget = 15_000
const pause = "1 second"
/** How long it is tried to end an unwanted task, which gets SIGKILL after 5 seconds. */
const stopLimit = "5 minutes"

/** What is asked for. A wait for the lock would be one with the app down; `remove` prunes older backups. */
export const parametersOf = (config: VzdumpConfig, runId: RunId): Readonly<Record<string, string | number>> => {
  const { compress = "zstd", fleecingStorage, mode = "snapshot", prune, storage, vmid } = config
  return {
    vmid,
    mode,
    storage,
    compress: compress === "none" ? "0" : compress,
    remove: prune === true ? 1 : 0,
    lockwait: 0,
    "notes-template": notesOf({}, runId),
    ...config.protected === true ? { protected: 1 } : {},
    ...fleecingStorage === undefined ? {} : { fleecing: `enabled=1,storage=${fleecingStorage}` }
  }
}

const failed = (error: ProxmoxError) => new EngineFailed({ reason: toAgent(error).message })

/** An engine for one guest. */
export const make = (proxmox: Proxmox, config: VzdumpConfig, patience: Patience): Engine => {
  const { vmid } = config

  const isOurs = (upid: Upid) => upid.endsWith(`:${proxmox.user}:`)

  /** The task that our order has begun, though nobody has said so: the first one, which has the lock of the host. */
  const sought = (before: ReadonlySet<string>) =>
    proxmox.tasks(vmid).pipe(
      Effect.map((newestFirst) => newestFirst.findLast((upid) => !before.has(upid) && isOurs(upid))),
      Effect.orElseSucceed(() => undefined),
      Effect.tap((found) => found === undefined ? Effect.sleep(pause) : Effect.void),
      Effect.repeat({ until: (found) => found !== undefined, times: searches - 1 })
    )

  /**
   * Begins it once. What is there in the moment of the order is not ours: a backup that is older than the quiet app must
   * not be taken for it. A second task of ours cannot run beside a first one: it does not wait for the lock.
   */
  const begin = Effect.fnUntraced(function*(job: EngineJob) {
    const spent = yield* stopwatch
    let before: ReadonlySet<string> | undefined
    for (;;) {
      if (yield* job.cancelled) return yield* new EngineFailed({ reason: "cancelled" })
      const known = before
      const begun = yield* Effect.either(
        Effect.gen(function*() {
          if (known !== undefined) return yield* proxmox.vzdump(parametersOf(config, job.runId))
          before = new Set<string>(yield* proxmox.tasks(vmid))
          return undefined
        })
      )
      if (begun._tag === "Right") {
        if (begun.right === undefined) continue
        if (begun.right !== "OK") return begun.right
        return yield* new EngineFailed({
          reason:
            `guest ${vmid} is not on node ${proxmox.node}, so nothing was backed up: 'node' must be the one it is on`
        })
      }
      const found = known !== undefined && mayBeDone(begun.left) ? yield* sought(known) : undefined
      if (found !== undefined) return found
      if ((yield* spent) >= budget || !isTransient(begun.left)) return yield* failed(begun.left)
      yield* Effect.sleep(pause)
    }
  })

  /** Returns when the task was seen to have ended: who cancels is told no sooner that it has. */
  const stop = (upid: Upid) =>
    Effect.zipRight(proxmox.stop(upid), proxmox.status(upid)).pipe(
      Effect.map(({ status }) => status === "stopped"),
      Effect.catchAll(({ message }) => Effect.as(Effect.logWarning(message), false)),
      Effect.repeat({
        until: (stopped) => stopped,
        schedule: Schedule.identity<boolean>().pipe(Schedule.addDelay(() => pause))
      }),
      Effect.interruptible,
      Effect.timeoutOption(stopLimit),
      Effect.asVoid
    )

  /** An unwanted backup is ended, also one that was begun in the moment in which it became unwanted. */
  const followed = (job: EngineJob, upid: Effect.Effect<Upid, EngineFailed>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(upid, (upid) =>
        restore(follow(proxmox, patience, job, { upid, vmid })).pipe(
          Effect.onInterrupt(() => Effect.whenEffect(stop(upid), job.cancelled))
        ))
    )

  const run = Effect.fn("proxmox.run")(function*(job: EngineJob) {
    yield* Effect.repeat(patience.ask(proxmox.running), {
      until: (tasks) => tasks.length === 0,
      schedule: Schedule.identity<ReadonlyArray<Upid>>().pipe(Schedule.addDelay(() => queuePoll))
    })
    yield* job.ready(config.mode === "stop" ? "stop" : undefined)
    return yield* followed(job, Effect.tap(begin(job), (upid) => job.remember(upid)))
  })

  return {
    survives: true,
    preflight: Effect.mapError(offer(proxmox, config), ({ message }) => new EngineRefused({ reason: message })),
    prepare: Effect.void,
    run,
    resume: (job, handle) => {
      const upid = Schema.decodeUnknownOption(Upid)(handle)
      return Option.isSome(upid)
        ? followed(job, Effect.succeed(upid.value))
        : new EngineFailed({ reason: "the backup was not begun" })
    },
    sweep: Effect.succeed([])
  }
}
