/**
 * A machine of one's own whose init is a real systemd: `systemd-nspawn --boot` on a layer above a small Debian, in
 * control groups of its own and without a network. It can be killed and booted again on the same files, as by a power
 * switch. Needs root.
 */
import { Effect, Option, Schedule } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { explain, type ProcessResult, run } from "../../../src/internal/process.ts"
import { untorn } from "../../../src/internal/untorn.ts"
import { type Daemon, lastLines, launch } from "../docker/daemon.ts"
import * as Home from "../docker/home.ts"
import { type Argv, attempt, execute, LabError } from "../postgresInstall.ts"
import { tree } from "./tree.ts"

export interface Machine {
  /** Where a file of the machine is on this one, also while it is off. `/run` and `/tmp` are not there. */
  readonly at: (path: string) => string
  /** Runs a program in it as root, to its end, whatever its exit code. */
  readonly ask: (...argv: Argv) => Effect.Effect<ProcessResult, LabError>
  /** Runs a program in it that must end with exit code 0, and answers with what it wrote. */
  readonly call: (...argv: Argv) => Effect.Effect<string, LabError>
  /** `systemctl show`: the value of a property of a unit. */
  readonly show: (unit: string, property: string) => Effect.Effect<string, LabError>
  /** What the units have said, for an error message. */
  readonly journal: (unit?: string) => Effect.Effect<string>
  /** Kills everything in it at once. */
  readonly powerOff: Effect.Effect<void, LabError>
  /** Boots it, and returns when systemd answers, which is before all units are started. */
  readonly powerOn: Effect.Effect<void, LabError>
  /** Returns when all units of the boot are started. */
  readonly booted: Effect.Effect<void, LabError>
  /** Gives its systemd the memory controller, without which `MemoryMax=` does nothing. */
  readonly memoryController: Effect.Effect<void, LabError>
}

/** In control groups of its own: by them everything that it has started is found. */
const script = `name=$1; shift
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then groups=/sys/fs/cgroup/; else groups=$(echo /sys/fs/cgroup/*/); fi
for group in $groups; do
  # a new group of cpuset takes no process
  case $group in */cpuset/) continue ;; esac
  mkdir -p "$group$name" && echo $$ >"$group$name/cgroup.procs" || exit 1
done
exec "$@"`

const inside = (leader: number, argv: Argv): Argv => [
  "nsenter",
  "--target",
  String(leader),
  "--all",
  "env",
  "-i",
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
  "LC_ALL=C.UTF-8",
  ...argv
]

const execIn = (leader: number, argv: Argv, timeout: `${number} seconds` = "120 seconds") =>
  run({ argv: inside(leader, argv), timeout }).pipe(
    Effect.mapError((error) => new LabError({ message: error.message })),
    Effect.filterOrFail(
      ({ timedOut }) => !timedOut,
      (result) => new LabError({ message: `${argv.join(" ")}: ${explain(result)}` })
    )
  )

const childrenOf = (pid: number): ReadonlyArray<number> => {
  try {
    return Fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number)
  } catch {
    return []
  }
}

export interface Options {
  /** Files of this machine that are seen there: the path here by the path there. */
  readonly binds?: Readonly<Record<string, string>>
  /** Changes the files before the first boot. `at` is that of the machine. */
  readonly prepare?: (at: Machine["at"]) => void
}

/** A machine that runs. At the end of the scope it and all its files are gone. */
export const make = Effect.fn("Systemd.make")(function*(options: Options = {}) {
  const lower = yield* tree
  const home = yield* Home.make
  const root = Path.join(home, "root")
  const name = Path.basename(home)
  const log = Path.join(home, "log")
  const [upper, work] = [Path.join(home, "upper"), Path.join(home, "work")]
  const at = (path: string) => Path.join(root, path)
  yield* attempt(home, async () => [root, upper, work].forEach((path) => Fs.mkdirSync(path)))
  yield* execute([
    "mount",
    "-t",
    "overlay",
    "overlay",
    "-o",
    `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    root
  ])
  yield* attempt("the files of the machine", async () => options.prepare?.(at))
  const binds = Object.entries(options.binds ?? {}).map(([here, there]) => `--bind-ro=${here}:${there}`)
  const argv: Argv = [
    ...["sh", "-c", script, "sh", name] as const,
    "systemd-nspawn",
    "--boot",
    "--quiet",
    // there is no systemd outside that could be told of it
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--console=pipe",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
    `--machine=${name}`,
    `--directory=${root}`,
    ...binds
  ]
  let daemon: Daemon | undefined
  let leader = 0

  const answering = (pid: number) =>
    Effect.suspend(() => {
      const [child] = childrenOf(pid)
      if (child === undefined) return new LabError({ message: "it has no init yet" })
      return Effect.flatMap(execIn(child, ["systemctl", "show", "--property=Version"], "10 seconds"), ({ code }) =>
        code === 0 ? Effect.succeed(child) : new LabError({ message: "its init does not answer yet" }))
    })
  const withLog = (what: string) =>
    Effect.flatMap(lastLines(log, 20), (lines) => new LabError({ message: `the machine ${what}\n${lines}` }))

  const powerOn = Effect.gen(function*() {
    const started = yield* untorn(Effect.tap(launch(argv, { log }), (started) =>
      Effect.sync(() => {
        daemon = started
      })))
    leader = yield* Effect.raceFirst(
      Effect.retry(answering(started.pid), Schedule.spaced("50 millis")),
      Effect.zipRight(started.ended, withLog("ended at its start"))
    ).pipe(
      Effect.timeoutOption("60 seconds"),
      Effect.flatMap(Option.match({
        onNone: () => withLog("did not start"),
        onSome: Effect.succeed
      }))
    )
  })
  const powerOff = Effect.suspend(() => {
    if (leader > 0) process.kill(leader, "SIGKILL")
    leader = 0
    return Effect.timeoutOption(daemon?.ended ?? Effect.void, "30 seconds")
  }).pipe(Effect.flatMap((ended) => ended._tag === "None" ? withLog("could not be killed") : Effect.void))

  const ask = (...argv: Argv) =>
    Effect.suspend(() => leader === 0 ? new LabError({ message: "the machine is off" }) : execIn(leader, argv))
  const call = (...argv: Argv) =>
    Effect.flatMap(
      ask(...argv),
      (result) =>
        result.code === 0
          ? Effect.succeed(result.stdout.trim())
          : new LabError({ message: `${argv.join(" ")}: ${explain(result)}` })
    )
  const machine: Machine = {
    at,
    ask,
    call,
    show: (unit, property) => call("systemctl", "show", "--value", `--property=${property}`, unit),
    journal: (unit) =>
      call(
        "journalctl",
        "--no-pager",
        "--lines=60",
        "--output=short-precise",
        ...unit === undefined ? [] : [`--unit=${unit}`]
      )
        .pipe(Effect.catchAll(({ message }) => Effect.succeed(message))),
    powerOff,
    powerOn,
    booted: Effect.flatMap(
      // 1 is `degraded`: a unit has failed, which a test may have wanted
      ask("systemctl", "is-system-running", "--wait"),
      ({ code, output }) => code <= 1 ? Effect.void : new LabError({ message: `the machine does not boot: ${output}` })
    ),
    memoryController: Effect.asVoid(call(
      "sh",
      "-c",
      // of version 1 a machine sees all controllers but can use none
      "test ! -d /sys/fs/cgroup/memory || { mount -o remount,bind,rw /sys/fs/cgroup/memory && systemctl daemon-reexec; }"
    ))
  }
  yield* powerOn
  return machine
})
