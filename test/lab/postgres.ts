/**
 * Real PostgreSQL servers for the live tests, the demo and the bench.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { Client, type ClientConfig } from "pg"
import { untorn } from "../../src/internal/untorn.ts"
import { type Argv, attempt, execute, type Install, LabError } from "./postgresInstall.ts"

/** One server: its files in `home`, its commands as a stack of `quiesce.yaml` needs them. */
export interface Postgres {
  readonly home: string
  /** The data directory, `home/data`. */
  readonly data: string
  readonly log: string
  /** The directory of the UNIX socket, its only address. */
  readonly socket: string
  readonly argv: { readonly start: Argv; readonly stop: Argv; readonly status: Argv; readonly prepare: Argv }
  /** Starts it and waits until it takes connections. */
  readonly start: Effect.Effect<void, LabError>
  /** Stops it (`fast`: ends the sessions, writes a checkpoint) and waits until it is down. */
  readonly stop: Effect.Effect<void, LabError>
  readonly isRunning: Effect.Effect<boolean, LabError>
  readonly query: (sql: string, values?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, LabError>
}

export type Row = Readonly<Record<string, unknown>>

/** What a client needs to connect. Its timeout keeps a server that accepts but does not answer from hanging a caller. */
export const clientOptions = (socket: string): ClientConfig => ({
  host: socket,
  user: "lab",
  database: "postgres",
  ssl: false,
  connectionTimeoutMillis: 5000
})

/** A connected client, closed with the scope. */
export const connect = (server: Postgres): Effect.Effect<Client, LabError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(`no connection to ${server.socket}`, async () => {
      const client = new Client(clientOptions(server.socket))
      // without a listener, a server that goes away would end this process
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    // a daemon, because a client whose server hangs would hold the scope
    (client) => Effect.forkDaemon(Effect.ignore(Effect.tryPromise(() => client.end())))
  )

const ownDirectory = (install: Install, path: string) =>
  attempt(`the directory ${path}`, async () => {
    await Fs.mkdir(path, { recursive: true, mode: 0o700 })
    const ids = install.account.ids
    if (ids !== undefined) await Fs.chown(path, ids.uid, ids.gid)
  })

/**
 * The server whose data is, or will be, in `home/data`. Nothing is started. At the end of the scope it is stopped
 * without ceremony (`immediate`), whoever started it.
 */
export const make = Effect.fn("Postgres.make")(function*(install: Install, home: string) {
  const data = Path.join(home, "data")
  const log = Path.join(home, "log")
  const socket = Path.join(home, "run")
  yield* ownDirectory(install, home)
  yield* ownDirectory(install, socket)
  const pgCtl = (...args: ReadonlyArray<string>): Argv => install.account.as([install.pgCtl, "-D", data, ...args])
  const argv = {
    start: pgCtl("-l", log, "-w", "-t", "60", "start"),
    stop: pgCtl("-m", "fast", "-w", "-t", "60", "stop"),
    status: pgCtl("status"),
    prepare: [process.execPath, Path.resolve("test/lab/checkpoint.mjs"), socket] as Argv
  }
  const server: Postgres = {
    home,
    data,
    log,
    socket,
    argv,
    // pg_ctl is not torn: a server that it has just started would be found by nobody
    start: execute(argv.start, { cwd: "/" }).pipe(
      Effect.catchAll((error) =>
        Effect.flatMap(lastLines(log), (lines) => new LabError({ message: `${error.message}\n${lines}` }))
      ),
      Effect.asVoid,
      untorn
    ),
    stop: Effect.asVoid(untorn(execute(argv.stop, { cwd: "/" }))),
    isRunning: execute(argv.status, { cwd: "/", accept: [3] }).pipe(Effect.map((text) => text.includes("is running"))),
    query: (sql, values) =>
      connect(server).pipe(
        Effect.flatMap((client) => attempt(sql, () => client.query<Row>(sql, values === undefined ? [] : [...values]))),
        Effect.map((result) => result.rows),
        Effect.scoped
      )
  }
  const down = execute(pgCtl("-m", "immediate", "-w", "-t", "20", "stop"), { cwd: "/", accept: [1] })
  yield* Effect.addFinalizer(() => Effect.ignore(untorn(down)))
  return server
})

const lastLines = (path: string) =>
  Effect.tryPromise(() => Fs.readFile(path, "utf8")).pipe(
    Effect.map((text) => text.trimEnd().split("\n").slice(-8).join("\n")),
    Effect.orElseSucceed(() => "(there is no log)")
  )

/**
 * A new, empty, running server in `home`. The settings are PostgreSQL's own (fsync is on) but for the address and a
 * smaller write-ahead log, so that most of what a backup copies is data.
 */
export const initialize = Effect.fn("Postgres.initialize")(function*(
  install: Install,
  home: string,
  options: {
    /** Has a write-ahead log of 2 MB instead of 32 MB, for a backup that is over soon. */
    readonly small?: boolean
  } = {}
) {
  const server = yield* make(install, home)
  const small = options.small === true
  const account = ["-U", "lab", "-A", "trust", "-E", "UTF8", "--no-locale"]
  const segments = small ? ["--wal-segsize=1"] : []
  yield* execute(install.account.as([install.initdb, "-D", server.data, ...account, ...segments]), { cwd: "/" })
  const settings = [
    "listen_addresses = ''",
    // relative to the data directory: a restored copy has its own
    "unix_socket_directories = '../run'",
    `max_wal_size = ${small ? "16MB" : "128MB"}`,
    `min_wal_size = ${small ? "2MB" : "32MB"}`
  ]
  yield* attempt(
    "postgresql.conf",
    () => Fs.appendFile(Path.join(server.data, "postgresql.conf"), `${settings.join("\n")}\n`)
  )
  yield* server.start
  return server
})

/**
 * Fills the table `ballast` with rows that do not compress, in pieces of 32 MB, until there are `megabytes` or the time
 * is over.
 */
export const load = Effect.fn("Postgres.load")(function*(
  server: Postgres,
  options: { readonly megabytes: number; readonly maxMillis?: number }
) {
  const piece = 32
  const rowBytes = 550
  const hash = "sha512(random()::text::bytea)"
  yield* server.query("create table ballast (id bigserial primary key, body bytea not null)")
  const begin = performance.now()
  const late = () => performance.now() - begin > (options.maxMillis ?? Number.POSITIVE_INFINITY)
  let rows = 0
  while (rows * rowBytes < options.megabytes * 1e6 && !late()) {
    const count = Math.ceil(Math.min(piece * 1e6, options.megabytes * 1e6 - rows * rowBytes) / rowBytes)
    yield* server.query(
      `insert into ballast (body) select ${Array(8).fill(hash).join(" || ")} from generate_series(1, ${count})`
    )
    rows += count
  }
  const [size] = yield* server.query("select pg_database_size('postgres')::float8 as bytes")
  return { rows, megabytes: Number(size?.["bytes"]) / 1e6 }
})
