/**
 * The configuration file: what `quiesce.yaml` may say. Decoded only; what a path or a default means is decided where the
 * file is read.
 */
import { Duration, Option, ParseResult, Schema } from "effect"
import * as DurationText from "./DurationText.ts"
import { StackName } from "./Stack.ts"

const expected = (what: string) => ({ message: () => `expected ${what}` })

const map = (what: string) => expected(`a map with ${what}`)

const durationWords = "a duration such as 500ms, 30s, 5m or 1h30m"

const DurationString = Schema.transformOrFail(
  Schema.String.annotations(expected(durationWords)),
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (text, _, ast) =>
      Option.match(DurationText.parse(text), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, text, `expected ${durationWords}`)),
        onSome: ParseResult.succeed
      }),
    encode: (duration) => ParseResult.succeed(DurationText.format(duration))
  }
)

/** A duration from `least` to 24 days. */
const duration = (description: string, least: Duration.DurationInput = "1 millis") => {
  const range = `from ${DurationText.format(Duration.decode(least))} to ${DurationText.format(DurationText.longest)}`
  return DurationString.pipe(
    Schema.filter((value) =>
      Duration.greaterThanOrEqualTo(value, least) && Duration.lessThanOrEqualTo(value, DurationText.longest)
        ? undefined
        : `expected a duration ${range}`
    )
  ).annotations({ description, jsonSchema: { type: "string" } })
}

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** A word of the design that this version cannot do yet. */
const unsupported = (kind: string, word: string, supported: string) =>
  optional(
    Schema.Never.annotations({
      description: `Reserved: ${kind} '${word}' is not supported by this version.`,
      message: () => `${kind} '${word}' is not supported by this version; supported: ${supported}`
    })
  )

/** Exactly one of the kinds; an unsupported one has failed before. */
const exactlyOne = (kind: string, words: ReadonlyArray<string>) => (value: object): string | undefined => {
  const present = words.filter((word) => word in value)
  if (present.length === 1) return undefined
  const choice = words.join(", ")
  return present.length === 0
    ? `expected one ${kind}${words.length === 1 ? "" : " of"}: ${choice}; none is there`
    : `expected only one ${kind}; there are ${present.length}: ${present.join(", ")}`
}

const PathText = Schema.String.annotations(expected("a path")).pipe(
  Schema.filter((path) =>
    path === "" || path.includes("\0")
      ? "expected a path"
      : path === "~" || path.startsWith("~/")
      ? "expected a path; '~' is not expanded here, write the full path"
      : undefined
  )
)

const Word = Schema.String.annotations(expected("a text; put a number or a true/false in quotes")).pipe(
  Schema.filter((word) => word.includes("\0") ? "expected a text without NUL" : undefined)
)

const argvWords = "a list of words such as [systemctl, stop, notes] (no shell is used)"

/** A command: the program and its arguments. No shell. */
export const Argv = Schema.Array(Word).annotations(expected(argvWords)).pipe(
  Schema.filter((words): words is Argv => words.length > 0, expected(argvWords)),
  Schema.filter((words) => words[0] === "" ? "expected a program as the first word; it is empty" : undefined)
)
export type Argv = readonly [string, ...ReadonlyArray<string>]

const argv = (description: string) => Argv.annotations({ description })

/** A stack that is stopped, started and asked by commands. The status answers as LSB: 0 running, 3 stopped. */
export const CommandControl = Schema.Struct({
  stop: argv("The command that stops the stack and returns when it is down."),
  start: argv("The command that starts the stack and returns when it is up."),
  status: argv("The command that tells the state by its exit code: 0 running, 3 stopped, anything else unknown."),
  prepare: optional(argv("Run before the stop, with the stack still up, to make the stop short (a CHECKPOINT)."))
}).annotations(map("stop, start and status, and maybe prepare"))

const container = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, expected("the name of a container"))
)

/** A stack of containers: a Compose project, containers by name, or all that the label `quiesce.enable` names. */
export const DockerControl = Schema.Struct({
  project: optional(
    Schema.String.pipe(
      Schema.pattern(
        /^[a-z0-9][a-z0-9_-]*$/,
        expected("the name of a Compose project: lower-case letters, digits, '_' and '-'")
      )
    ).annotations({ description: "The Compose project, as `docker compose ls` names it." })
  ),
  containers: optional(
    Schema.Array(container).annotations(expected("a list of names of containers such as [db, web]")).pipe(
      Schema.filter((names) => names.length === 0 ? "expected at least one container" : undefined)
    ).annotations({ description: "Containers by name." })
  ),
  enabled: optional(
    Schema.Literal(true).annotations({
      description: "All containers with the label quiesce.enable=true.",
      message: () => "expected true, for all containers with the label quiesce.enable=true"
    })
  )
}).annotations(map("one of project, containers, enabled")).pipe(
  Schema.filter(exactlyOne("choice", ["project", "containers", "enabled"]))
)
export type DockerControl = typeof DockerControl.Type

const downtime = {
  maxDowntime: optional(
    duration(
      "The longest time that a stack may be held down. When it is over the app is started first, then the backup ended.",
      "1 second"
    )
  ),
  maxDowntimeWithoutSnapshot: optional(
    duration(
      "Takes the place of maxDowntime when the backup cannot snapshot and reads the data to its end.",
      "1 second"
    )
  )
}

