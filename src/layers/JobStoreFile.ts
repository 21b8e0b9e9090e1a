/**
 * The journal of an agent as files `<stateDir>/jobs/<guest>/<runId>.json`.
 */
import { Effect, Either, Layer, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { GuestName } from "../domain/Guest.ts"
import { RunId } from "../domain/RunId.ts"
import { errnoOf, reasonOf, removeDurably, replaceDurably } from "../internal/durable.ts"
import * as StateDir from "../internal/stateDir.ts"
import { JobRecord, JobStore, JobStoreError } from "../services/JobStore.ts"

type Operation = JobStoreError["operation"]

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants

const RecordJson = Schema.parseJson(JobRecord, { space: 2 })
const encode = Schema.encode(RecordJson)
const decode = Schema.decodeUnknownEither(RecordJson)
const isGuestName = Schema.is(GuestName)
const isRunId = Schema.is(RunId)

const orFail = (operation: Operation) =>
  Effect.mapError((error: { readonly message: string }) => new JobStoreError({ operation, reason: error.message }))

const make = (options: { readonly stateDir: string }): JobStore["Type"] => {
  const stateDir = Path.resolve(options.stateDir)
  const jobs = Path.join(stateDir, "jobs")
  const directoryOf = (guest: string) => Path.join(jobs, guest)

  const named = (operation: Operation, { guest, runId }: Pick<JobRecord, "guest" | "runId">) =>
    isGuestName(guest) && isRunId(runId)
      ? Effect.void
      : new JobStoreError({ operation, reason: `${JSON.stringify(`${guest}/${runId}`)} is not the name of a backup` })

  const names = (directory: string) =>
    Effect.tryPromise({
      try: () => Fs.readdir(directory),
      catch: (error) => new JobStoreError({ operation: "list", reason: `${directory}: ${reasonOf(error)}` })
    })

  const save = Effect.fn("JobStore.save")(function*(record: JobRecord) {
    yield* named("save", record)
    const directory = directoryOf(record.guest)
    yield* orFail("save")(Effect.forEach([stateDir, jobs, directory], StateDir.ensure, { discard: true }))
    const content = yield* orFail("save")(encode(record))
    yield* orFail("save")(replaceDurably(directory, { name: `${record.runId}.json`, content: `${content}\n` }))
  })

  const read = (guest: string, runId: RunId) => {
    const path = Path.join(directoryOf(guest), `${runId}.json`)
    const text = Effect.tryPromise({
      try: () =>
        Fs.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).then((file) =>
          file.readFile("utf8").finally(() => file.close())
        ),
      catch: (error) => errnoOf(error) === "ENOENT" ? undefined : reasonOf(error)
    })
    return Effect.gen(function*() {
      const found = yield* Effect.either(text)
      if (Either.isRight(found)) {
        const record = decode(found.right)
        if (Either.isRight(record) && record.right.guest === guest && record.right.runId === runId) {
          return [record.right]
        }
      } else if (found.left === undefined) return []
      const flaw = Either.isLeft(found) ? found.left : "it is damaged, or that of another backup"
      yield* Effect.logWarning(`the agent's journal: ${path} is left alone: ${flaw}`)
      return []
    })
  }

  const list: JobStore["Type"]["list"] = Effect.gen(function*() {
    for (const path of [stateDir, jobs]) if (!(yield* orFail("list")(StateDir.check(path)))) return []
    const guests = (yield* names(jobs)).filter((name) => isGuestName(name))
    const records = yield* Effect.forEach(guests, (guest) =>
      Effect.gen(function*() {
        if (!(yield* orFail("list")(StateDir.check(directoryOf(guest))))) return []
        const runs = (yield* names(directoryOf(guest))).flatMap((file) => {
          const runId = file.endsWith(".json") ? file.slice(0, -".json".length) : ""
          return isRunId(runId) ? [runId] : []
        })
        return (yield* Effect.forEach(runs, (runId) => read(guest, runId))).flat()
      }).pipe(Effect.catchAll((error) => Effect.as(Effect.logWarning(error.message), []))))
    // a run id begins with its time
    return records.flat().sort((a, b) => a.runId < b.runId ? -1 : 1)
  }).pipe(Effect.withSpan("JobStore.list"))

  const remove = Effect.fn("JobStore.remove")(function*(record: Pick<JobRecord, "guest" | "runId">) {
    yield* named("remove", record)
    const directory = directoryOf(record.guest)
    if (!(yield* orFail("remove")(StateDir.check(directory)))) return
    yield* orFail("remove")(removeDurably(directory, [`${record.runId}.json`]))
  })

  return { save, list, remove }
}

/** A durable journal in a state directory, which must belong to this user alone. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<JobStore> =>
  Layer.sync(JobStore, () => make(options))
