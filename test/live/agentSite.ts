/**
 * A whole system on one machine: a host with its agent, guests with their apps, and between them a network that can
 * fail. The app of a guest is a file that says whether it is up; what a backup has of it says whether it was.
 */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Either, Schema, type Scope } from "effect"
import { build } from "esbuild"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { parse, stringify } from "yaml"
import { JobRecord } from "../../src/services/JobStore.ts"
import type { AgentHostTask } from "../lab/agentHostProcess.ts"
import * as ChaosProxy from "../lab/chaosProxy.ts"
import { loopMount, sh, tmpfs, workDirectory } from "../lab/loopfs.ts"
import { type Argv, LabError } from "../lab/postgresInstall.ts"
import * as Canary from "../support/canary.ts"
import * as Live from "../support/live.ts"
import * as Hooks from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"
import * as Traces from "./traces.ts"

export interface GuestOptions {
  readonly name?: string
  /** Default: TLS over TCP. */
  readonly via?: "tls" | "socket"
  /** Taken by the agent itself, of a directory. Default: copy. */
  readonly snapshot?: "copy" | "btrfs" | "none"
  readonly transfer?: unknown
  /** Or by vzdump. */
  readonly vzdump?: Readonly<Record<string, string | number>>
  /** Another app than the file. */
  readonly app?: {
    readonly argv: Readonly<Record<"start" | "stop" | "status", Argv>>
    readonly source: string
    /** Where the temporary snapshot lies; beside the source, if it is not said. */
    readonly place?: string
  }
  /** Default: beside its app. */
  readonly stateDir?: string
  readonly maxDowntime?: string
  readonly limits?: Readonly<Record<string, string>>
  readonly watch?: Readonly<Record<string, unknown>>
}

export interface SiteOptions {
  readonly guests?: ReadonlyArray<GuestOptions>
  /** More of `agent.yaml`. */
  readonly agent?: Readonly<Record<string, unknown>>
  /** The program that is the agent and the host that it is on, in place of the binary. */
  readonly host?: { readonly program: string; readonly paths: AgentHostTask["host"] }
  readonly env?: Readonly<Record<string, string>>
  /** Two processes: the front as nobody, and the engine's side as root. Needs root. */
  readonly isDivided?: boolean
}

/** A process that is the agent. */
export interface Agent {
  readonly pid: number
  readonly fingerprint: string
  readonly log: () => string
  readonly signal: (name: NodeJS.Signals) => void
  readonly ended: Effect.Effect<void>
}

/** One guest of the host. */
export interface Guest {
  readonly name: string
  readonly directory: string
  readonly config: string
  readonly stateDir: string
  /** What is backed up. */
  readonly source: string
  readonly backups: string
  readonly place: string
  /** Of the commands of its app. */
  readonly hooks: Hooks.Hooks
  /** In front of the agent, for this guest. */
  readonly proxy: ChaosProxy.ChaosProxy
  readonly isUp: () => boolean
  /** What was done with the app: `stop` and `start` with the time in milliseconds. */
  readonly log: () => ReadonlyArray<{ readonly what: string; readonly at: number }>
  readonly quiesce: (words: ReadonlyArray<string>, options?: Quiesce.Options) => Effect.Effect<Quiesce.Ended>
  readonly start: (
    words: ReadonlyArray<string>,
    options?: Quiesce.Options
  ) => Effect.Effect<Quiesce.Live, never, Scope.Scope>
  readonly jobs: () => ReadonlyArray<JobRecord>
}

export interface Site {
  readonly root: string
  readonly config: string
  readonly stateDir: string
  /** Of the tools of the agent. `$quiesce` is the agent. */
  readonly hooks: Hooks.Hooks
  readonly guests: ReadonlyArray<Guest>
  readonly agent: () => Agent
  /** Starts another agent in the place of one that has ended. */
  readonly restart: Effect.Effect<Agent, LabError, Scope.Scope>
  /** kill -9, and the wait for the end. */
  readonly kill9: Effect.Effect<void>
  /** The side of a divided agent that has root. */
  readonly engine: () => Agent
  /** Of all its processes. */
  readonly pids: () => ReadonlyArray<number>
  readonly restartEngine: Effect.Effect<Agent, LabError, Scope.Scope>
  readonly token: (...words: ReadonlyArray<string>) => Effect.Effect<Quiesce.Ended>
}

