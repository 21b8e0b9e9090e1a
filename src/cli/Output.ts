/**
 * Where the commands write: data on stdout, everything else on stderr.
 */
import { Config, Context, Effect, Layer, Ref } from "effect"

/** What the reader of a stream can show. */
export interface Screen {
  /** A line can be drawn over. */
  readonly redraws: boolean
  readonly color: boolean
  readonly columns: Effect.Effect<number>
}

/** Neither fails nor waits: whoever writes may hold an app down. */
export class Output extends Context.Tag("quiesce/cli/Output")<Output, {
  readonly stdout: (text: string) => Effect.Effect<void>
  readonly stderr: (text: string) => Effect.Effect<void>
  readonly stdoutScreen: Screen
  readonly stderrScreen: Screen
  /** Bytes that stderr has not taken yet: its reader is slow or stopped. */
  readonly stderrBacklog: Effect.Effect<number>
}>() {}

const variable = (name: string) => Config.string(name).pipe(Config.withDefault(""))

/** NO_COLOR (no-color.org) and FORCE_COLOR, which wins, as in Node itself; `TERM=dumb` can neither color nor redraw. */
const taste = Effect.all({
  forced: Effect.map(variable("FORCE_COLOR"), (value) => value !== "" && value !== "0" && value !== "false"),
  refused: Effect.map(variable("NO_COLOR"), (value) => value !== ""),
  dumb: Effect.map(variable("TERM"), (value) => value === "dumb")
}).pipe(Effect.orElseSucceed(() => ({ forced: false, refused: false, dumb: false })))

/** A write to a stream whose reader is gone ends in an `error` event (EPIPE), which the main runtime swallows. */
const writeTo = (stream: NodeJS.WriteStream) => (text: string) =>
  Effect.sync(() => {
    if (stream.writable) stream.write(text)
  })

/** The two streams of this process. */
export const layerProcess: Layer.Layer<Output> = Layer.effect(
  Output,
  Effect.gen(function*() {
    const { dumb, forced, refused } = yield* taste
    const screen = (stream: NodeJS.WriteStream): Screen => ({
      redraws: stream.isTTY && !dumb,
      color: forced || (stream.isTTY && !refused && !dumb),
      columns: Effect.sync(() => stream.columns || 80)
    })
    return {
      stdout: writeTo(process.stdout),
      stderr: writeTo(process.stderr),
      stdoutScreen: screen(process.stdout),
      stderrScreen: screen(process.stderr),
      stderrBacklog: Effect.sync(() => process.stderr.writableLength)
    }
  })
)

/** What was written so far. */
export class Written extends Context.Tag("quiesce/cli/Output/Written")<Written, {
  readonly stdout: Effect.Effect<string>
  readonly stderr: Effect.Effect<string>
}>() {}

/** Keeps what is written. For tests. */
export const layerMemory = (
  options: { readonly redraws?: boolean; readonly color?: boolean; readonly columns?: number } = {}
): Layer.Layer<Output | Written> =>
  Layer.effectContext(Effect.gen(function*() {
    const out = yield* Ref.make("")
    const err = yield* Ref.make("")
    const screen: Screen = {
      redraws: options.redraws ?? false,
      color: options.color ?? false,
      columns: Effect.succeed(options.columns ?? 80)
    }
    return Context.make(Written, { stdout: Ref.get(out), stderr: Ref.get(err) }).pipe(
      Context.add(Output, {
        stdout: (text) => Ref.update(out, (all) => all + text),
        stderr: (text) => Ref.update(err, (all) => all + text),
        stdoutScreen: screen,
        stderrScreen: screen,
        stderrBacklog: Effect.succeed(0)
      })
    )
  }))
