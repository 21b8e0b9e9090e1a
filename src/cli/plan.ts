/**
 * `quiesce plan`, and what `quiesce run --dry-run` shows.
 */
import * as Command from "@effect/cli/Command"
import { Duration, Effect, Either, Option } from "effect"
import type { EffectiveMode } from "../domain/Backup.ts"
import * as DurationText from "../domain/DurationText.ts"
import type { Plan, PlannedStack } from "../domain/Plan.ts"
import { ExitCode, type Report } from "../domain/Report.ts"
import { Workspace } from "../layers/Workspace.ts"
import { plan } from "../programs/plan.ts"
import { AgentClient, type AgentOffer } from "../services/AgentClient.ts"
import { MarkerStore } from "../services/MarkerStore.ts"
import { ReportStore } from "../services/ReportStore.ts"
import { RunLock } from "../services/RunLock.ts"
import * as Common from "./common.ts"
import { CommandFailed } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import * as Text from "./text.ts"

/** What is found out for a plan. */
interface Found {
  readonly plan: Plan
  /** What the agent would do, or why a run would be refused now; not asked beside a live run. */
  readonly agent: Either.Either<AgentOffer, string> | undefined
  /** The downtimes (ms) of the last good runs, by stack. */
  readonly downtimes: ReadonlyMap<string, ReadonlyArray<number>>
}

const median = (values: ReadonlyArray<number>): number | null =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null

const expected = (found: Found, stack: string) => median(found.downtimes.get(stack) ?? [])

const refusal = ({ agent }: Found) => agent !== undefined && Either.isLeft(agent) ? agent.left : null

const toJson = (found: Found) => ({
  type: "plan",
  schemaVersion: 1,
  stacks: found.plan.stacks.map(({ held, idle, policy, units }) => ({
    stack: policy.stack,
    control: units.control,
    held: held.map(({ id }) => id),
    idle: idle.map(({ id }) => id),
    maxDowntimeMs: Duration.toMillis(policy.maxDowntime),
    maxDowntimeWithoutSnapshotMs: Duration.toMillis(policy.maxDowntimeWithoutSnapshot),
    expectedDowntimeMs: expected(found, policy.stack)
  })),
  agent: found.agent !== undefined && Either.isRight(found.agent)
    ? {
      mode: found.agent.right.mode ?? null,
      snapshotter: found.agent.right.snapshotter ?? null,
      notes: found.agent.right.notes
    }
    : null,
  refused: refusal(found)
})

const modes: Record<EffectiveMode, string> = {
  snapshot: "down until the storage snapshot exists",
  copy: "down until a private copy is complete",
  suspend: "down until the guest stands still at the snapshot",
  stop: "down until the backup is done, because this storage cannot snapshot"
}

const stackText = (found: Found, { held, idle, policy }: PlannedStack) => {
  const names = (units: typeof held) => units.map(({ id }) => id).join(", ")
  const mode = found.agent !== undefined && Either.isRight(found.agent) ? found.agent.right.mode : undefined
  const limit = mode === "stop" ? policy.maxDowntimeWithoutSnapshot : policy.maxDowntime
  const before = expected(found, policy.stack)
  if (held.length === 0) return `${policy.stack}: is down and stays down\n`
  return [
    `${policy.stack}: would stop ${names(held)}, for at most ${DurationText.format(limit)}`,
    idle.length === 0 ? "" : ` (down already, stays down: ${names(idle)})`,
    before === null ? "" : `; the last runs took ${Text.elapsed(before)}`,
    "\n"
  ].join("")
}

const agentText = ({ agent }: Found) => {
  if (agent === undefined) return "agent: not asked, a run is under way\n"
  if (Either.isLeft(agent)) return `a run would be refused now: ${agent.left}\n`
  const { mode, notes, snapshotter } = agent.right
  const by = snapshotter === undefined ? "" : ` (${snapshotter})`
  return [`agent: ${mode === undefined ? "ready" : modes[mode]}${by}`, ...notes].join("\n  ") + "\n"
}

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

/**
 * Makes the plan and prints it, with what the agent would do. Fails when a run would be refused: the plan is printed
 * all the same.
 */
export const printPlan = Effect.fnUntraced(function*(stacks: Parameters<typeof plan>[0], json: boolean) {
  const output = yield* Output
  const reports = yield* ReportStore
  const found: Found = {
    plan: yield* plan(stacks).pipe(
      Effect.mapError((error) => new CommandFailed({ exitCode: ExitCode.refused, reason: error.message }))
    ),
    agent: yield* checks,
    downtimes: downtimes(yield* Effect.orElseSucceed(reports.list, () => []))
  }
  yield* output.stdout(
    json
      ? `${JSON.stringify(toJson(found))}\n`
      : [...found.plan.stacks.map((stack) => stackText(found, stack)), agentText(found)].join("")
  )
  if (refusal(found) !== null) return yield* Common.conclude(ExitCode.refused)
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
