/**
 * A restore drill: PostgreSQL is started on a copy of its data, and its own log and tables say what the copy is worth.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { make } from "./postgres.ts"
import { attempt, execute, type Install, LabError } from "./postgresInstall.ts"

export interface Drill {
  readonly started: boolean
  /** The log has `database system was shut down at`: the copy is of a server that was down. */
  readonly wasShutDown: boolean
  /** The log has `was not properly shut down` or `automatic recovery in progress`. */
  readonly recovered: boolean
  /** The line of the log that tells, or why the server did not start. */
  readonly evidence: string
  /** Rows of the table `ballast`. */
  readonly ballast: number
  /** The ids in the table `journal`. */
  readonly journal: ReadonlySet<number>
}

const shutDown = /database system was shut down at/
const recovery = /was not properly shut down|automatic recovery in progress/

/** What a server's log says of the state in which it found its data. */
export const readLog = (log: string): Pick<Drill, "wasShutDown" | "recovered" | "evidence"> => {
  const lines = log.split("\n")
  const line = lines.find((line) => recovery.test(line)) ?? lines.find((line) => shutDown.test(line))
  return {
    wasShutDown: lines.some((line) => shutDown.test(line)),
    recovered: lines.some((line) => recovery.test(line)),
    evidence: (line ?? "its log says nothing about it").replace(/^.*?(?:LOG|FATAL|PANIC): +/, "")
  }
}

/** Starts a server on the copy in `home/data`, asks it, and stops it again. `home/log` must be new. */
export const drill = Effect.fn("PostgresDrill.drill")(
  function*(install: Install, home: string): Effect.fn.Return<Drill, LabError> {
    return yield* Effect.scoped(Effect.gen(function*() {
      // of a server that was running when the copy was made; it would keep this one from starting
      yield* attempt("postmaster.pid", () => Fs.rm(Path.join(home, "data", "postmaster.pid"), { force: true }))
      const server = yield* make(install, home)
      const start = yield* Effect.either(server.start)
      const log = yield* Effect.tryPromise(() => Fs.readFile(server.log, "utf8")).pipe(Effect.orElseSucceed(() => ""))
      const found = readLog(log)
      if (start._tag === "Left") {
        return { ...found, started: false, evidence: start.left.message, ballast: 0, journal: new Set<number>() }
      }
      const [ballast] = yield* server.query("select count(*)::int4 as rows from ballast")
      const journal = yield* server.query("select id::int4 from journal")
      return {
        ...found,
        started: true,
        ballast: Number(ballast?.["rows"]),
        journal: new Set(journal.map((row) => Number(row["id"])))
      }
    }))
  }
)

/** Unpacks an archive of a data directory to `home/data`, at whatever depth it lies in the archive. */
export const unpack = Effect.fn("PostgresDrill.unpack")(function*(archive: string, home: string) {
  const unpacked = Path.join(home, "unpacked")
  yield* attempt(unpacked, () => Fs.mkdir(unpacked, { recursive: true }))
  yield* execute(["tar", "-I", "zstd", "-xpf", archive, "-C", unpacked])
  const version = yield* execute([
    "find",
    unpacked,
    "-maxdepth",
    "4",
    "-name",
    "PG_VERSION",
    "-not",
    "-path",
    "*/base/*"
  ])
  const data = version.trim().split("\n")[0] ?? ""
  if (data === "") return yield* new LabError({ message: `${archive} has no PostgreSQL data directory in it` })
  yield* attempt("the unpacked data", () => Fs.rename(Path.dirname(data), Path.join(home, "data")))
})
