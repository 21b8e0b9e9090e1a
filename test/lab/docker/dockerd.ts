/**
 * A real dockerd of one's own: its sockets, data, containers and control groups are apart from any other's, and it
 * touches no network. Needs root.
 */
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { untorn } from "../../../src/internal/untorn.ts"
import { attempt, LabError } from "../postgresInstall.ts"
import { type Daemon, lastLines, launch } from "./daemon.ts"
import * as Engine from "./engine.ts"
import * as Home from "./home.ts"
import { chosenEngine } from "./newerEngine.ts"

/** Whether every thread has stopped: on a busy machine one may still answer after the signal. */
const standsStill = async (pid: number): Promise<boolean> => {
  const tasks = `/proc/${pid}/task`
  const threads = await Fs.readdir(tasks).catch(() => [])
  const states = await Promise.all(
    threads.map((thread) => Fs.readFile(`${tasks}/${thread}/stat`, "utf8").catch(() => ""))
  )
  return states.every((state) => state === "" || /^\d+ \(.*\) [TtZX]/s.test(state))
}

export interface Dockerd {
  readonly socket: string
  /** `unix://` and the socket: for DOCKER_HOST. */
  readonly host: string
  /** Its directory: socket, pid file, log, exec root; and the data root, if that is nowhere else. */
  readonly root: string
  readonly log: string
  readonly engine: Engine.Engine
  /** The id of the process that runs, or ran last. */
  readonly pid: () => number
  /** Starts it on the same data, and waits until it answers. One that runs is left alone. */
  readonly start: Effect.Effect<void, LabError>
  /** SIGTERM, as a shutdown of the machine does: it stops all containers, each with its own grace. Waits for the end. */
  readonly stop: Effect.Effect<void, LabError>
  readonly restart: Effect.Effect<void, LabError>
  /** SIGKILL to dockerd alone. The kernel then kills its containerd; the containers go on. */
  readonly kill: Effect.Effect<void, LabError>
  /** SIGSTOP: it accepts connections and does not answer. */
  readonly pause: Effect.Effect<unknown>
  readonly resume: Effect.Effect<void>
}

export interface Options {
  /** Where the data root is made, for one on a certain file system. It is removed at the end as well. */
  readonly root?: string
  /** The binary; its helpers (containerd, runc, docker-init) are looked for beside it first. */
  readonly program?: string
  /** More arguments, such as `--live-restore`. */
  readonly args?: ReadonlyArray<string>
}

const pathFor = (program: string) => {
  const system = `${process.env["PATH"]}:/usr/sbin:/sbin`
  const bin = Path.dirname(program)
  return Path.isAbsolute(program) ? `${bin}:${Path.join(bin, "..", "bin")}:${system}` : system
}

const answers = (engine: Engine.Engine) =>
  engine.call("GET", "/_ping", [200], undefined, { timeoutMillis: 1000 }).pipe(
    Effect.retry(Schedule.spaced("20 millis"))
  )

/**
 * Waits until containerd has ended too, and removes its pid file, which only a clean end does. Where pid 1 is slow to
 * reap it, the next dockerd would take the zombie for a containerd that lives.
 */
const containerdEnded = (root: string) => {
  const file = Path.join(root, "exec/containerd/containerd.pid")
  return attempt(file, async () => {
    const pid = (await Fs.readFile(file, "utf8").catch(() => "")).trim()
    const argv = pid === "" ? "" : await Fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
    return !argv.includes(`${root}/`)
  }).pipe(
    Effect.repeat({ until: (ended) => ended, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutFail({
      duration: "10 seconds",
      onTimeout: () => new LabError({ message: `containerd of ${root} did not end with its dockerd` })
    }),
    Effect.zipRight(attempt(file, () => Fs.rm(file, { force: true })))
  )
}

/**
 * Starts one. At the end of the scope its containers are killed, it is killed, and all that it made is removed.
 * QUIESCE_LAB_ENGINE (`trixie`, `forky`) takes a newer engine than the one that is installed.
 */
export const make = Effect.fn("Dockerd.make")(function*(options: Options = {}) {
  const program = options.program ?? (yield* chosenEngine)
  const root = yield* Home.make
  const data = Path.join(root, "data")
  yield* attempt(`the directories of ${root}`, async () => {
    await Fs.mkdir(options.root ?? data, { recursive: true })
    if (options.root !== undefined) await Fs.symlink(Path.resolve(options.root), data)
    await Fs.writeFile(Path.join(root, "daemon.json"), "{}\n")
  })
  const socket = Path.join(root, "docker.sock")
  const log = Path.join(root, "log")
  const engine = Engine.make(socket)
  const argv = [
    program,
    // without it a configuration of the machine's own dockerd would be read
    `--config-file=${root}/daemon.json`,
    `--host=unix://${socket}`,
    `--pidfile=${root}/pid`,
    `--exec-root=${root}/exec`,
    `--data-root=${options.root === undefined ? data : Path.resolve(options.root)}`,
    // by its control groups a container of a dead dockerd is found
    `--cgroup-parent=/${Path.basename(root)}`,
    "--exec-opt=native.cgroupdriver=cgroupfs",
    "--storage-driver=overlay2",
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none",
    ...(options.args ?? [])
  ] as const
  let daemon: Daemon | undefined
  const spawn = Effect.suspend(() => launch(argv, { log, env: { PATH: pathFor(program), TMPDIR: root } })).pipe(
    Effect.tap((started) => Effect.sync(() => daemon = started))
  )
  const withLog = (what: string) =>
    Effect.flatMap(lastLines(log), (lines) => new LabError({ message: `dockerd ${what}\n${lines}` }))
  const start = Effect.gen(function*() {
    if (daemon !== undefined && (yield* daemon.isRunning)) return
    const { ended } = yield* untorn(spawn)
    yield* Effect.raceFirst(answers(engine), Effect.zipRight(ended, withLog("ended at its start"))).pipe(
      Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => new LabError({ message: "dockerd: too slow" }) })
    )
  })
  const signal = (name: NodeJS.Signals) => Effect.suspend(() => daemon?.signal(name) ?? Effect.void)
  const end = (name: NodeJS.Signals) =>
    signal(name).pipe(
      Effect.zipRight(Effect.suspend(() => daemon?.ended ?? Effect.void)),
      Effect.timeoutOption("60 seconds"),
      Effect.flatMap((ended) => ended._tag === "None" ? withLog(`did not end at ${name}`) : containerdEnded(root))
    )
  const stop = Effect.asVoid(end("SIGTERM"))
  const dockerd: Dockerd = {
    socket,
    host: `unix://${socket}`,
    root,
    log,
    engine,
    pid: () => daemon?.pid ?? 0,
    start,
    stop,
    restart: Effect.zipRight(stop, start),
    kill: Effect.asVoid(end("SIGKILL")),
    pause: Effect.zipRight(
      signal("SIGSTOP"),
      Effect.repeat(Effect.promise(() => standsStill(daemon?.pid ?? 0)), {
        until: (still) => still,
        schedule: Schedule.spaced("5 millis")
      })
    ),
    resume: signal("SIGCONT")
  }
  yield* start
  return dockerd
})
