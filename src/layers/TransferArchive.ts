/**
 * A transfer to one compressed archive: GNU tar and zstd, `<name>-<time>-<run>.tar.zst` with its checksum beside it.
 */
import { DateTime, Effect, Fiber, Layer, Option, Ref, Schedule } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { Progress } from "../domain/Backup.ts"
import * as Files from "../internal/archiveFiles.ts"
import { writeArchive } from "../internal/archiveProcess.ts"
import { contentSize, DiskError, io, isWithin } from "../internal/disk.ts"
import { attempt, endLeftovers } from "../internal/tool.ts"
import { untorn } from "../internal/untorn.ts"
import { Transfer, TransferFailed, TransferRefused } from "../services/Transfer.ts"

/** Where the archives go, and what they are called. */
export interface TransferArchiveOptions {
  /** The directory of the archives, absolute; made (0700) where it is missing. Not inside the source. */
  readonly to: string
  /** What the names of the archives begin with: letters, digits, `.`, `_` and `-`. */
  readonly name: string
  readonly stateDir: string
  /** The source of the snapshots, where it is known: archives inside it would be archived. */
  readonly source?: string | undefined
}

type Run = Parameters<Transfer["Type"]["run"]>[0]

const refused = (reason: string) => new TransferRefused({ reason })

/** The real path of a directory that may not be there yet, and of the deepest one above it that is. */
const locate = (path: string, missing = ""): Effect.Effect<{ readonly there: string; readonly whole: string }> =>
  Effect.matchEffect(io(path, () => Fs.realpath(path)), {
    onSuccess: (there) => Effect.succeed({ there, whole: Path.join(there, missing) }),
    onFailure: () => locate(Path.dirname(path), Path.join(Path.basename(path), missing))
  })

const refuseInside = Effect.fnUntraced(function*(to: string, source: string) {
  const [directory, from] = [yield* locate(to), yield* locate(source)]
  if (isWithin(directory.whole, from.whole)) {
    return yield* new DiskError({
      path: to,
      code: "",
      reason: `it is inside the source ${source}, so each archive would hold the older ones: put the archives elsewhere`
    })
  }
})

const refuseUnwritable = Effect.fnUntraced(function*(to: string) {
  const { there } = yield* locate(to)
  const stat = yield* io(there, () => Fs.stat(there))
  if (!stat.isDirectory()) {
    return yield* new DiskError({ path: there, code: "ENOTDIR", reason: "it is not a directory" })
  }
  yield* io(there, () => Fs.access(there, Fs.constants.W_OK | Fs.constants.X_OK))
})

const preflight = Effect.fn("TransferArchive.preflight")(
  function*(options: TransferArchiveOptions) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(options.name)) {
      return yield* refused(`'${options.name}' cannot begin a file name: use letters, digits, '.', '_' and '-'`)
    }
    const ask = (program: string) => attempt(options.stateDir, [program, "--version"], "10 seconds")
    const tar = yield* ask("tar")
    if (!tar.stdout.includes("GNU tar")) return yield* refused("'tar' is not GNU tar: install GNU tar")
    const zstd = yield* ask("zstd")
    if (zstd.code !== 0) return yield* refused(`'zstd' does not run: ${zstd.output}`)
    if (options.source !== undefined) yield* refuseInside(options.to, options.source)
    yield* refuseUnwritable(options.to)
  },
  Effect.catchTags({
    DiskError: (error) => refused(`archives cannot be put there: ${error.message}`),
    ToolFailed: (error) => refused(error.message)
  })
)

/** Tells the progress four times a second, where there is any, until the scope closes. */
const reporting = Effect.fnUntraced(function*(options: TransferArchiveOptions, run: Run) {
  let read = 0
  const total = yield* Ref.make(Option.none<number>())
  yield* contentSize(options.stateDir, run.path).pipe(
    Effect.flatMap((bytes) => Ref.set(total, Option.some(bytes))),
    Effect.ignoreLogged,
    Effect.forkScoped
  )
  const progress = Effect.map(Ref.get(total), (total): Progress =>
    Option.match(total, {
      onNone: () => ({ bytes: read }),
      // tar counts its headers too
      onSome: (totalBytes) => ({ bytes: Math.min(read, totalBytes), totalBytes })
    }))
  const reporter = yield* Effect.flatMap(progress, run.onProgress).pipe(
    Effect.repeat(Schedule.spaced("250 millis")),
    Effect.forkScoped
  )
  return {
    onRead: (bytes: number) => {
      read = bytes
    },
    finish: Fiber.interrupt(reporter).pipe(
      Effect.zipRight(Ref.get(total)),
      Effect.map((total): Progress =>
        Option.match(total, {
          onNone: () => ({ bytes: read }),
          onSome: (bytes) => ({ bytes, totalBytes: bytes })
        })
      ),
      Effect.flatMap(run.onProgress)
    )
  }
})

const runArchive = Effect.fn("TransferArchive.run")(
  function*(options: TransferArchiveOptions, run: Run) {
    yield* refuseInside(options.to, run.path)
    yield* io(options.to, () => Fs.mkdir(options.to, { recursive: true, mode: 0o700 }))
    const name = Files.fileName(options.name, yield* DateTime.now, run.runId)
    const file = yield* Files.open(options.to, name)
    const { finish, onRead } = yield* reporting(options, run)
    const written = yield* writeArchive({
      stateDir: options.stateDir,
      path: run.path,
      background: run.background,
      handle: file.handle,
      onRead
    })
    yield* finish
    yield* Files.publish(file, written.sha256)
    return { location: Path.join(options.to, name), ...written }
  },
  Effect.scoped,
  // tar's end is not yet the end of its zstd
  (effect, options) => Effect.onError(effect, () => untorn(endLeftovers(options.stateDir, "2 seconds"))),
  Effect.mapError((error) => new TransferFailed({ reason: error.message }))
)

/**
 * Archives the snapshot with owners as numbers, extended attributes and ACLs. A directory `.quiesce` at its top is left
 * out. Needs GNU tar and zstd. Only a complete archive, on the disk with its checksum, ever has its name; `sha256sum -c`
 * checks it.
 */
export const layer = (options: TransferArchiveOptions): Layer.Layer<Transfer> =>
  Layer.succeed(Transfer, {
    preflight: preflight(options),
    run: (run) => runArchive(options, run),
    sweep: Effect.gen(function*() {
      const ended = yield* endLeftovers(options.stateDir)
      return [...ended, ...(yield* Files.sweep(options.to, options.name))]
    }).pipe(
      Effect.mapError((error) => new TransferFailed({ reason: error.message })),
      Effect.withSpan("TransferArchive.sweep")
    )
  })
