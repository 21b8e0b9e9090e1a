/**
 * The configuration file of an agent: what `agent.yaml` may say. Decoded only; what a path or a default means is decided
 * where the file is read.
 */
import { Schema } from "effect"
import { duration, exactlyOne, expected, map, optional, PathText } from "./ConfigWords.ts"
import { GuestName } from "./Guest.ts"
import { SourceConfig } from "./SourceConfig.ts"
import { VzdumpConfig } from "./VzdumpConfig.ts"

const whole = (least: number, most: number) => {
  const what = `expected a whole number from ${least} to ${most}`
  return Schema.Number.annotations({ message: () => what }).pipe(
    Schema.filter((value) => Number.isInteger(value) && value >= least && value <= most ? undefined : what)
  )
}

const ListenConfig = Schema.Struct({
  host: optional(
    Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9.:-]+$/, expected("an address of this host, without a port")))
      .annotations({ description: "The address of this host to listen on. Default: 0.0.0.0, all of them." })
  ),
  port: optional(whole(1, 65535).annotations({ description: "The TCP port. Default: 8443." })),
  certificate: optional(
    PathText.annotations({ description: "The certificate, in PEM. Default: one that the agent makes for itself." })
  ),
  key: optional(PathText.annotations({ description: "The key of the certificate, in PEM." }))
}).annotations(map("host, port, certificate, key")).pipe(
  Schema.filter(({ certificate, key }) =>
    (certificate === undefined) === (key === undefined)
      ? undefined
      : "expected certificate and key together; only one is there"
  )
)

const engines = ["vzdump", "local"]

/** One guest: what takes its backups. */
export const GuestConfig = Schema.Struct({
  vzdump: optional(VzdumpConfig.annotations(map("vmid and storage, and maybe mode, compress"))),
  local: optional(SourceConfig)
}).annotations(map(`one engine (${engines.join(", ")})`)).pipe(Schema.filter(exactlyOne("engine", engines)))
export type GuestConfig = typeof GuestConfig.Type

/** A group of the system: its name as `groupadd` allows it, or its number. */
const GroupText = Schema.Union(Schema.Number, Schema.String).annotations({
  message: () => ({ message: "expected the name or the number of a group", override: true })
}).pipe(
  Schema.filter((group) =>
    /^(?:[a-z_][a-z0-9_-]{0,31}|\d{1,10})$/.test(String(group))
      ? undefined
      : "expected the name or the number of a group"
  )
)

/** The only version of the file that this program reads. */
export const version = 1

/** The whole file. */
export const AgentFile = Schema.Struct({
  version: Schema.Literal(version).annotations({
    description: "The version of this file's format.",
    message: () => `expected version: ${version}, the only one that this program reads`
  }),
  stateDir: optional(
    PathText.annotations({ description: "Where the journal, the tokens and the certificate are kept." })
  ),
  listen: optional(ListenConfig),
  sockets: optional(
    PathText.annotations({
      description: "A directory in which each guest has a UNIX socket, GUEST.sock. Who can open it is that guest."
    })
  ),
  engineSocket: optional(
    PathText.annotations({
      description:
        "The UNIX socket of `quiesce agent engine`, which does what needs root. With it `quiesce agent` needs no root."
    })
  ),
  engineGroup: optional(
    GroupText.annotations({ description: "Who may open that socket. Default: the group of its directory." })
  ),
  engineStateDir: optional(
    PathText.annotations({ description: "Where `quiesce agent engine` keeps its own things: for root alone." })
  ),
  jobs: optional(whole(1, 64).annotations({ description: "How many backups may run at once. Default: 1." })),
  readyTimeout: optional(
    duration("How long a slot is held for a guest that does not say that its app is down. Default: 10m.", "1 second")
  ),
  requestsPerMinute: optional(whole(10, 100_000).annotations({ description: "Of one guest. Default: 300." })),
  connections: optional(
    whole(1, 100_000).annotations({ description: "Of one listener, half of them from one address. Default: 64." })
  ),
  guests: Schema.Record({ key: GuestName, value: GuestConfig }).annotations(map("at least one guest")).pipe(
    Schema.filter((guests) =>
      Object.keys(guests).length === 0 ? "expected at least one guest; none is there" : undefined
    )
  )
}).annotations(map("version and guests")).pipe(
  Schema.filter(({ engineGroup, engineSocket, engineStateDir }) =>
    engineSocket === undefined && (engineGroup !== undefined || engineStateDir !== undefined)
      ? "expected engineSocket beside engineGroup and engineStateDir; it is missing"
      : undefined
  )
)
export type AgentFile = typeof AgentFile.Type
