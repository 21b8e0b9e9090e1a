/**
 * The configuration file: what `quiesce.yaml` may say. Decoded only; what a path or a default means is decided where the
 * file is read.
 */
import { Schema } from "effect"
import { argv, duration, exactlyOne, expected, map, optional, PathText } from "./ConfigWords.ts"
import { SourceConfig } from "./SourceConfig.ts"
import { StackName } from "./Stack.ts"
import { HostName, VzdumpConfig } from "./VzdumpConfig.ts"
import { WatchConfig } from "./WatchConfig.ts"

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

/** A certificate's SHA-256 fingerprint, as openssl and Proxmox VE print it. */
const FingerprintText = Schema.String.pipe(
  Schema.pattern(
    /^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/,
    expected("a SHA-256 fingerprint: 32 pairs of hexadecimal digits with colons, in quotes (\"AA:BB:...\")")
  )
).annotations({
  description: "The one certificate that is accepted, by its SHA-256 fingerprint. Without it, the system's authorities."
})

const HttpsUrl = (example: string) =>
  Schema.String.pipe(
    Schema.filter((text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined
      const local = url?.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)
      return url !== undefined && (url.protocol === "https:" || local) && url.username === "" && url.pathname === "/"
        ? undefined
        : `expected an address such as ${example}, without a path; http only on this machine`
    })
  )

const tokenFile = (what: string) =>
  PathText.annotations({ description: `A file that only its owner can read: ${what}` })

const HttpAgentConfig = Schema.Struct({
  url: optional(HttpsUrl("https://pve1:8443").annotations({ description: "Where the quiesce agent listens." })),
  socket: optional(PathText.annotations({ description: "Or the UNIX socket that the agent keeps for this guest." })),
  tokenFile: optional(tokenFile("the token that 'quiesce agent token' has printed.")),
  fingerprint: optional(FingerprintText)
}).annotations(map("url and tokenFile, and maybe fingerprint; or socket")).pipe(
  Schema.filter(exactlyOne("address", ["url", "socket"])),
  Schema.filter(({ tokenFile, url }) =>
    url !== undefined && tokenFile === undefined
      ? "expected a tokenFile; without one the agent lets nobody in"
      : undefined
  ),
  Schema.filter(({ fingerprint, url }) =>
    fingerprint !== undefined && url?.startsWith("https:") !== true
      ? "expected no fingerprint; only an https address shows a certificate"
      : undefined
  )
)

const ProxmoxAgentConfig = Schema.Struct({
  url: HttpsUrl("https://pve1:8006").annotations({ description: "The API of Proxmox VE." }),
  node: HostName.annotations({ description: "The node that this guest is on." }),
  tokenFile: tokenFile("an API token as USER@REALM!TOKENID=UUID."),
  fingerprint: optional(FingerprintText),
  ...VzdumpConfig.fields
}).annotations(map("url, node, vmid, storage and tokenFile, and maybe fingerprint"))

const agents = ["local", "http", "proxmox"]

/** What takes the backup. */
export const AgentConfig = Schema.Struct({
  local: optional(SourceConfig),
  http: optional(HttpAgentConfig),
  proxmox: optional(ProxmoxAgentConfig)
}).annotations(map(`one agent (${agents.join(", ")})`)).pipe(Schema.filter(exactlyOne("agent", agents)))
export type AgentConfig = typeof AgentConfig.Type

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
  agent: AgentConfig,
  watch: optional(WatchConfig)
}).annotations(map("version, stacks and agent"))
export type QuiesceConfig = typeof QuiesceConfig.Type