/** Changes its data when it starts, so that what is in a backup was read with the app up, or down. */
const app = (directory: string, source: string): NonNullable<GuestOptions["app"]> => {
  const [up, log, state] = [
    Path.join(directory, "up"),
    Path.join(directory, "app.log"),
    Path.join(source, "state")
  ]
  const script = (text: string): Argv => ["sh", "-c", text, "app", up, log, state]
  const note = (what: string) => `echo "${what} $(date +%s%N)" >> "$2"`
  Fs.writeFileSync(state, "dirty\n")
  Fs.writeFileSync(up, "")
  return {
    source,
    argv: {
      start: script(`echo dirty > "$3" && : > "$1" && ${note("start")}`),
      stop: script(`${note("stop")} && rm -f "$1" && echo clean > "$3"`),
      status: script("[ -e \"$1\" ] || exit 3")
    }
  }
}

/** Below the ports of outgoing connections: one of these would keep an agent from coming back. */
const freePort = Effect.async<number>((resume) => {
  const attempt = () => {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    const server = Net.createServer().once("error", attempt)
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
  }
  attempt()
})

const decodeJob = Schema.decodeUnknownEither(Schema.parseJson(JobRecord))

const jobsIn = (directory: string): ReadonlyArray<JobRecord> =>
  (Fs.existsSync(directory) ? Fs.readdirSync(directory) : []).filter((name) => name.endsWith(".json")).sort().flatMap(
    (name) =>
      Either.match(decodeJob(Fs.readFileSync(Path.join(directory, name), "utf8")), {
        onLeft: () => [],
        onRight: (job) => [job]
      })
  )

const spawnAgent = (
  argv: Argv,
  options: { readonly path: string; readonly env: SiteOptions["env"]; readonly uid: number | undefined }
) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const [program, ...args] = argv
      const ended = yield* Deferred.make<void>()
      const first = yield* Deferred.make<string, LabError>()
      const child = ChildProcess.spawn(program, args, {
        cwd: "/",
        env: {
          PATH: options.path,
          HOME: "/nonexistent",
          LANG: "C.UTF-8",
          RESTIC_PASSWORD: Canary.password,
          ...options.env
        },
        stdio: ["ignore", "pipe", "pipe"],
        ...options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }
      })
      let log = ""
      let said = ""
      child.stderr.on("data", (chunk: Buffer) => void (log += chunk.toString("utf8")))
      child.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString("utf8")
        const end = said.indexOf("\n")
        if (end !== -1) Deferred.unsafeDone(first, Effect.succeed(said.slice(0, end)))
      })
      child.once("close", () => {
        Canary.listen("stdout of the agent", said)
        Canary.listen("stderr of the agent", log)
        Deferred.unsafeDone(first, new LabError({ message: `the agent has ended: ${log}` }))
        Deferred.unsafeDone(ended, Effect.void)
      })
      return { child, ended: Deferred.await(ended), first: Deferred.await(first), log: () => log }
    }),
    ({ child, ended }) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended)
  )

/** Bundles a program of the lab into the directory; answers with the file. */
export const bundle = (name: string, directory: string) =>
  Effect.promise(() =>
    build({
      entryPoints: [Path.resolve("test/lab", `${name}.ts`)],
      outfile: Path.join(directory, `${name}.mjs`),
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      banner: { js: "import{createRequire as __r}from\"node:module\";const require=__r(import.meta.url);" },
      logLevel: "error"
    })
  ).pipe(Effect.as(Path.join(directory, `${name}.mjs`)))

/** The agent's own key, in the file that is for it. */
const plantKeys = (stateDir: string) => {
  const directory = Path.join(stateDir, "tls")
  for (const name of Fs.existsSync(directory) ? Fs.readdirSync(directory) : []) {
    const file = Path.join(directory, name)
    const [begin = "", , body = ""] = Fs.readFileSync(file, "utf8").split(/(?<=-----)\n|\n/)
    if (begin.includes("PRIVATE KEY")) Canary.plant(body, file)
  }
}