const supportedControls = ["command", "docker"]

/** One stack: how it is stopped and started, and its limits. */
export const StackConfig = Schema.Struct({
  command: optional(CommandControl),
  docker: optional(DockerControl),
  stopTimeout: optional(
    duration("For one stop; after it a command's process group, or a container, is killed. Default: a container's own.")
  ),
  startTimeout: optional(
    duration("From one start to being up. Default: 60s, or what a container's health check allows.")
  ),
  ...downtime
}).annotations(map("a control (command or docker) and maybe timeouts")).pipe(
  Schema.filter(exactlyOne("control", supportedControls))
)
export type StackConfig = typeof StackConfig.Type

const supportedTransfers = ["archive", "command"]

const TransferConfig = Schema.Struct({
  archive: optional(
    Schema.Struct({
      to: PathText.annotations({ description: "The directory in which the archives are kept." })
    }).annotations(map("to (a directory)"))
  ),
  command: optional(
    Argv.pipe(
      Schema.filter((words) =>
        words.slice(1).some((word) => word.includes("{snapshot}"))
          ? undefined
          : "expected '{snapshot}' in one of the arguments; it stands for the path that is to be backed up"
      )
    ).annotations({
      description: "A command that backs up the path that '{snapshot}' stands for (restic, borg, rsync)."
    })
  )
}).annotations(map("one of archive, command")).pipe(
  Schema.filter(exactlyOne("transfer", supportedTransfers))
)

/** The snapshotters of this version. `auto` takes the best that a probe proves. */
export const SnapshotKind = Schema.Literal("auto", "btrfs", "reflink", "copy", "none")
export type SnapshotKind = typeof SnapshotKind.Type

const laterSnapshots = new Set(["zfs", "lvm-thin"])

const SnapshotText = SnapshotKind.annotations({
  description: "How the point in time is made. auto takes the best that works on the source.",
  message: ({ actual }) => ({
    message: typeof actual === "string" && laterSnapshots.has(actual)
      ? `snapshot '${actual}' is not supported by this version; supported: ${SnapshotKind.literals.join(", ")}`
      : `expected one of ${SnapshotKind.literals.join(", ")}`,
    // one message, not one for each word
    override: true
  })
})

const supportedAgents = ["local"]

/** What takes the backup. */
export const AgentConfig = Schema.Struct({
  local: optional(
    Schema.Struct({
      source: PathText.annotations({ description: "The directory that holds the data of the stacks." }),
      snapshot: optional(SnapshotText),
      transfer: TransferConfig
    }).annotations(map("source and transfer, and maybe snapshot"))
  ),
  http: unsupported("agent", "http", supportedAgents.join(", ")),
  proxmox: unsupported("agent", "proxmox", supportedAgents.join(", "))
}).annotations(map("one agent (local)")).pipe(Schema.filter(exactlyOne("agent", supportedAgents)))

/** The rhythms and limits of a run that a user may want otherwise. The defaults are those of the run policy. */
export const LimitsConfig = Schema.Struct({
  pollInterval: optional(duration("Between two questions to an agent whose answer did not change.", "10 millis")),
  agentTimeout: optional(duration("For one question to the agent.", "1 second")),
  agentPatience: optional(
    duration("How long an agent may fail to answer, with the app up, before its backup is given up.")
  ),
  queueTimeout: optional(duration("How long to wait, with the app up, for the agent to be ready.")),
  prepareTimeout: optional(duration("For all prepare commands together, with the app still up.")),
  resumeTimeout: optional(
    duration("How long starts are tried again before the run gives up and leaves the rest to recover.", "1 second")
  ),
  steadyTime: optional(duration("How long a stack must stay up after its start before it counts as up.", "0 millis")),
  deadline: optional(duration("For the whole run.", "1 second"))
}).annotations(map("limits such as deadline"))
export type LimitsConfig = typeof LimitsConfig.Type

/** The only version of the file that this program reads. */
export const version = 1

/** The whole file. */
export const QuiesceConfig = Schema.Struct({
  version: Schema.Literal(version).annotations({
    description: "The version of this file's format.",
    message: () => `expected version: ${version}, the only one that this program reads`
  }),
  stateDir: optional(PathText.annotations({ description: "Where markers, the lock and the last reports are kept." })),
  ...downtime,
  limits: optional(LimitsConfig),
  stacks: Schema.Record({ key: StackName, value: StackConfig }).annotations(map("at least one stack")).pipe(
    Schema.filter((stacks) =>
      Object.keys(stacks).length === 0 ? "expected at least one stack; none is there" : undefined
    )
  ),
  docker: optional(
    Schema.Struct({
      host: Schema.String.pipe(
        Schema.pattern(
          /^(unix:\/\/\/|tcp:\/\/|https?:\/\/)./,
          expected("an address such as unix:///var/run/docker.sock")
        )
      ).annotations({
        description: "Where the Docker engine is. Default: $DOCKER_HOST, then unix:///var/run/docker.sock."
      })
    }).annotations(map("host"))
  ),
  agent: AgentConfig
}).annotations(map("version, stacks and agent"))
export type QuiesceConfig = typeof QuiesceConfig.Type
