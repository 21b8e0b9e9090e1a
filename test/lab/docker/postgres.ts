/**
 * PostgreSQL as a service of a Compose project, on the network of the host, and a client of it.
 */
import { Effect, Schedule, type Scope } from "effect"
import * as Net from "node:net"
import { Client, type ClientConfig } from "pg"
import type { Row } from "../postgres.ts"
import { attempt, LabError } from "../postgresInstall.ts"
import type { Service } from "./service.ts"

export interface PostgresService {
  /** On 127.0.0.1. */
  readonly port: number
  /** To be put into a project. `psql` in its container needs no arguments. */
  readonly service: Service
  /** A connected client, closed with the scope. */
  readonly connect: Effect.Effect<Client, LabError, Scope.Scope>
  readonly query: (sql: string, values?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, LabError>
  /** Waits until it answers a query. */
  readonly ready: Effect.Effect<void, LabError>
}

/** A port that was free a moment ago. */
export const freePort: Effect.Effect<number, LabError> = attempt(
  "no free port",
  () =>
    new Promise<number>((resolve, reject) => {
      const server = Net.createServer()
      server.once("error", reject)
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0))
      })
    })
)

const connect = (config: ClientConfig) =>
  Effect.acquireRelease(
    attempt(`no connection to port ${config.port}`, async () => {
      const client = new Client(config)
      // without a listener, a server that goes away would end this process
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    // a daemon, because a client whose server hangs would hold the scope
    (client) => Effect.forkDaemon(Effect.ignore(Effect.tryPromise(() => client.end())))
  )

/** The service whose data is, or will be, in the directory `data` of the host. */
export const make = Effect.fn("PostgresService.make")(function*(options: {
  readonly data: string
  readonly port?: number
  /** For `postgres -c`. */
  readonly settings?: Readonly<Record<string, string>>
  /** What is to be otherwise in the service: labels, a restart policy. */
  readonly service?: Partial<Service>
}) {
  const port = options.port ?? (yield* freePort)
  const settings = Object.entries(options.settings ?? {}).flatMap(([name, value]) => ["-c", `${name}=${value}`])
  const address: ClientConfig = {
    host: "127.0.0.1",
    port,
    user: "postgres",
    database: "postgres",
    ssl: false,
    connectionTimeoutMillis: 5000
  }
  const client = connect(address)
  const query: PostgresService["query"] = (sql, values) =>
    client.pipe(
      Effect.flatMap((client) => attempt(sql, () => client.query<Row>(sql, values === undefined ? [] : [...values]))),
      Effect.map((result) => result.rows),
      Effect.scoped
    )
  const result: PostgresService = {
    port,
    service: {
      image: "pg",
      networkMode: "host",
      command: ["postgres", ...settings],
      volumes: [`${options.data}:/var/lib/postgresql/data`],
      healthcheck: { test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1"], interval: "1 second", retries: 60 },
      stopGracePeriod: "60 seconds",
      ...options.service,
      // the server and its clients take their port from here
      env: { PGPORT: String(port), PGUSER: "postgres", ...options.service?.env }
    },
    connect: client,
    query,
    ready: query("select 1").pipe(
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.timeoutFail({
        duration: "60 seconds",
        onTimeout: () => new LabError({ message: `PostgreSQL on port ${port} did not answer in 60 s` })
      }),
      Effect.asVoid
    )
  }
  return result
})

const rowBytes = 550
const hash = "sha512(random()::text::bytea)"

/**
 * Fills the table `ballast` with rows that do not compress, until there are so many megabytes or the time is over; answers
 * with the size of the database in megabytes.
 */
export const load = Effect.fn("PostgresService.load")(function*(
  server: PostgresService,
  megabytes: number,
  maxMillis: number = Number.POSITIVE_INFINITY
) {
  const begin = performance.now()
  yield* server.query("create table if not exists ballast (id bigserial primary key, body bytea not null)")
  for (
    let left = Math.ceil(megabytes * 1e6 / rowBytes);
    left > 0 && performance.now() - begin < maxMillis;
    left -= 60_000
  ) {
    const body = Array(8).fill(hash).join(" || ")
    yield* server.query(
      `insert into ballast (body) select ${body} from generate_series(1, ${Math.min(left, 60_000)})`
    )
  }
  const [size] = yield* server.query("select pg_database_size('postgres')::float8 as bytes")
  return Number(size?.["bytes"]) / 1e6
})
