/**
 * A directory for databases, which is gone when its scope closes, with every process that was still at work in it.
 */
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { account, attempt, execute, LabError } from "./postgresInstall.ts"

const tmpfs = 0x01021994

/** sun_path of unix(7) takes 107 bytes, and PostgreSQL puts its socket some way below the work directory. */
const longestBase = 50

const candidates = [Os.tmpdir(), "/var/tmp", "/tmp"]

/** Why a directory cannot be the base of a work directory, if it cannot. */
const objection = (base: string, needsBytes: number) =>
  Effect.gen(function*() {
    if (Buffer.byteLength(base) > longestBase) return "its path is too long for a UNIX socket below it"
    const who = yield* account
    yield* execute(who.as(["test", "-x", base]))
    const stat = yield* attempt(base, () => Fs.statfs(base))
    if (stat.type === tmpfs) return "it is in memory"
    const free = stat.bavail * stat.bsize
    return free < needsBytes
      ? `${Math.floor(free / 1e6)} MB are free, ${Math.ceil(needsBytes / 1e6)} MB are needed`
      : undefined
  }).pipe(
    Effect.catchAll(() => Effect.succeed("it is not there, or the user that PostgreSQL runs as may not enter it"))
  )

const chooseBase = (needsBytes: number) =>
  Effect.gen(function*() {
    const objections: Array<string> = []
    for (const base of new Set(candidates)) {
      const against = yield* objection(base, needsBytes)
      if (against === undefined) return base
      objections.push(`${base}: ${against}`)
    }
    return yield* new LabError({
      message: `no place for a work directory (${objections.join("; ")}); set TMPDIR to one on a disk with space`
    })
  })

/** The processes that name the directory in their arguments, or stand in it. Those of other users are not seen. */
const processesIn = (directory: string) =>
  attempt("/proc", async () => {
    const found: Array<number> = []
    for (const pid of (await Fs.readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const argv = await Fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
      const cwd = await Fs.readlink(`/proc/${pid}/cwd`).catch(() => "")
      const within = argv.includes(directory) || cwd === directory || cwd.startsWith(`${directory}/`)
      if (within && Number(pid) !== process.pid && Number(pid) !== process.ppid) found.push(Number(pid))
    }
    return found
  })

const killAll = (directory: string) =>
  processesIn(directory).pipe(
    Effect.tap((pids) =>
      Effect.sync(() => {
        for (const pid of pids) {
          try {
            process.kill(pid, "SIGKILL")
          } catch {
            // ESRCH: it has ended by itself
          }
        }
      })
    ),
    Effect.repeat({ until: (pids) => pids.length === 0, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("10 seconds"),
    Effect.ignore
  )

const removeAll = (directory: string) =>
  Effect.tryPromise(() => Fs.rm(directory, { recursive: true, force: true })).pipe(
    Effect.retry({ times: 20, schedule: Schedule.spaced("100 millis") }),
    Effect.catchAll((error) => Effect.sync(() => console.error(`could not remove ${directory}: ${error.message}`)))
  )

/**
 * Makes `PREFIX-XXXXXX` below the first of $TMPDIR, /var/tmp and /tmp that has the space, is not in memory, and can be
 * entered by the account of PostgreSQL; or below `base`, unexamined. At the end of the scope the processes in it are
 * killed and it is removed.
 */
export const workDirectory = Effect.fn("Lab.workDirectory")(function*(options: {
  readonly prefix: string
  readonly needsBytes: number
  readonly base?: string | undefined
}) {
  const base = options.base === undefined ? yield* chooseBase(options.needsBytes) : Path.resolve(options.base)
  return yield* Effect.acquireRelease(
    attempt(`no work directory below ${base}`, async () => {
      const directory = await Fs.mkdtemp(Path.join(base, `${options.prefix}-`))
      await Fs.chmod(directory, 0o711)
      return directory
    }),
    (directory) => Effect.zipRight(killAll(directory), removeAll(directory))
  )
})
