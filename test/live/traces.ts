/**
 * What a run may leave behind: processes, markers, snapshots, archives that only look finished.
 */
import { Effect, Schedule } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** The part of a project that a run writes to. */
interface Project {
  readonly directory: string
  readonly stateDir: string
  readonly backups: string
  readonly place: string
}

const read = (path: string): string => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

const list = (path: string): ReadonlyArray<string> => Fs.existsSync(path) ? Fs.readdirSync(path) : []

const isZombie = (pid: number) => /^\d+ \(.*\) Z /s.test(read(`/proc/${pid}/stat`))

export interface Process {
  readonly pid: number
  readonly argv: ReadonlyArray<string>
}

/** The processes that name the directory in their arguments or carry the mark of its runs. */
export const processes = (
  directory: string,
  options: { readonly servers: boolean } = { servers: false }
): ReadonlyArray<Process> =>
  list("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).flatMap((name) => {
    const argv = read(`/proc/${name}/cmdline`).split("\0").slice(0, -1)
    const marked = read(`/proc/${name}/environ`).split("\0").some((line) =>
      line.startsWith("QUIESCE_KIN=") && line.includes(directory)
    )
    const ours = marked || argv.some((word) => word.includes(directory))
    const server = argv[0]?.endsWith("/bin/postgres") === true
    return ours && (options.servers || !server) && !isZombie(Number(name)) ? [{ pid: Number(name), argv }] : []
  })

/** Waits until nobody works for the project any more; answers with who still does after the limit. */
export const quiet = (project: Project, limit: `${number} seconds` = "15 seconds") =>
  Effect.sync(() => processes(project.directory)).pipe(
    Effect.repeat({
      // a process in the middle of its exec has no words to know it by: one empty look proves nothing
      until: (found) => found.length === 0,
      schedule: Schedule.spaced("50 millis")
    }),
    Effect.zipRight(Effect.sleep("100 millis")),
    Effect.zipRight(Effect.sync(() => processes(project.directory).length)),
    Effect.repeat({ until: inARow(4) }),
    Effect.timeoutTo({
      duration: limit,
      onSuccess: (): ReadonlyArray<Process> => [],
      onTimeout: () => processes(project.directory)
    })
  )

/** Whether it was zero this many times in a row. */
const inARow = (times: number) => {
  let zeros = 0
  return (count: number) => {
    zeros = count === 0 ? zeros + 1 : 0
    return zeros >= times
  }
}

/** The shell that waits for the death of the project's run. */
export const deadMan = (project: Pick<Project, "directory">): number => {
  const found = processes(project.directory).find(({ argv }) => argv.includes("quiesce-dead-man"))
  if (found === undefined) throw new Error("no dead-man is armed")
  return found.pid
}

/** The markers of the project, without the files of a write that was cut off. */
export const markers = ({ stateDir }: Project): ReadonlyArray<string> =>
  list(Path.join(stateDir, "markers")).filter((name) => name.endsWith(".json"))

const unfinished = (directory: string): ReadonlyArray<string> =>
  list(directory).flatMap((name) => {
    const path = Path.join(directory, name)
    if (name.endsWith(".partial")) return [path]
    if (name.endsWith(".sha256")) return Fs.existsSync(path.slice(0, -".sha256".length)) ? [] : [path]
    const [sum] = read(`${path}.sha256`).split(" ")
    return createHash("sha256").update(Fs.readFileSync(path)).digest("hex") === sum ? [] : [`${path} (wrong checksum)`]
  })

/** Temporary snapshots, archives that are not what their name says, and processes. What a recovery removes. */
export const leftovers = (project: Project): ReadonlyArray<string> => {
  return [
    ...list(project.place).filter((name) => !name.endsWith(".lock")).map((name) => Path.join(project.place, name)),
    ...unfinished(project.backups),
    ...processes(project.directory).map(({ argv, pid }) => `${pid}: ${argv.join(" ")}`)
  ]
}

/** The same, and every file beside the markers: what a run that ended well leaves nothing of. */
export const everything = (project: Project): ReadonlyArray<string> => [
  ...leftovers(project),
  ...list(Path.join(project.stateDir, "markers"))
]
