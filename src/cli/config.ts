/**
 * `quiesce config check` and `quiesce config show`.
 */
import * as Command from "@effect/cli/Command"
import { Duration, Effect } from "effect"
import { stringify } from "yaml"
import * as DurationText from "../domain/DurationText.ts"
import type { ResolvedAgent } from "../layers/ConfigAgents.ts"
import type { ResolvedConfig } from "../layers/ConfigFile.ts"
import type { ResolvedStack } from "../layers/ConfigStacks.ts"
import type { ResolvedWatch } from "../layers/ConfigWatch.ts"
import * as Common from "./common.ts"
import type { CommandRule } from "./grammar.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"

const control = (stack: ResolvedStack) =>
  stack._tag === "Docker" ? { docker: stack.docker } : {
    command: {
      stop: stack.stop,
      start: stack.start,
      status: stack.status,
      ...(stack.prepare === undefined ? {} : { prepare: stack.prepare })
    }
  }

const describeAgent = (agent: ResolvedAgent) => {
  switch (agent._tag) {
    case "Local": {
      const { snapshot, source, transfer } = agent
      return {
        local: {
          source,
          snapshot,
          transfer: transfer._tag === "Archive" ? { archive: { to: transfer.to } } : { command: transfer.argv }
        }
      }
    }
    case "Http": {
      const { address, fingerprint, tokenFile } = agent
      return {
        http: { ...("url" in address ? address : { socket: address.socketPath }), tokenFile, fingerprint }
      }
    }
    case "Proxmox": {
      const { fingerprint, node, tokenFile, url, vzdump } = agent
      return { proxmox: { url, node, tokenFile, fingerprint, ...vzdump } }
    }
  }
}

const describeWatch = ({ jitter, missed, requests, retry, schedule, timeZone }: ResolvedWatch) => ({
  ...(schedule.length === 0 ? {} : { schedule: schedule.map(({ expression }) => expression) }),
  timeZone,
  jitter: DurationText.format(jitter),
  missed,
  requests,
  retry: {
    window: DurationText.format(retry.window),
    minDelay: DurationText.format(retry.minDelay),
    maxDelay: DurationText.format(retry.maxDelay)
  }
})

/** The configuration as a person would write it, with every default and path filled in. */
export const describe = (config: ResolvedConfig) => {
  const { stacks: limits, ...rest } = config.policy
  const time = (duration: Duration.Duration) => DurationText.format(duration)
  return {
    version: 1,
    stateDir: config.stateDir,
    limits: Object.fromEntries(
      Object.entries(rest).flatMap(([name, value]) => Duration.isDuration(value) ? [[name, time(value)]] : [])
    ),
    stacks: Object.fromEntries(config.stacks.map((stack) => {
      const limit = limits.find((policy) => policy.stack === stack.stack)
      return [stack.stack, {
        ...control(stack),
        ...(stack.stopTimeout === undefined ? {} : { stopTimeout: time(stack.stopTimeout) }),
        ...(stack.startTimeout === undefined ? {} : { startTimeout: time(stack.startTimeout) }),
        ...(limit === undefined ? {} : {
          maxDowntime: time(limit.maxDowntime),
          maxDowntimeWithoutSnapshot: time(limit.maxDowntimeWithoutSnapshot)
        })
      }]
    })),
    ...(config.dockerHost === undefined ? {} : { docker: { host: config.dockerHost } }),
    agent: describeAgent(config.agent),
    ...(config.watched ? { watch: describeWatch(config.watch) } : {})
  }
}

const options = { config: Options.config, json: Options.json }
const input = { config: options.config.option, json: options.json.option }
const description = {
  config: "Works on the configuration file.",
  check: "Reads the configuration file and says everything that is wrong in it.",
  show: "Prints the configuration with every default and path filled in."
}

const check = Command.make(
  "check",
  input,
  Effect.fn("config check")(function*({ config, json }) {
    const output = yield* Output
    const found = yield* Common.load(config)
    const names = found.stacks.map(({ stack }) => stack)
    yield* output.stdout(
      json
        ? `${JSON.stringify({ type: "config", schemaVersion: 1, file: found.file, stacks: names })}\n`
        : `${found.file}: ok; ${names.length === 1 ? "stack" : "stacks"}: ${names.join(", ")}\n`
    )
  })
)

const show = Command.make(
  "show",
  input,
  Effect.fn("config show")(function*({ config, json }) {
    const output = yield* Output
    const found = yield* Common.load(config)
    const shown = describe(found)
    yield* output.stdout(
      json
        ? `${JSON.stringify(shown)}\n`
        : `# ${found.file}\n${stringify(shown, { lineWidth: 0, flowCollectionPadding: false })}`
    )
  })
)

export const command = Command.make("config").pipe(Command.withSubcommands([check, show]))

export const rule: CommandRule = {
  description: description.config,
  options: [],
  subcommands: {
    check: Options.leaf(description.check, options),
    show: Options.leaf(description.show, options)
  }
}
