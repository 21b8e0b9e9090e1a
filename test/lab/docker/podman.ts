/**
 * podman's API service: another engine behind the same API, with its own storage and directories. Needs root.
 */
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { untorn } from "../../../src/internal/untorn.ts"
import { attempt, LabError } from "../postgresInstall.ts"
import { lastLines, launch } from "./daemon.ts"
import * as Engine from "./engine.ts"
import * as Home from "./home.ts"

export interface Podman {
  readonly socket: string
  readonly host: string
  readonly root: string
  /** As that of a dockerd; `create` adds what podman needs to find its way on this machine. */
  readonly engine: Engine.Engine
}

const files = (root: string) => ({
  "containers.conf": `[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "${root}/tmp"
[containers]
netns = "host"
# podman's own are above what a root without CAP_SYS_RESOURCE may set
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_config_dir = "${root}/net"
`,
  "storage.conf": `[storage]\ndriver = "overlay"\ngraphroot = "${root}/data"\nrunroot = "${root}/run"\n`,
  ".config/containers/policy.json": `{"default":[{"type":"insecureAcceptAnything"}]}\n`
})

/**
 * Its containers are in a control group of its own. Without StopTimeout podman 4.3 gives those that come through this
 * API a grace of 0 seconds; Docker's is 10.
 */
const engineOf = (socket: string, group: string): Engine.Engine => {
  const engine = Engine.make(socket)
  return {
    ...engine,
    create: (name, spec) => {
      const { HostConfig, StopTimeout, ...rest }: { HostConfig?: object; StopTimeout?: number } = spec
      const own = { StopTimeout: StopTimeout ?? 10, HostConfig: { CgroupParent: group, ...HostConfig } }
      return engine.create(name, { ...rest, ...own })
    }
  }
}

/** Starts the service. At the end of the scope its containers are killed, and all that it made is removed. */
export const make = Effect.fn("Podman.make")(function*() {
  const root = yield* Home.make
  const socket = Path.join(root, "podman.sock")
  const log = Path.join(root, "log")
  yield* attempt(root, async () => {
    for (const [name, text] of Object.entries(files(root))) {
      await Fs.mkdir(Path.dirname(Path.join(root, name)), { recursive: true })
      await Fs.writeFile(Path.join(root, name), text)
    }
  })
  const env = {
    HOME: root,
    CONTAINERS_CONF: Path.join(root, "containers.conf"),
    CONTAINERS_STORAGE_CONF: Path.join(root, "storage.conf"),
    PATH: `${process.env["PATH"]}:/usr/sbin:/sbin`
  }
  const daemon = yield* untorn(launch(["podman", "system", "service", "--time=0", `unix://${socket}`], { log, env }))
  const engine = engineOf(socket, `/${Path.basename(root)}`)
  const failed = (what: string) =>
    Effect.flatMap(lastLines(log), (lines) => new LabError({ message: `${what}\n${lines}` }))
  yield* engine.call("GET", "/_ping", [200], undefined, { timeoutMillis: 1000 }).pipe(
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.raceFirst(Effect.zipRight(daemon.ended, failed("podman ended at its start"))),
    Effect.timeoutOption("30 seconds"),
    Effect.filterOrElse((answer) => answer._tag === "Some", () => failed("podman does not answer"))
  )
  const podman: Podman = { socket, host: `unix://${socket}`, root, engine }
  return podman
})
