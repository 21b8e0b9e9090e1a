/**
 * `quiesce vzdump-hook`: the hook of vzdump on a Proxmox VE host. It asks the agent of the host that a guest be quiet, and
 * lets the backup wait for that. Needs no configuration file.
 */
import * as Command from "@effect/cli/Command"
import { Duration, Effect, Option } from "effect"
import * as Path from "node:path"
import * as DurationText from "../domain/DurationText.ts"
import { ExitCode } from "../domain/Report.ts"
import { words } from "../internal/oneLine.ts"
import * as HookClient from "../internal/vzdump/hookClient.ts"
import * as HookFile from "../internal/vzdump/hookFile.ts"
import * as HookScript from "../internal/vzdump/hookScript.ts"
import * as Common from "./common.ts"
import { CommandFailed, UsageError } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"

const name = "vzdump-hook"

const options = {
  socket: Options.socket,
  timeout: Options.timeout,
  withoutAnswer: Options.withoutAnswer,
  write: Options.write
}

const args = {
  phase: Options.optionalArgument("PHASE", "The phase that vzdump is in. Only 'backup-start' does something."),
  mode: Options.optionalArgument("MODE", "The mode of the backup. A guest that is shut down for it is not asked."),
  vmid: Options.optionalArgument("VMID", "The id of the guest.")
}

const defaultSocket = "/var/lib/quiesce-agent/hook.sock"

const wrong = (problem: string) =>
  new UsageError({ command: `quiesce ${name}`, problem: `quiesce ${name}: ${problem}` })

interface Settings {
  readonly socket: string
  readonly wait: Duration.Duration
  readonly fails: boolean
}

const settingsOf = Effect.fnUntraced(function*(given: {
  readonly socket: Option.Option<string>
  readonly timeout: Option.Option<string>
  readonly withoutAnswer: Option.Option<string>
}) {
  const timeout = Option.getOrElse(given.timeout, () => "60s")
  const wait = DurationText.parse(timeout)
  if (Option.isNone(wait) || Duration.greaterThan(wait.value, "1 day")) {
    return yield* wrong(`'${timeout}' is no duration of at most a day, such as 60s or 5m`)
  }
  const withoutAnswer = Option.getOrElse(given.withoutAnswer, () => "continue")
  if (withoutAnswer !== "continue" && withoutAnswer !== "fail") {
    return yield* wrong(`the value of '--without-answer' is continue or fail, not '${withoutAnswer}'`)
  }
  const socket = Option.match(given.socket, { onNone: () => defaultSocket, onSome: (path) => Path.resolve(path) })
  return { socket, wait: wait.value, fails: withoutAnswer === "fail" } satisfies Settings
})

/** Its lines go to the log of the backup's task. The agent's words may be those of a process without root: one line. */
const say = (text: string) => Effect.flatMap(Output, (output) => output.stdout(`quiesce: ${words(text)}\n`))

const ask = Effect.fnUntraced(function*(vmid: number, { fails, socket, wait }: Settings) {
  const notQuiet = (problem: string) =>
    fails
      ? Effect.zipRight(say(`${problem}: this guest is left out of the backup`), Common.conclude(ExitCode.backupFailed))
      : say(`${problem}: going on, the backup is crash-consistent at best`)
  const answer = yield* Effect.either(HookClient.ask({ socket, vmid, wait }))
  if (answer._tag === "Left") {
    const { reason, timedOut } = answer.left
    return yield* notQuiet(
      timedOut
        ? `nobody answered for guest ${vmid} within ${DurationText.format(wait)}`
        : `nobody could be asked for guest ${vmid}: ${reason}`
    )
  }
  switch (answer.right._tag) {
    case "Quiet":
      return yield* say(`guest '${answer.right.guest}' is quiet (run ${answer.right.runId})`)
    case "NotOurs":
      return yield* say(`guest ${vmid} is not in the agent's configuration: nothing to do`)
    case "NotQuiet":
      return yield* notQuiet(`guest '${answer.right.guest ?? vmid}' is not quiet: ${answer.right.reason}`)
  }
})

/** The program for vzdump, with these settings. */
const programOf = ({ fails, socket, wait }: Settings) =>
  HookScript.text(
    [
      process.execPath,
      Path.resolve(process.argv[1] ?? ""),
      name,
      "--socket",
      socket,
      "--timeout",
      DurationText.format(wait),
      "--without-answer",
      fails ? "fail" : "continue"
    ],
    fails
  )

export const command = Command.make(
  name,
  {
    socket: options.socket.option,
    timeout: options.timeout.option,
    withoutAnswer: options.withoutAnswer.option,
    write: options.write.option,
    phase: args.phase.argument,
    mode: args.mode.argument,
    vmid: args.vmid.argument
  },
  Effect.fn("vzdump-hook command")(function*({ mode, phase, vmid, write, ...given }) {
    const settings = yield* settingsOf(given)
    if (Option.isSome(write)) {
      const path = Path.resolve(write.value)
      yield* Effect.mapError(
        HookFile.write(path, programOf(settings)),
        ({ message }) => new CommandFailed({ exitCode: ExitCode.refused, reason: message })
      )
      return yield* say(`${path} is written; name it in /etc/vzdump.conf: script: ${path}`)
    }
    if (Option.isNone(phase)) return yield* wrong("the argument PHASE is missing, or the option '--write'")
    if (phase.value !== "backup-start") return
    const id = Option.getOrElse(vmid, () => "")
    if (!/^[1-9]\d{2,8}$/.test(id)) return yield* wrong(`'${id}' is not the id of a guest`)
    if (Option.contains(mode, "stop")) {
      return yield* say(`guest ${id} is off, or is shut down for this backup: it is not asked to be quiet`)
    }
    yield* ask(Number(id), settings)
  })
)

export const rule = Options.leaf(
  "The hook of vzdump on a Proxmox VE host: lets a backup that the host begins wait until the guest is quiet.",
  options,
  Object.values(args)
)
