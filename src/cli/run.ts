/**
 * `quiesce run`.
 */
import * as Command from "@effect/cli/Command"
import { Effect, Option } from "effect"
import type { RunPolicy } from "../domain/Policy.ts"
import { Workspace } from "../layers/Workspace.ts"
import { quiesce } from "../programs/quiesce.ts"
import { EventSink } from "../services/EventSink.ts"
import { ReportStore } from "../services/ReportStore.ts"
import * as Common from "./common.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import { printPlan } from "./plan.ts"
import { Process } from "./Process.ts"
import * as Progress from "./progress.ts"
import * as Sinks from "./sinks.ts"
import * as Text from "./text.ts"

/** Where the events of this run go. */
const sinks = Effect.fnUntraced(function*(json: boolean) {
  const output = yield* Output
  const shown = json && !output.stderrScreen.redraws ? [] : [
    yield* Progress.make({ screen: output.stderrScreen, write: output.stderr, backlog: output.stderrBacklog })
  ]
  return [...shown, ...json ? [Sinks.ndjson(output.stdout)] : [], yield* Sinks.live]
})

const realRun = Effect.fnUntraced(function*(policy: RunPolicy, json: boolean) {
  const output = yield* Output
  const process = yield* Process
  const reports = yield* ReportStore
  const kept = yield* Sinks.keepReport
  const sink = Sinks.combine([...yield* sinks(json), kept.sink])

  /** Also after an interruption, which lets no result out but what the sink has kept. */
  const finish = Effect.gen(function*() {
    const report = yield* kept.report
    if (Option.isNone(report)) return undefined
    yield* process.concluded(report.value.exitCode)
    const { outcome } = report.value
    // a run that was turned away is no run: it must not hide the last real one
    if (outcome !== "busy") {
      yield* reports.save(report.value).pipe(
        // a state directory that the run refused is not complained of twice
        Effect.catchAll((error) =>
          outcome === "refused" ? Effect.void : output.stderr(`quiesce: warning: ${error.message}\n`)
        )
      )
    }
    if (!json) yield* output.stdout(Text.report(report.value))
    return report.value.exitCode
  })
  return yield* Effect.uninterruptibleMask((restore) =>
    restore(Effect.provideService(quiesce(policy, { interruptedExitCode: process.interrupted }), EventSink, sink)).pipe(
      Effect.exit,
      Effect.zipLeft(finish),
      Effect.flatten,
      Effect.map(({ exitCode }) => exitCode),
      Effect.catchAll(({ report }) => Effect.succeed(report.exitCode))
    )
  )
})

const options = { config: Options.config, stack: Options.stack, dryRun: Options.dryRun, json: Options.json }
const description =
  "Takes one backup: stops the stacks, lets the snapshot be taken, starts them at once, and follows the "
  + "backup to its end."

export const command = Command.make(
  "run",
  {
    config: options.config.option,
    stack: options.stack.option,
    dryRun: options.dryRun.option,
    json: options.json.option
  },
  Effect.fn("run command")(function*({ config, dryRun: dry, json, stack }) {
    const workspace = yield* Workspace
    const found = yield* Common.load(config)
    const policy = yield* Common.select("run", found, stack)
    const services = yield* workspace.services(found)
    if (dry) return yield* Effect.provide(printPlan(policy.stacks, json), services)
    const exitCode = yield* Effect.provide(Effect.scoped(realRun(policy, json)), services)
    return yield* Common.conclude(exitCode)
  }, Effect.scoped)
)

export const rule = Options.leaf(description, options)
