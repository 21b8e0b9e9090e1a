/**
 * `quiesce plan`, and what `quiesce run --dry-run` shows.
 */
import * as Command from "@effect/cli/Command"
import { Duration, Effect } from "effect"
import * as DurationText from "../domain/DurationText.ts"
import type { Plan } from "../domain/Plan.ts"
import { ExitCode } from "../domain/Report.ts"
import { Workspace } from "../layers/Workspace.ts"
import { plan } from "../programs/plan.ts"
import * as Common from "./common.ts"
import { CommandFailed } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"

const toJson = (found: Plan) => ({
  type: "plan",
  schemaVersion: 1,
  stacks: found.stacks.map(({ held, idle, policy, units }) => ({
    stack: policy.stack,
    control: units.control,
    held: held.map(({ id }) => id),
    idle: idle.map(({ id }) => id),
    maxDowntimeMs: Duration.toMillis(policy.maxDowntime),
    maxDowntimeWithoutSnapshotMs: Duration.toMillis(policy.maxDowntimeWithoutSnapshot)
  }))
})

const toText = (found: Plan): string =>
  found.stacks.map(({ held, idle, policy }) => {
    const names = (units: typeof held) => units.map(({ id }) => id).join(", ")
    const down = idle.length === 0 ? "" : ` (down already, stays down: ${names(idle)})`
    return held.length === 0
      ? `${policy.stack}: is down and stays down\n`
      : `${policy.stack}: would stop ${names(held)}, for at most ${DurationText.format(policy.maxDowntime)}${down}\n`
  }).join("")

/** Makes the plan and prints it. */
export const printPlan = Effect.fnUntraced(function*(stacks: Parameters<typeof plan>[0], json: boolean) {
  const output = yield* Output
  const found = yield* plan(stacks).pipe(
    Effect.mapError((error) => new CommandFailed({ exitCode: ExitCode.refused, reason: error.message }))
  )
  yield* output.stdout(json ? `${JSON.stringify(toJson(found))}\n` : toText(found))
})

const options = { config: Options.config, stack: Options.stack, json: Options.json }
const description = "Says what a run would stop, from what is running now. Touches nothing."

export const command = Command.make(
  "plan",
  { config: options.config.option, stack: options.stack.option, json: options.json.option },
  Effect.fn("plan command")(function*({ config, json, stack }) {
    const workspace = yield* Workspace
    const found = yield* Common.load(config)
    const { stacks } = yield* Common.select("plan", found, stack)
    const services = yield* workspace.services(found)
    yield* Effect.provide(printPlan(stacks, json), services)
  }, Effect.scoped)
)

export const rule = Options.leaf(description, options)
