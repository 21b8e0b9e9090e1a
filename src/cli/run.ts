/**
 * `quiesce run`.
 */
import * as Command from "@effect/cli/Command"
import { Effect } from "effect"
import type { RunPolicy } from "../domain/Policy.ts"
import type { Report } from "../domain/Report.ts"
import { Workspace } from "../layers/Workspace.ts"
import * as Common from "./common.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import { perform } from "./perform.ts"
import { printPlan } from "./plan.ts"
import { Process } from "./Process.ts"
import * as Text from "./text.ts"

const realRun = Effect.fnUntraced(function*(policy: RunPolicy, json: boolean) {
  const output = yield* Output
  const process = yield* Process
  const reported = (report: Report) =>
    Effect.zipRight(
      process.concluded(report.exitCode),
      json ? Effect.void : output.stdout(Text.report(report))
    )
  return yield* perform(policy, { json, reported, interruptedExitCode: process.interrupted }).pipe(
    Effect.map(({ exitCode }) => exitCode),
    Effect.catchAll(({ report }) => Effect.succeed(report.exitCode))
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
    const exitCode = yield* Effect.provide(realRun(policy, json), services)
    return yield* Common.conclude(exitCode)
  }, Effect.scoped)
)

export const rule = Options.leaf(description, options)
