/**
 * `quiesce agent`: serves the guests of this host. `quiesce agent engine`: does for it what needs root, when it is divided.
 * `quiesce agent token`: lets a guest in.
 */
import * as Command from "@effect/cli/Command"
import { DateTime, Duration, Effect, Option, Redacted } from "effect"
import * as DurationText from "../domain/DurationText.ts"
import { ExitCode } from "../domain/Report.ts"
import { hint } from "../internal/suggest.ts"
import type { ResolvedAgentFile } from "../layers/AgentConfigFile.ts"
import { type AgentFailed, AgentWorkspace, type Serving } from "../layers/AgentWorkspace.ts"
import { Supervisor } from "../services/Supervisor.ts"
import { CommandFailed, UsageError } from "./errors.ts"
import type { CommandRule } from "./grammar.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import { supervised } from "./supervised.ts"

const options = { config: Options.agentConfig, json: Options.json }
const tokenOptions = {
  config: Options.agentConfig,
  guest: Options.guest,
  expires: Options.expires,
  list: Options.list,
  revoke: Options.revoke,
  json: Options.json
}
const description = {
  agent: "Serves the guests of this host: takes their backups, and tells them when the snapshot exists.",
  engine: "The side of a divided agent that has root: takes the backups for 'quiesce agent', on engineSocket alone.",
  token: "Makes a token for a guest and prints it, this once. A guest has two at most: a third drops the oldest."
}

const load = (explicit: Option.Option<string>) =>
  Effect.flatMap(AgentWorkspace, (workspace) => workspace.load(Option.getOrUndefined(explicit)))

const toText = ({ guests }: ResolvedAgentFile, { fingerprint, urls, withoutToken }: Serving): string =>
  [
    `serves ${guests.map(({ name }) => name).join(", ")}\n`,
    ...urls.map((url) => `listens on ${url}\n`),
    ...fingerprint === undefined ? [] : [`fingerprint ${fingerprint}\n`],
    ...withoutToken.map((name) => `guest '${name}' has no token: quiesce agent token --guest ${name}\n`)
  ].join("")

const cannotServe = Effect.mapError(({ busy, message }: AgentFailed) =>
  new CommandFailed({ exitCode: busy ? ExitCode.busy : ExitCode.refused, reason: message })
)

/** Until a signal. */
const stay = Effect.fnUntraced(function*(status: string) {
  const supervisor = yield* Supervisor
  yield* supervisor.status(status)
  yield* supervisor.ready
  return yield* supervised(Effect.never)
})

const serve = Command.make(
  "agent",
  { config: options.config.option, json: options.json.option },
  Effect.fn("agent command")(function*({ config, json }) {
    const output = yield* Output
    const workspace = yield* AgentWorkspace
    const found = yield* load(config)
    const serving = yield* cannotServe(workspace.serve(found))
    yield* output.stdout(
      json
        ? `${
          JSON.stringify({ type: "agent", schemaVersion: 1, guests: found.guests.map(({ name }) => name), ...serving })
        }\n`
        : toText(found, serving)
    )
    return yield* stay(`serves ${found.guests.map(({ name }) => name).join(", ")}`)
  }, Effect.scoped)
)

const engine = Command.make(
  "engine",
  { config: options.config.option, json: options.json.option },
  Effect.fn("agent engine command")(function*({ config, json }) {
    const output = yield* Output
    const workspace = yield* AgentWorkspace
    const found = yield* load(config)
    const { socket } = yield* cannotServe(workspace.serveEngine(found))
    const guests = found.guests.map(({ name }) => name)
    yield* output.stdout(
      json
        ? `${JSON.stringify({ type: "agent-engine", schemaVersion: 1, guests, socket })}\n`
        : `takes the backups of ${guests.join(", ")}\nlistens on ${socket}\n`
    )
    return yield* stay(`takes the backups of ${guests.join(", ")}`)
  }, Effect.scoped)
)

const usage = (problem: string) =>
  new UsageError({ command: "quiesce agent token", problem: `quiesce agent token: ${problem}` })

const guestOf = (wanted: Option.Option<string>, { file, guests }: ResolvedAgentFile) => {
  const names = guests.map(({ name }) => name)
  const name = Option.getOrUndefined(wanted) ?? (names.length === 1 ? names[0] : undefined)
  if (name === undefined) return usage(`whose? --guest NAME; ${file} has: ${names.join(", ")}`)
  return names.includes(name)
    ? Effect.succeed(name)
    : usage(`there is no guest '${name}' in ${file}, which has: ${names.join(", ")}${hint(name, names)}`)
}

const lifetime = (text: Option.Option<string>) =>
  Option.match(text, {
    onNone: () => Effect.succeed(undefined),
    onSome: (text) =>
      Option.match(DurationText.parse(text), {
        onNone: () => usage(`'${text}' is no time; expected one such as 90d`),
        onSome: (expiresIn) =>
          Duration.toMillis(expiresIn) > 0 ? Effect.succeed(expiresIn) : usage("a token must live for some time")
      })
  })

const token = Command.make(
  "token",
  {
    config: tokenOptions.config.option,
    guest: tokenOptions.guest.option,
    expires: tokenOptions.expires.option,
    list: tokenOptions.list.option,
    revoke: tokenOptions.revoke.option,
    json: tokenOptions.json.option
  },
  Effect.fn("agent token command")(function*({ config, expires, guest, json, list, revoke }) {
    const output = yield* Output
    if (list && revoke) return yield* usage("--list and --revoke at once")
    if ((list || revoke) && Option.isSome(expires)) return yield* usage("--expires is for a new token")
    const found = yield* load(config)
    const name = yield* guestOf(guest, found)
    const expiresIn = yield* lifetime(expires)
    const tokens = yield* Effect.flatMap(AgentWorkspace, (workspace) => workspace.tokens(found))
    const act = Effect.gen(function*() {
      if (revoke) {
        const revoked = yield* tokens.revoke(name)
        return json ? { guest: name, revoked } : `${revoked} ${revoked === 1 ? "token" : "tokens"} of '${name}' revoked`
      }
      if (list) {
        const known = (yield* tokens.list(name)).map(({ created, expires }) => ({
          created: DateTime.formatIso(created),
          expires: Option.getOrNull(Option.map(expires, DateTime.formatIso))
        }))
        return json
          ? { guest: name, tokens: known }
          : known.length === 0
          ? `guest '${name}' has no token`
          : known.map(({ created, expires }) =>
            `made ${created}, ${expires === null ? "does not expire" : `good until ${expires}`}`
          )
            .join("\n")
      }
      const made = Redacted.value(yield* tokens.make(name, { expiresIn }))
      return json ? { guest: name, token: made } : made
    })
    const answer = yield* Effect.mapError(
      act,
      ({ message }) => new CommandFailed({ exitCode: ExitCode.refused, reason: message })
    )
    yield* output.stdout(
      `${typeof answer === "string" ? answer : JSON.stringify({ type: "token", schemaVersion: 1, ...answer })}\n`
    )
  }, Effect.scoped)
)

export const command = serve.pipe(Command.withSubcommands([engine, token]))

export const rule: CommandRule = {
  ...Options.leaf(description.agent, options),
  standalone: true,
  subcommands: {
    engine: Options.leaf(description.engine, options),
    token: Options.leaf(description.token, tokenOptions)
  }
}