const nobody = 65534

/** In memory where this user can mount it. */
const home = process.getuid?.() === 0 ? tmpfs(200) : workDirectory

/** A host with its agent, which serves. At the end of the scope nothing of it may be at work. */
export const make = Effect.fnUntraced(function*(options: SiteOptions = {}) {
  const root = yield* home
  yield* Effect.addFinalizer(() =>
    Effect.map(
      Effect.sync(() => Traces.processes(root)),
      (left) => {
        for (const { pid } of left) process.kill(pid, "SIGKILL")
        assert.deepStrictEqual(left, [], "processes were left")
      }
    )
  )
  yield* Canary.guard(root)
  const directory = Path.join(root, "host")
  const stateDir = Path.join(directory, "state")
  const uid = options.isDivided === true ? nobody : undefined
  Fs.mkdirSync(directory)
  if (uid !== undefined) {
    for (const own of [stateDir, Path.join(root, "sockets")]) {
      Fs.mkdirSync(own, { mode: 0o700 })
      Fs.chownSync(own, uid, uid)
    }
  }
  const path = `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`
  const hooks = yield* Hooks.make(directory, path)
  const btrfs = path.split(":").map((place) => Path.join(place, "btrfs")).find((file) => Fs.existsSync(file)) ?? "btrfs"
  hooks.replace("btrfs", `exec '${Path.join(directory, "hooked")}' btrfs '${btrfs}' "$@"`)
  const wanted = options.guests ?? [{}]
  const disk = wanted.some(({ app, snapshot }) => app === undefined && snapshot === "btrfs")
    ? yield* loopMount("btrfs")
    : undefined
  const port = yield* freePort
  const config = Path.join(directory, "agent.yaml")

  const guests = yield* Effect.forEach(wanted, (options, index) =>
    Effect.gen(function*() {
      const name = options.name ?? ["web", "db", "mail"][index] ?? `guest-${index}`
      const home = Path.join(root, name)
      const isOnDisk = options.snapshot === "btrfs" && disk !== undefined
      const own = isOnDisk ? Path.join(disk, name) : Path.join(home, "data")
      Fs.mkdirSync(home)
      if (options.app === undefined && isOnDisk) yield* sh(["btrfs", "subvolume", "create", own])
      else if (options.app === undefined) Fs.mkdirSync(own)
      const { argv, source } = options.app ?? app(home, own)
      const hooks = yield* Hooks.make(home, path)
      const command = Object.fromEntries(Object.entries(argv).map(([what, argv]) => [what, hooks.hooked(what, argv)]))
      const agent: ChaosProxy.Place = options.via === "socket"
        ? { path: Path.join(root, "sockets", `${name}.sock`) }
        : { port }
      const proxy = yield* ChaosProxy.make({
        listen: options.via === "socket" ? { path: Path.join(home, "agent.sock") } : { port: 0 },
        agent
      })
      const backups = Path.join(home, "backups")
      return { argv, backups, command, home, hooks, name, options, proxy, source }
    }))

  const engineOf = ({ backups, options: { snapshot = "copy", transfer, vzdump }, source }: typeof guests[number]) =>
    vzdump === undefined
      ? { local: { source, snapshot, transfer: transfer ?? { archive: { to: backups } } } }
      : { vzdump }
  Fs.writeFileSync(
    config,
    stringify({
      version: 1,
      stateDir,
      listen: { host: "127.0.0.1", port },
      sockets: Path.join(root, "sockets"),
      requestsPerMinute: 10_000,
      ...uid === undefined ? {} : {
        engineSocket: Path.join(directory, "run", "engine.sock"),
        engineGroup: uid,
        engineStateDir: Path.join(directory, "engine")
      },
      guests: Object.fromEntries(guests.map((guest) => [guest.name, engineOf(guest)])),
      ...options.agent
    }, { lineWidth: 0 })
  )
  const token: Site["token"] = (...words) =>
    Quiesce.run(["agent", "token", ...words, "--config", config], { path, uid })

  let present: Agent | undefined
  const agent = () => present ?? assert.fail("there is no agent")
  const argv: Argv = options.host === undefined
    ? [process.execPath, Quiesce.bin, "agent", "--config", config, "--json"]
    : [process.execPath, options.host.program, JSON.stringify({ config, host: options.host.paths })]
  const engineArgv: Argv = options.host === undefined
    ? [process.execPath, Quiesce.bin, "agent", "engine", "--config", config, "--json"]
    : [process.execPath, options.host.program, JSON.stringify({ config, host: options.host.paths, side: "engine" })]
  let side: Agent | undefined
  const restartEngine: Site["restartEngine"] = Effect.gen(function*() {
    const { child, ended, first, log } = yield* spawnAgent(engineArgv, {
      path: hooks.path,
      env: options.env,
      uid: undefined
    })
    yield* first
    side = { pid: child.pid ?? 0, fingerprint: "", log, signal: (name) => void child.kill(name), ended }
    return side
  })
  const restart: Site["restart"] = Effect.gen(function*() {
    const { child, ended, first, log } = yield* spawnAgent(argv, {
      path: uid === undefined ? hooks.path : path,
      env: options.env,
      uid
    })
    const line = yield* first
    present = {
      pid: child.pid ?? 0,
      fingerprint: String(JSON.parse(line).fingerprint),
      log,
      signal: (name) => void child.kill(name),
      ended
    }
    return present
  })

  for (const { home, name, options } of guests) {
    if (options.via === "socket") continue
    const { stdout } = yield* token("--guest", name)
    const file = Path.join(home, "token")
    Fs.writeFileSync(file, stdout, { mode: 0o600 })
    Canary.plant(stdout.trim().split("~")[1] ?? "", file)
  }
  if (uid !== undefined) yield* restartEngine
  const { fingerprint } = yield* restart
  plantKeys(stateDir)

  const made = guests.map(({ argv, backups, command, home, hooks, name, options, proxy, source }): Guest => {
    const config = Path.join(home, "quiesce.yaml")
    const stateDir = options.stateDir ?? Path.join(home, "state")
    const content = {
      version: 1,
      stateDir,
      maxDowntime: options.maxDowntime ?? "20s",
      limits: {
        pollInterval: "100ms",
        steadyTime: "50ms",
        resumeTimeout: "20s",
        agentPatience: "20s",
        queueTimeout: "30s",
        deadline: "60s",
        ...options.limits
      },
      stacks: { app: { command, stopTimeout: "20s", startTimeout: "20s" } },
      agent: {
        http: "path" in proxy.place
          ? { socket: proxy.place.path }
          : { url: `https://127.0.0.1:${proxy.place.port}`, tokenFile: "./token", fingerprint }
      },
      ...options.watch === undefined ? {} : { watch: options.watch }
    }
    Fs.writeFileSync(config, stringify(content, { lineWidth: 0 }))
    const call = (words: ReadonlyArray<string>) => [...words, "--config", config]
    const defaults = { path: hooks.path, cwd: home }
    const [, , , , up = "", log = ""] = options.app === undefined ? argv.status : []
    return {
      name,
      directory: home,
      config,
      stateDir,
      source,
      backups,
      place: options.app?.place ?? Path.join(Path.dirname(source), ".quiesce"),
      hooks,
      proxy,
      isUp: () => Fs.existsSync(up),
      log: () =>
        (Fs.existsSync(log) ? Fs.readFileSync(log, "utf8").trimEnd().split("\n") : []).map((line) => {
          const [what = "", nanos = "0"] = line.split(" ")
          return { what, at: Number(BigInt(nanos) / 1_000_000n) }
        }),
      quiesce: (words, options) => Quiesce.run(call(words), { ...defaults, ...options }),
      start: (words, options) => Quiesce.start(call(words), { ...defaults, ...options }),
      jobs: () => jobsIn(Path.join(directory, "state", "jobs", name))
    }
  })

  const site: Site = {
    root,
    config,
    stateDir,
    hooks,
    guests: made,
    agent,
    restart,
    kill9: Effect.suspend(() => {
      const { ended, signal } = agent()
      signal("SIGKILL")
      return ended
    }),
    pids: () => [present, side].flatMap((one) => one === undefined ? [] : [one.pid]),
    engine: () => side ?? assert.fail("the agent is not divided"),
    restartEngine,
    token
  }
  return site
})

