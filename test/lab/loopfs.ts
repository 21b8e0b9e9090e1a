/**
 * Real file systems for tests: an image in a file, mounted through a loop device until the scope closes.
 *
 * What a killed test run left is unmounted and removed by the next one: the directory is named after the process.
 */
import { Data, Effect, Schedule, type Scope } from "effect"
import { execFile } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"

export class LabFailed extends Data.TaggedError("LabFailed")<{ readonly message: string }> {}

const env = { ...process.env, LC_ALL: "C.UTF-8", PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` }

/** Runs a program that must succeed, and answers with its stdout. */
export const sh = (
  argv: readonly [string, ...ReadonlyArray<string>],
  options?: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> }
): Effect.Effect<string, LabFailed> =>
  Effect.async((resume) => {
    const [program, ...args] = argv
    execFile(
      program,
      args,
      { cwd: options?.cwd, env: { ...env, ...options?.env }, maxBuffer: 1 << 28 },
      (error, stdout, stderr) =>
        resume(
          error === null
            ? Effect.succeed(stdout)
            : new LabFailed({ message: `${argv.join(" ")}: ${error.message}\n${stdout}${stderr}` })
        )
    )
  })

const prefix = "quiesce-lab-"

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

const mountPoints = Effect.promise(() => Fs.readFile("/proc/self/mounts", "utf8")).pipe(
  Effect.map((text) => text.split("\n").map((line) => line.split(" ")[1] ?? ""))
)

const unmountBelow = (directory: string) =>
  Effect.gen(function*() {
    const below = (yield* mountPoints).filter((path) => path.startsWith(`${directory}/`)).sort().reverse()
    for (const path of below) {
      yield* sh(["umount", path]).pipe(
        Effect.retry(Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(20))),
        Effect.orElse(() => sh(["umount", "-l", path])),
        Effect.ignoreLogged
      )
    }
  })

const remove = (directory: string) =>
  Effect.zipRight(unmountBelow(directory), Effect.ignoreLogged(sh(["rm", "-rf", "--one-file-system", directory])))

const removeStale = Effect.gen(function*() {
  const root = Os.tmpdir()
  for (const name of yield* Effect.promise(() => Fs.readdir(root))) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN
    if (!Number.isNaN(pid) && !isAlive(pid)) yield* remove(Path.join(root, name))
  }
})

/** A temporary directory that is removed, with what is mounted in it, when the scope closes. */
export const workDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.zipRight(
    removeStale,
    Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), `${prefix}${process.pid}-`)))
  ).pipe(Effect.tap((directory) => Effect.promise(() => Fs.chmod(directory, 0o755)))),
  remove
)

const mkfs = {
  btrfs: ["mkfs.btrfs", "-q", "-f"],
  xfs: ["mkfs.xfs", "-q", "-f"],
  ext4: ["mkfs.ext4", "-q", "-F"]
} as const

/** A new file system of this kind, mounted; answers with the mount point. Needs root. */
export const loopMount = (
  kind: "btrfs" | "xfs" | "ext4",
  options: { readonly megabytes?: number; readonly mountOptions?: string } = {}
): Effect.Effect<string, LabFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const directory = yield* workDirectory
    const image = Path.join(directory, "image")
    const mount = Path.join(directory, "mount")
    // mkfs.xfs refuses less than 300 MB; the image is sparse
    yield* sh(["truncate", "-s", `${options.megabytes ?? 512}M`, image])
    yield* sh([...mkfs[kind], image])
    yield* Effect.promise(() => Fs.mkdir(mount))
    yield* sh([
      "mount",
      "-o",
      ["loop", ...(options.mountOptions ?? "").split(",")].filter(Boolean).join(","),
      image,
      mount
    ])
      // a loop device may be taken by another test between the search and the use
      .pipe(Effect.retry(Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(10))))
    return mount
  })

/** A tmpfs of this size; answers with the mount point. Needs root. */
export const tmpfs = (megabytes: number): Effect.Effect<string, LabFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const directory = yield* workDirectory
    const mount = Path.join(directory, "mount")
    yield* Effect.promise(() => Fs.mkdir(mount))
    yield* sh(["mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", mount])
    return mount
  })
