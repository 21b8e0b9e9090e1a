/**
 * A running PostgreSQL with a client that never stops writing, and the configurations that back it up.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Option, Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { stringify } from "yaml"
import { tmpfs } from "../lab/loopfs.ts"
import { initialize, load, type Postgres } from "../lab/postgres.ts"
import { type Argv, type Install, install } from "../lab/postgresInstall.ts"
import { workDirectory } from "../lab/postgresWorkDirectory.ts"
import { make as makeWriter, type Writer } from "../lab/postgresWriter.ts"
import { type Need, unmet } from "../support/live.ts"
import * as Hooks from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"
import { processes } from "./traces.ts"

export interface Site {
  readonly work: string
  readonly programs: Install
  readonly server: Postgres
  readonly writer: Writer
  /** Rows of the table that fills the database. */
  readonly rows: number
}

type Commands = Partial<Record<"start" | "stop" | "status" | "prepare", Argv>>

/** What one `quiesce.yaml` says, beside what all of them say. */
export interface ProjectOptions {
  readonly snapshot?: string
  readonly source?: string
  readonly transfer?: unknown
  readonly stateDir?: string
  /** Where the temporary snapshot lies; beside the source, if it is not said. */
  readonly place?: string
  /** Other commands than those of the server; all of them get hooks. */
  readonly command?: Commands
  /** Commands without hooks. */
  readonly raw?: Commands
  readonly stack?: Readonly<Record<string, string>>
  readonly limits?: Readonly<Record<string, string>>
}

/** A directory with a `quiesce.yaml`, its state, its archives, and hooks in its commands. */
export interface Project {
  readonly directory: string
  readonly config: string
  readonly stateDir: string
  readonly backups: string
  readonly place: string
  readonly hooks: Hooks.Hooks
  readonly quiesce: (words: ReadonlyArray<string>, options?: Quiesce.Options) => Effect.Effect<Quiesce.Ended>
  readonly start: (
    words: ReadonlyArray<string>,
    options?: Quiesce.Options
  ) => Effect.Effect<Quiesce.Live, never, Scope.Scope>
}

export const project = Effect.fnUntraced(function*(site: Site, name: string, options: ProjectOptions = {}) {
  const directory = Path.join(site.work, name)
  Fs.mkdirSync(directory, { recursive: true })
  const hooks = yield* Hooks.make(directory, process.env["PATH"] ?? "/usr/bin:/bin")
  const { argv, data } = site.server
  const commands = { start: argv.start, stop: argv.stop, status: argv.status, ...options.command }
  const hooked = Object.fromEntries(Object.entries(commands).map(([name, argv]) => [name, hooks.hooked(name, argv)]))
  const command = { ...hooked, ...options.raw }
  const source = options.source ?? data
  const stateDir = options.stateDir ?? Path.join(directory, "state")
  const backups = Path.join(directory, "backups")
  const config = Path.join(directory, "quiesce.yaml")
  const content = {
    version: 1,
    stateDir,
    limits: { steadyTime: "100ms", resumeTimeout: "20s", ...options.limits },
    stacks: { notes: { command, stopTimeout: "20s", startTimeout: "20s", ...options.stack } },
    agent: {
      local: {
        source,
        snapshot: options.snapshot ?? "copy",
        transfer: options.transfer ?? { archive: { to: "./backups" } }
      }
    }
  }
  Fs.writeFileSync(config, stringify(content, { lineWidth: 0 }))
  const call = (words: ReadonlyArray<string>) => [...words, "--config", config]
  const defaults = { path: hooks.path, cwd: directory }
  const made: Project = {
    directory,
    config,
    stateDir,
    backups,
    place: options.place ?? Path.join(Path.dirname(source), ".quiesce"),
    hooks,
    quiesce: (words, options) => Quiesce.run(call(words), { ...defaults, ...options }),
    start: (words, options) => Quiesce.start(call(words), { ...defaults, ...options })
  }
  return made
})

/** In memory where this user can mount it: what a killed process leaves does not depend on a disk, but the time does. */
const place = process.getuid?.() === 0 ? Effect.asSome(tmpfs(400)) : Effect.succeedNone

/** Another server with its client, of the same programs, with its files in `home`. */
export const serve = Effect.fnUntraced(function*(programs: Pick<Site, "work" | "programs">, home: string) {
  const server = yield* initialize(programs.programs, home, { small: true })
  const { rows } = yield* load(server, { megabytes: 2 })
  const writer = yield* makeWriter(server, 10)
  const site: Site = { ...programs, server, writer, rows }
  return site
})

const make = Effect.gen(function*() {
  const base = Option.getOrUndefined(yield* place)
  const work = yield* workDirectory({ prefix: "quiesce live", needsBytes: 500e6, base })
  const programs = yield* install(work)
  return yield* serve({ work, programs }, Path.join(work, "notes"))
})

/** Rows that the client was promised and that the server does not have. */
export const lost = ({ server, writer }: Site) =>
  Effect.gen(function*() {
    const promised = writer.acknowledged().map(({ id }) => id)
    const rows = yield* server.query("select id::int4 from journal")
    const kept = new Set(rows.map((row) => Number(row["id"])))
    return promised.filter((id) => !kept.has(id))
  })

/** One site for all tests of a file. After the last of them nothing may be at work in it, and it is gone. */
export const shared = (needs: ReadonlyArray<Need>): Effect.Effect<Site> => {
  const scope = Effect.runSync(Scope.make())
  let site: Site | undefined
  beforeAll(async () => {
    if (unmet(needs).length > 0) return
    site = await Effect.runPromise(Scope.extend(make, scope))
  }, 60_000)
  afterAll(async () => {
    const work = site?.work
    const busy = work === undefined ? [] : processes(work)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    if (work === undefined) return
    assert.deepStrictEqual(busy, [], "processes were left")
    assert.deepStrictEqual(processes(work, { servers: true }), [], "a server was left")
    assert.isFalse(Fs.existsSync(work))
  }, 30_000)
  return Effect.suspend(() => site === undefined ? Effect.dieMessage("there is no site") : Effect.succeed(site))
}
