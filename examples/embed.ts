/**
 * An app that backs itself up: a worker appends notes to a file, and pauses only until the copy of its directory exists.
 *
 * DIRECTORY=/tmp/notes: the notes are in `data` below it, the archives in `backups`.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as FileSystem from "@effect/platform/FileSystem"
import { Config, Console, Context, Duration, Effect, FiberHandle, Layer, Option, Ref, Schedule } from "effect"
import {
  AgentClientLocal,
  DeadMan,
  EventSink,
  MarkerStoreFile,
  Policy,
  quiesce,
  recover,
  RunLockFlock,
  SnapshotterCopy,
  Stack,
  StackControl,
  TransferArchive
} from "quiesce"

/** The part of the app that must stand still while its directory is copied. */
class Worker extends Context.Tag("example/Worker")<Worker, {
  readonly resume: Effect.Effect<void>
  /** Returns when the write in hand is done. */
  readonly pause: Effect.Effect<void>
  readonly isRunning: Effect.Effect<boolean>
  /** How often it was resumed. */
  readonly starts: Effect.Effect<number>
}>() {}

const worker = (data: string) =>
  Layer.scoped(
    Worker,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(data, { recursive: true })
      const fiber = yield* FiberHandle.make<void>()
      const starts = yield* Ref.make(0)
      const write = Effect.orDie(fs.writeFileString(`${data}/notes.txt`, "one more note\n", { flag: "a" }))
      const work = Effect.uninterruptible(write).pipe(Effect.repeat(Schedule.spaced("5 millis")), Effect.asVoid)
      const resume = Effect.zipRight(Ref.update(starts, (n) => n + 1), FiberHandle.run(fiber, work))
      yield* resume
      return {
        resume: Effect.asVoid(resume),
        pause: FiberHandle.clear(fiber),
        isRunning: Effect.map(Effect.option(FiberHandle.get(fiber)), Option.isSome),
        starts: Ref.get(starts)
      }
    })
  )

const stack = Stack.StackName.make("notes")
const unit: Stack.Unit = {
  id: Stack.UnitId.make("worker"),
  stopTimeoutMs: 5_000,
  startTimeoutMs: 5_000,
  identity: {}
}

/** The worker as a stack of one unit. Nothing in quiesce knows what a worker is. */
const control = Layer.effect(
  StackControl.StackControl,
  Effect.map(Worker, (worker) => {
    const observe = Effect.gen(function*() {
      const state = (yield* worker.isRunning) ? "running" : "stopped"
      return { unit, state, stamp: String(yield* worker.starts) } as const
    })
    return {
      stacks: Effect.succeed([stack]),
      inspect: (name) =>
        name === stack
          ? Effect.map(observe, (seen) => ({
            units: { stack, control: "worker", units: [unit] },
            observations: [seen]
          }))
          : new StackControl.StackNotFound({ stack: name, known: [stack] }),
      observe: () => observe,
      prepare: () => Effect.void,
      stop: () => Effect.as(worker.pause, { clean: true }),
      start: () => worker.resume,
      interference: () => Effect.succeed([])
    }
  })
)

/** When this process dies the worker dies with it: whoever starts the app again starts the worker. */
const deadMan = Layer.succeed(DeadMan.DeadMan, { arm: Effect.void })

/** `emit` must not wait: it is called while the worker stands still. */
const events = Layer.succeed(EventSink.EventSink, {
  emit: (event) => event.type === "stack" ? Console.log(`${event.stack} is ${event.state}`) : Effect.void
})

const live = (directory: string) => {
  const [source, stateDir] = [`${directory}/data`, `${directory}/state`]
  const agent = AgentClientLocal.layer({ source, stateDir }).pipe(
    Layer.provide(SnapshotterCopy.layer({ source, stateDir })),
    Layer.provide(TransferArchive.layer({ to: `${directory}/backups`, name: "notes", stateDir, source }))
  )
  return Layer.mergeAll(
    control,
    agent,
    MarkerStoreFile.layer({ stateDir }),
    RunLockFlock.layer({ stateDir }),
    deadMan,
    events
  ).pipe(Layer.provide(worker(source)))
}

const policy: Policy.RunPolicy = {
  ...Policy.defaults,
  stacks: [{ stack, maxDowntime: Duration.seconds(10), maxDowntimeWithoutSnapshot: Duration.seconds(10) }]
}

const backUp = quiesce(policy).pipe(
  Effect.tap(({ artifact, consistency, stacks }) =>
    Console.log(`${consistency.level} consistent: ${artifact}, the worker stood still for ${stacks[0]?.downtimeMs} ms`)
  ),
  Effect.catchTags({
    // the one that must wake somebody up
    ResumeFailed: (error) => Effect.logFatal(error.message),
    BackupFailed: ({ report }) => Effect.logError(`no backup: ${report.error}`),
    RunAborted: ({ report }) => Effect.logError(`no backup: ${report.error}`),
    RunRefused: ({ report }) => Effect.logError(`nothing was touched: ${report.error}`),
    RunBusy: ({ report }) => Effect.logInfo(`another time: ${report.error}`)
  })
)

const program = Effect.gen(function*() {
  // first what an earlier life of this app may have left: a marker, a copy, half an archive
  const { markers } = yield* recover(policy)
  yield* Console.log(`${markers} markers of dead runs`)
  // a real app would repeat this by a Schedule.cron
  yield* backUp
})

Config.string("DIRECTORY").pipe(
  Effect.flatMap((directory) => Effect.provide(program, live(directory))),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain
)
