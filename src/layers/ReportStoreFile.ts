/**
 * The last reports as files `<stateDir>/reports/<runId>.json`.
 */
import { Effect, Layer, Option, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { Report } from "../domain/Report.ts"
import { errnoOf, reasonOf, writeDurably } from "../internal/durable.ts"
import * as StateDir from "../internal/stateDir.ts"
import { ReportStore, ReportStoreError } from "../services/ReportStore.ts"

/** How many reports are kept. */
export const limit = 20

const ReportJson = Schema.parseJson(Report, { space: 2 })
const encode = Schema.encode(ReportJson)
const decode = Schema.decodeUnknownOption(ReportJson)

const orFail = (operation: ReportStoreError["operation"]) =>
  Effect.mapError((error: { readonly message: string }) => new ReportStoreError({ operation, reason: error.message }))

const make = (options: { readonly stateDir: string }): ReportStore["Type"] => {
  const stateDir = Path.resolve(options.stateDir)
  const directory = Path.join(stateDir, "reports")

  // a run id begins with its time, so the names sort by age
  const names = (operation: ReportStoreError["operation"]) =>
    Effect.tryPromise({
      try: () =>
        Fs.readdir(directory).catch((error: unknown): Array<string> => {
          if (errnoOf(error) === "ENOENT") return []
          throw error
        }),
      catch: (error) => new ReportStoreError({ operation, reason: `${directory}: ${reasonOf(error)}` })
    }).pipe(Effect.map((files) => files.filter((file) => file.endsWith(".json")).sort().reverse()))

  const remove = (file: string) => Effect.promise(() => Fs.unlink(Path.join(directory, file)).catch(() => undefined))

  const save = Effect.fn("ReportStore.save")(function*(report: Report) {
    yield* Effect.forEach([stateDir, directory], StateDir.ensure, { discard: true }).pipe(orFail("save"))
    const content = yield* orFail("save")(encode(report))
    yield* orFail("save")(writeDurably(directory, [{ name: `${report.runId}.json`, content: `${content}\n` }]))
    yield* Effect.forEach((yield* names("save")).slice(limit), remove, { discard: true })
  })

  const read = (file: string) =>
    Effect.promise(() =>
      Fs.open(Path.join(directory, file), Fs.constants.O_RDONLY | Fs.constants.O_NOFOLLOW | Fs.constants.O_NONBLOCK)
        .then((handle) => handle.readFile("utf8").finally(() => handle.close()))
        .catch(() => "")
    ).pipe(Effect.map((text) => Option.toArray(decode(text))))

  const list: Effect.Effect<ReadonlyArray<Report>, ReportStoreError> = Effect.gen(function*() {
    return (yield* Effect.forEach(yield* names("read"), read)).flat()
  }).pipe(Effect.withSpan("ReportStore.list"))

  return { save, list }
}

/** Keeps the last 20 reports of a state directory. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<ReportStore> =>
  Layer.sync(ReportStore, () => make(options))
