/**
 * `quiesce plan`, and what `quiesce run --dry-run` shows.
 */
import * as Command from "@effect/cli/Command"
import { Effect, Option } from "effect"
import type { Plan } from "../domain/Plan.ts"
import { ExitCode, type Report } from "../domain/Report.ts"
import { Workspace } from "../layers/Workspace.ts"
import { plan } from "../programs/plan.ts"
import { AgentClient } from "../services/AgentClient.ts"
import { MarkerStore } from "../services/MarkerStore.ts"
import { ReportStore } from "../services/ReportStore.ts"
import { RunLock } from "../services/RunLock.ts"
import { StackControl } from "../services/StackControl.ts"
import * as Common from "./common.ts"
import { CommandFailed } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import * as PlanText from "./planText.ts"

const downtimes = (reports: ReadonlyArray<Report>) => {
  const good = reports.filter(({ outcome }) => outcome === "ok")
  const all = good.flatMap(({ stacks }) => stacks)
  return new Map(all.map(({ stack }) =>
    [
      String(stack),
      all.flatMap((one) => one.stack === stack && one.downtimeMs !== null ? [one.downtimeMs] : [])
    ] as const
  ))
}

/** Every check that a run makes before it stops anything. Beside a live run, its agent is left alone. */
const checks = Effect.gen(function*() {
  const agent = yield* AgentClient
  const markers = yield* MarkerStore
  const lock = yield* RunLock
  const holder = yield* Effect.orElseSucceed(lock.holder, () => Option.none())
  if (Option.isSome(holder)) return undefined
  return yield* Effect.either(
    Effect.mapError(Effect.zipRight(markers.check, agent.preflight), ({ message }) => message)
  )
})

/** What would speak against the claim if the run were now. A run asks again. */
const interference = Effect.fnUntraced(function*({ stacks }: Plan) {
  const control = yield* StackControl
  const found = yield* Effect.forEach(
    stacks,
    ({ policy: { stack }, units: { units } }) =>
      control.interference(stack, units).pipe(
        Effect.map((all) => all.map(({ detail }) => detail)),
        Effect.catchAll(({ message }) => Effect.succeed([message])),
        Effect.map((details) => [stack, details] as const)
      )
  )
  return new Map(found)
})

/**
 * Makes the plan and prints it, with what the agent would do. Fails when a run would be refused: the plan is printed
 * all the same.
 */
export const printPlan = Effect.fnUntraced(function*(stacks: Parameters<typeof plan>[0], json: boolean) {
  const output = yield* Output
  const reports = yield* ReportStore
  const planned = yield* plan(stacks).pipe(
    Effect.mapError((error) => new CommandFailed({ exitCode: ExitCode.refused, reason: error.message }))
  )
  const found: PlanText.Found = {
    plan: planned,
    interference: yield* interference(planned),
    agent: yield* checks,
    downtimes: downtimes(yield* Effect.orElseSucceed(reports.list, () => []))
  }
  yield* output.stdout(json ? `${JSON.stringify(PlanText.toJson(found))}\n` : PlanText.toText(found))
  if (PlanText.refusal(found) !== null) return yield* Common.conclude(ExitCode.refused)
})

const options = { config: Options.config, stack: Options.stack, json: Options.json }
const description =
  "Says what a run would stop and how the backup would be taken, from what is running now. Touches nothing."

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
