/**
 * The daemon of a configuration file with a schedule that no file can say: a backup is due in every second. Bundled.
 *
 * argv: one JSON object. Prints what it tells and what its runs tell as lines of JSON, until it is ended.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array as Arr, Cron, Effect } from "effect"
import { EventSink } from "../../src/services/EventSink.ts"
import * as Main from "../../src/layers/Main.ts"
import { Workspace } from "../../src/layers/Workspace.ts"
import { watch } from "../../src/programs/watch.ts"

export interface AgentWatchTask {
  readonly config: string
  /** The built binary: the dead-man recovers with it. */
  readonly bin: string
}

const everySecond = {
  expression: "every second",
  cron: Cron.make({ seconds: Arr.range(0, 59), minutes: [], hours: [], days: [], months: [], weekdays: [] })
}

const say = (line: unknown) => Effect.sync(() => void process.stdout.write(`${JSON.stringify(line)}\n`))

const main = ({ bin, config }: AgentWatchTask) =>
  Effect.scoped(Effect.gen(function*() {
    const workspace = yield* Workspace
    const found = yield* workspace.load(config)
    const services = yield* workspace.services(found)
    return yield* watch({ ...found.watch, schedule: [everySecond] }, found.policy, { tell: say }).pipe(
      Effect.provideService(EventSink, { emit: say }),
      Effect.provide(services)
    )
  })).pipe(
    Effect.provide(
      Main.layer({ cwd: "/", home: "/nonexistent", isRoot: process.geteuid?.() === 0, self: [process.execPath, bin] })
    )
  )

if (process.argv[1]?.endsWith("agentWatchProcess.mjs") === true) {
  NodeRuntime.runMain(Effect.provide(main(JSON.parse(process.argv[2] ?? "{}")), NodeFileSystem.layer))
}
