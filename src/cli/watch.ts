/**
 * `quiesce watch`.
 */
import * as Command from "@effect/cli/Command"
import { Context, Effect } from "effect"
import { ExitCode } from "../domain/Report.ts"
import type { WatchEvent } from "../domain/WatchEvent.ts"
import type { ResolvedConfig } from "../layers/ConfigFile.ts"
import { Workspace } from "../layers/Workspace.ts"
import type { QuiesceOptions } from "../programs/quiesce.ts"
import { watch } from "../programs/watch.ts"
import { LiveStatus } from "../services/LiveStatus.ts"
import { ReportStore } from "../services/ReportStore.ts"
import { Supervisor } from "../services/Supervisor.ts"
import * as Common from "./common.ts"
import { CommandFailed, UsageError } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import { perform } from "./perform.ts"
import { Process } from "./Process.ts"
import { supervised } from "./supervised.ts"
import * as WatchText from "./watchText.ts"

/** A daemon that could never do anything is a mistake of the file. */
const checkPurpose = ({ agent, file, watch }: ResolvedConfig) =>
  watch.schedule.length > 0 || (agent._tag === "Http" && watch.requests)
    ? Effect.void
    : new UsageError({
      command: "quiesce watch",
      problem: `quiesce watch: there is nothing to wait for: this agent never asks for a backup; `
        + `add the key watch.schedule to ${file}, such as: watch: { schedule: "30 3 * * *" }`
    })

const daemon = Effect.fnUntraced(function*({ policy, watch: wanted }: ResolvedConfig, json: boolean) {
  const output = yield* Output
  const process = yield* Process
  const supervisor = yield* Supervisor
  const shown = Context.pick(Output, ReportStore, LiveStatus)(
    yield* Effect.context<Output | ReportStore | LiveStatus>()
  )
  const tell = (event: WatchEvent) =>
    (json ? output.stdout(`${JSON.stringify(event)}\n`) : output.stderr(WatchText.line(event))).pipe(
      Effect.zipRight(supervisor.status(WatchText.words(event))),
      // it has the daemon's claim, and recovers next; an app that does not come up is no reason to be ended
      Effect.zipRight(event.event === "started" ? supervisor.ready : Effect.void),
      Effect.zipRight(
        event.event === "stopped" && event.down ? process.concluded(ExitCode.appDown) : Effect.void
      )
    )
  const run = (options: QuiesceOptions) => Effect.provide(perform(policy, { ...options, json }), shown)
  return yield* watch(wanted, policy, { tell, perform: run, interruptedExitCode: process.interrupted }).pipe(
    Effect.catchTags({
      WatchClaimed: ({ message }) => new CommandFailed({ exitCode: ExitCode.busy, reason: message }),
      OtherMachine: ({ message }) => new CommandFailed({ exitCode: ExitCode.refused, reason: message }),
      WatchStoreError: ({ message }) => new CommandFailed({ exitCode: ExitCode.refused, reason: message })
    })
  )
})

const options = { config: Options.config, json: Options.json }
const description =
  "Stays: starts what a dead run left down, then takes the backups that are due and those that the agent asks for."

export const command = Command.make(
  "watch",
  { config: options.config.option, json: options.json.option },
  Effect.fn("watch command")(function*({ config, json }) {
    const workspace = yield* Workspace
    const found = yield* Common.load(config)
    yield* checkPurpose(found)
    const services = yield* workspace.services(found)
    return yield* supervised(Effect.provide(daemon(found, json), services))
  }, Effect.scoped)
)

export const rule = Options.leaf(description, options)
