/**
 * The state of a live run as the file `<stateDir>/live.json`.
 */
import { Effect, Layer, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { LiveRun } from "../domain/LiveRun.ts"
import { LiveStatus } from "../services/LiveStatus.ts"

const LiveRunJson = Schema.parseJson(LiveRun)

const make = (options: { readonly stateDir: string }): LiveStatus["Type"] => {
  const file = Path.join(Path.resolve(options.stateDir), "live.json")
  const temporary = `${file}.tmp`
  // replaced as a whole, so that a reader never sees half of it; not synced: it means nothing after a crash
  const write = (text: string) =>
    Effect.ignore(Effect.tryPromise(() =>
      Fs.unlink(temporary).catch(() => undefined)
        .then(() => Fs.writeFile(temporary, text, { flag: "wx", mode: 0o600 }))
        .then(() => Fs.rename(temporary, file))
    ))
  return {
    publish: (live) => Effect.flatMap(Effect.orDie(Schema.encode(LiveRunJson)(live)), write),
    clear: Effect.ignore(Effect.tryPromise(() => Fs.unlink(file))),
    read: Effect.tryPromise(() => Fs.readFile(file, "utf8")).pipe(
      Effect.flatMap(Schema.decode(LiveRunJson)),
      Effect.option
    )
  }
}

/** Shows the live run in the state directory. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<LiveStatus> =>
  Layer.sync(LiveStatus, () => make(options))
