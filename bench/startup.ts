/**
 * What a start of the binary costs, against a start of Node alone. It counts when an app has to come back.
 */
import { Effect } from "effect"
import { quiesce } from "../demo/lib/quiesce.ts"
import { type Argv, execute } from "../test/lab/postgresInstall.ts"
import { rotated, series } from "./statistics.ts"

const commands: Readonly<Record<"quiesce" | "node", Argv>> = {
  quiesce: quiesce("--version"),
  node: [process.execPath, "-e", "0"]
}

/** Times of the whole process, in turns. */
export const measure = Effect.fn("Bench.startup")(function*(repetitions: number) {
  const times = { quiesce: new Array<number>(), node: new Array<number>() }
  for (let round = 0; round <= repetitions; round++) {
    for (const name of rotated(["quiesce", "node"] as const, round)) {
      const begin = performance.now()
      yield* execute(commands[name])
      // the first round warms the page cache
      if (round > 0) times[name].push(performance.now() - begin)
    }
  }
  return { quiesceVersion: series(times.quiesce), nodeEmpty: series(times.node) }
})
