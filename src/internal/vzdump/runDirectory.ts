/**
 * What is kept of one vzdump, so that an agent after this one finds it: `<stateDir>/vzdump/<runId>` with
 * - `log`: what it prints;
 * - `process`: a symbolic link to the words of its `/proc/PID/stat`. A link is made with its content in one step, and
 *   once only: the first of the vzdump that starts and of an agent that gives it up has it;
 * - `exit`: its exit code;
 * - `upid`: its UPID, when it is known.
 */
import { Effect, type Option, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { RunId } from "../../domain/RunId.ts"
import { Upid } from "../../domain/Upid.ts"
import { EngineFailed } from "../../services/Engine.ts"
import { errnoOf, reasonOf } from "../durable.ts"
import * as StateDir from "../stateDir.ts"
import * as Processes from "./processes.ts"

export interface RunDirectory {
  readonly path: string
  readonly log: string
  readonly process: string
  readonly exit: string
  readonly upid: string
}

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = Fs.constants

const isRunId = Schema.is(RunId)

const above = (stateDir: string) => Path.join(Path.resolve(stateDir), "vzdump")

export const at = (stateDir: string, runId: RunId): RunDirectory => {
  const path = Path.join(above(stateDir), runId)
  const file = (name: string) => Path.join(path, name)
  return { path, log: file("log"), process: file("process"), exit: file("exit"), upid: file("upid") }
}

const io = <A>(path: string, act: () => Promise<A>) =>
  Effect.tryPromise({ try: act, catch: (error) => new EngineFailed({ reason: `${path}: ${reasonOf(error)}` }) })

/** What is in a small file, without spaces around; nothing when it is not there or empty. */
const word = (path: string) =>
  Effect.promise(() => Fs.readFile(path, "latin1").then((text) => text.trim() || undefined, () => undefined))

/** Who has the vzdump of this directory: itself, an agent that has given it up, or nobody yet. */
export const owner = (
  directory: RunDirectory
): Effect.Effect<Processes.ProcessStat | "given up" | undefined, EngineFailed> =>
  Effect.map(
    io(directory.process, () =>
      Fs.readlink(directory.process).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error
      })),
    (text) => typeof text === "string" ? Processes.parse(text) ?? "given up" : undefined
  )

/** From here on no vzdump starts in this directory, unless one has: whether there is none. */
export const giveUp = (directory: RunDirectory): Effect.Effect<boolean, EngineFailed> =>
  io(directory.process, () =>
    Fs.symlink("given up", directory.process).then(() => true, (error: unknown) => {
      // without the directory there is no place to start in
      if (errnoOf(error) === "ENOENT") return true
      if (errnoOf(error) === "EEXIST") return false
      throw error
    })).pipe(
      Effect.flatMap((isFirst) =>
        isFirst ? Effect.succeed(true) : Effect.map(owner(directory), (it) => it === "given up")
      )
    )

/** The exit code, when it has one. */
export const exitCode = (directory: RunDirectory): Effect.Effect<number | undefined> =>
  Effect.map(word(directory.exit), (text) => text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined)

export const upid = (directory: RunDirectory): Effect.Effect<Option.Option<Upid>> =>
  Effect.map(word(directory.upid), Schema.decodeUnknownOption(Upid))

/** Keeps it for whoever looks for the task of this backup. */
export const keepUpid = (directory: RunDirectory, id: Upid): Effect.Effect<void> =>
  Effect.ignoreLogged(io(directory.upid, () => Fs.writeFile(directory.upid, `${id}\n`, { mode: 0o600 })))

/** Makes the directory with an empty log, which is open until the scope closes. Unless it was used, it is gone then. */
export const prepare = (stateDir: string, directory: RunDirectory) =>
  Effect.gen(function*() {
    yield* Effect.forEach([stateDir, above(stateDir), directory.path], StateDir.ensure, { discard: true }).pipe(
      Effect.mapError(({ message }) => new EngineFailed({ reason: message }))
    )
    // a shell that is about to become the vzdump must not do so in a directory that is gone
    yield* Effect.addFinalizer(() => Effect.ignoreLogged(Effect.whenEffect(remove(directory.path), giveUp(directory))))
    return yield* Effect.acquireRelease(
      io(directory.log, () => Fs.open(directory.log, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_NOFOLLOW, 0o600)),
      (log) => Effect.promise(() => log.close().catch(() => undefined))
    )
  })

const tombstone = ".gone"

/** In one step for a shell that is still to come: it must not find the directory without the link that keeps it out. */
const remove = (path: string) => {
  const gone = `${path}${tombstone}`
  return io(path, () =>
    Fs.rename(path, gone).catch((error: unknown) => {
      if (errnoOf(error) !== "ENOENT") throw error
    }).then(() => Fs.rm(gone, { recursive: true, force: true })))
}

/** How many are kept for whoever wants to read a log. */
const kept = 10

/** What looks unused may be in use by an agent that waits; nobody waits that long. */
const day = 24 * 3600_000

const madeAt = (runId: RunId) => Number.parseInt(runId.slice(0, 8) + runId.slice(9, 13), 16)

const isOver = Effect.fnUntraced(function*(directory: RunDirectory, age: number) {
  const it = yield* owner(directory)
  if (it === undefined) return age > day
  return it === "given up" || (yield* exitCode(directory)) !== undefined || !(yield* Processes.isAlive(it))
})

/** Removes the directories of vzdumps that have ended, but for the newest. Answers with what it removed. */
export const sweep = (stateDir: string, now: number): Effect.Effect<ReadonlyArray<string>, EngineFailed> =>
  Effect.gen(function*() {
    const names = yield* io(above(stateDir), () =>
      Fs.readdir(above(stateDir)).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error
        return []
      }))
    const dead = names.filter((name) => name.endsWith(tombstone)).map((name) => Path.join(above(stateDir), name))
    yield* Effect.forEach(dead, (path) => io(path, () => Fs.rm(path, { recursive: true, force: true })))
    const old = names.flatMap((name) => isRunId(name) ? [name] : []).sort().reverse().slice(kept)
    const over = yield* Effect.filter(old, (runId) => isOver(at(stateDir, runId), now - madeAt(runId)))
    return yield* Effect.forEach(over, (runId) => {
      const { path } = at(stateDir, runId)
      return Effect.as(remove(path), path)
    })
  })