/** A live test that starts many processes, one after the other: a busy machine needs its time for that. */
export const live = (...[name, wanted, test]: Parameters<typeof Live.live>) => Live.live(name, wanted, test, 240_000)

/** The only guest of a site. */
export const only = ({ guests: [guest] }: Site): Guest => guest ?? assert.fail("there is no guest")

/** Changes what the file says. */
export const edit = (file: string, change: (content: Readonly<Record<string, unknown>>) => unknown) =>
  Fs.writeFileSync(file, stringify(change(parse(Fs.readFileSync(file, "utf8"))), { lineWidth: 0 }))

/** Text for a hook of a guest that puts a hook to a tool of the agent, to be taken once. */
export const armed = ({ hooks }: Site, point: string, text: string): string =>
  `printf '%s\\n' '${text}' > '${hooks.directory}/.new' && mv '${hooks.directory}/.new' '${hooks.directory}/${point}'`

/** How long the app was down each time, in milliseconds. */
export const downtimes = (guest: Guest): ReadonlyArray<number> => {
  let since: number | undefined
  return guest.log().flatMap(({ at, what }) => {
    if (what === "stop") since ??= at
    if (what !== "start" || since === undefined) return []
    const down = at - since
    since = undefined
    return [down]
  })
}

const isOver = ({ status: { phase } }: JobRecord) => phase === "done" || phase === "failed"

