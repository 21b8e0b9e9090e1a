/**
 * The directory of a container engine, and its removal: processes, control groups, mounts, files, in this order.
 *
 * It is named after this process, and its name is in the arguments and the control groups of all that the engine
 * starts. So what a killed test run left is found, and removed by the next one.
 */
import { Effect, Schedule, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { untorn } from "../../../src/internal/untorn.ts"
import { attempt, execute, type LabError } from "../postgresInstall.ts"

const prefix = "quiesce-docker-"
const cgroups = "/sys/fs/cgroup"

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

const read = (path: string) => Fs.readFile(path, "utf8").catch(() => "")
const entries = (path: string) => Fs.readdir(path, { withFileTypes: true }).catch(() => [])

const below = async (directory: string): Promise<ReadonlyArray<string>> => {
  const inner = (await entries(directory)).filter((entry) => entry.isDirectory())
  return [directory, ...(await Promise.all(inner.map((entry) => below(Path.join(directory, entry.name))))).flat()]
}

/** The control groups of this engine, in every hierarchy, parents first. */
const groupsOf = async (home: string) => {
  // cgroup v1 has a directory for each controller, v2 has none of them
  const hierarchies = [cgroups, ...(await entries(cgroups)).map((entry) => Path.join(cgroups, entry.name))]
  const own = hierarchies.map((hierarchy) => Path.join(hierarchy, Path.basename(home)))
  const there = await Promise.all(own.map((path) => Fs.stat(path).then((stat) => stat.isDirectory(), () => false)))
  return (await Promise.all(own.filter((_, index) => there[index]).map(below))).flat()
}

const processesOf = async (home: string): Promise<ReadonlyArray<number>> => {
  const found = new Set<number>()
  for (const pid of (await Fs.readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    // a zombie has no arguments any more
    if ((await read(`/proc/${pid}/cmdline`)).includes(`${home}/`)) found.add(Number(pid))
  }
  for (const group of await groupsOf(home)) {
    for (const pid of (await read(Path.join(group, "cgroup.procs"))).split("\n").filter(Boolean)) found.add(Number(pid))
  }
  return [...found].filter((pid) => pid !== process.pid && pid !== process.ppid && pid !== 0)
}

const killOnce = async (home: string) => {
  const pids = await processesOf(home)
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // ESRCH: it has ended by itself
    }
  }
  // in a frozen group of cgroup v1 even SIGKILL waits
  for (const group of await groupsOf(home)) {
    await Fs.writeFile(Path.join(group, "freezer.state"), "THAWED").catch(() => undefined)
  }
  return pids.length
}

/** Ends all processes of the engine, and of its containers. */
export const killAll = (home: string): Effect.Effect<void> =>
  Effect.promise(() => killOnce(home)).pipe(
    Effect.repeat({ until: (left) => left === 0, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOption("10 seconds"),
    Effect.asVoid
  )

/** Where the data root is: `data` in the home, or what that links to. */
const dataRootOf = (home: string) => Fs.realpath(Path.join(home, "data")).catch(() => Path.join(home, "data"))

const mountPoints = async () => (await read("/proc/self/mounts")).split("\n").map((line) => line.split(" ")[1] ?? "")

const mountsBelow = async (roots: ReadonlyArray<string>) => {
  const own = (await mountPoints()).filter((path) => roots.some((root) => path === root || path.startsWith(`${root}/`)))
  return own.sort().reverse()
}

/** The sockets of the shims lie outside, below /run/containerd; each is named in a file of its container. */
const shimSockets = async (home: string) => {
  const directories = await below(Path.join(home, "exec", "containerd"))
  // the second is that of containerd 1.7 and later
  const files = directories.flatMap((path) => ["address", "bootstrap.json"].map((name) => Path.join(path, name)))
  const texts = await Promise.all(files.map(read))
  return texts.flatMap((text) => /unix:\/\/(\/run\/containerd\/s\/\w+)/.exec(text)?.[1] ?? [])
}

/** Ends and removes everything. What cannot be removed is said, and left. */
export const removeAll = (home: string): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* killAll(home)
    const dataRoot = yield* Effect.promise(() => dataRootOf(home))
    const sockets = yield* Effect.promise(() => shimSockets(home))
    for (const path of yield* Effect.promise(() => mountsBelow([home, dataRoot]))) {
      yield* execute(["umount", path]).pipe(Effect.orElse(() => execute(["umount", "-l", path])), Effect.ignoreLogged)
    }
    yield* execute(["rm", "-rf", "--one-file-system", ...sockets, dataRoot, home]).pipe(Effect.ignoreLogged)
    for (const group of (yield* Effect.promise(() => groupsOf(home))).toReversed()) {
      // a race with another worker that removes the same leftovers
      yield* Effect.ignore(attempt(group, () => Fs.rmdir(group)))
    }
  })

const removeStale = Effect.gen(function*() {
  for (const name of yield* Effect.promise(() => Fs.readdir(Os.tmpdir()))) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN
    if (!Number.isNaN(pid) && !isAlive(pid)) yield* removeAll(Path.join(Os.tmpdir(), name))
  }
})

/** A new home, removed at the end of the scope with all that runs in it. */
export const make: Effect.Effect<string, LabError, Scope.Scope> = Effect.acquireRelease(
  Effect.zipRight(
    removeStale,
    attempt("no directory for an engine", () => Fs.mkdtemp(Path.join(Os.tmpdir(), `${prefix}${process.pid}-`)))
  ),
  (home) => untorn(removeAll(home))
)