/** Jobs that go on, temporary snapshots, archives that only look finished, and processes but the agent. */
export const orphans = (site: Site): ReadonlyArray<string> =>
  site.guests.flatMap((guest) => [
    ...guest.jobs().filter((job) => !isOver(job)).map(({ runId, status }) =>
      `${guest.name}: ${runId} is ${status.phase}`
    ),
    ...Traces.everything(guest)
  ]).concat(
    Traces.processes(site.root).filter(({ pid }) => !site.pids().includes(pid)).map(({ argv }) => argv.join(" "))
  )

/** Waits until nothing of any backup is left, and says what is after the limit. */
export const settled = (site: Site) =>
  Hooks.eventually("nothing is left", () => orphans(site).length === 0).pipe(
    Effect.orElse(() => Effect.sync(() => assert.deepStrictEqual(orphans(site), [], "something is left")))
  )

/** What a backup has of the app: `clean` when it was down. */
export const stateIn = (artifact: string) =>
  Effect.map(sh(["tar", "-I", "zstd", "-xOf", artifact, "./state"]), (text) => text.trim())

/** What a run says, and that it is true. */
export const judged = Effect.fnUntraced(function*(guest: Guest, ended: Quiesce.Ended) {
  const { report } = ended
  assert.isTrue(guest.isUp(), "the app is down")
  assert.isDefined(report, `it has ended without a report: ${ended.code} ${ended.signal} ${ended.stderr}`)
  if (report === undefined) return assert.fail()
  const job = guest.jobs().find(({ runId }) => runId === report.runId)
  if (report.outcome === "ok" || report.outcome === "ok-degraded") assert.strictEqual(job?.status.phase, "done")
  if (report.consistency.level === "application") {
    assert.strictEqual(yield* stateIn(report.artifact ?? ""), "clean", "a backup of an app in motion")
  }
  return report
})

/** A run that must end as it should. */
export const good = Effect.fnUntraced(function*(site: Site, guest: Guest) {
  const ended = yield* guest.quiesce(["run", "--json"])
  assert.deepInclude({ code: ended.code, error: ended.report?.error }, { code: 0, error: null }, site.agent().log())
  const report = yield* judged(guest, ended)
  assert.strictEqual(report.consistency.level, "application")
  return report
})
