/**
 * The ways to back up one container that are compared, and what each costs its client.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Yaml from "yaml"
import * as Quiesce from "../../demo/lib/quiesce.ts"
import { runScript, shell } from "../../demo/lib/scripts.ts"
import { attempt, execute, LabError } from "../../test/lab/postgresInstall.ts"
import { rotated, series } from "../statistics.ts"
import { now, prepareCommand, type Site } from "./site.ts"

export const names = ["floor", "script", "quiesce", "unprepared", "whole"] as const
export type Name = typeof names[number]

const archive = (directory: string, to: string) =>
  shell(["tar", "-C", Path.dirname(directory), "-I", "zstd -T0 -q", "-cf", to, Path.basename(directory)])

/** Writes a `quiesce.yaml` for the project. */
const setUp = Effect.fnUntraced(function*(site: Site) {
  const directory = Path.join(site.mount, "quiesce")
  const setup: Quiesce.Setup = {
    directory,
    config: Path.join(directory, "quiesce.yaml"),
    backups: Path.join(directory, "backups")
  }
  const config = {
    version: 1,
    stateDir: "./state",
    docker: { host: site.docker.host },
    stacks: { db: { docker: { project: site.project.name } } },
    agent: { local: { source: site.source, snapshot: "btrfs", transfer: { archive: { to: "./backups" } } } }
  }
  yield* attempt(directory, async () => {
    await Fs.mkdir(setup.backups, { recursive: true })
    await Fs.writeFile(setup.config, Yaml.stringify(config, { lineWidth: 0 }))
  })
  return setup
})

const runQuiesce = (setup: Quiesce.Setup) =>
  Effect.gen(function*() {
    const { exitCode, report, stderr } = yield* Quiesce.run(setup)
    if (exitCode !== 0 || report?.consistency.level !== "application") {
      return yield* new LabError({
        message: `quiesce run ended with exit code ${exitCode}:\n${report?.error ?? stderr}`
      })
    }
  })

/** The container with or without the command that prepares it; it is made again where it is otherwise. */
const label = Effect.fnUntraced(function*({ project, server }: Site, wanted: boolean) {
  const { Config } = yield* project.inspect("db")
  const labels = wanted ? { "quiesce.exec.prepare": prepareCommand } : {}
  if (("quiesce.exec.prepare" in Config.Labels) === wanted) return
  yield* project.recreate("db", { labels })
  yield* server.ready
})

/** Nothing of the last backup is left, also not in the background. */
const settle = ({ mount, source }: Site, paths: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    for (const path of paths) {
      yield* attempt(path, () => Fs.rm(path, { recursive: true, force: true }))
    }
    const snapshot = Path.join(mount, "by-hand")
    yield* execute(["sh", "-c", `[ ! -e '${snapshot}' ] || btrfs -q subvolume delete '${snapshot}'`])
    yield* execute(["btrfs", "filesystem", "sync", source])
    yield* execute(["btrfs", "subvolume", "sync", source])
  })

/** Measures all variants in turns; the order is another in each round. */
export const measure = Effect.fn("DockerBench.measure")(function*(site: Site, options: {
  readonly repetitions: number
  /** How long the load, where there is one, works before each measurement. */
  readonly warmMillis: number
}) {
  const snapshot = Path.join(site.mount, "by-hand")
  const file = Path.join(site.mount, "by-hand.tar.zst")
  const docker = (...words: ReadonlyArray<string>) => shell(["docker", "-H", site.docker.host, ...words])
  const script = Path.join(site.mount, "backup.sh")
  const take = shell(["btrfs", "-q", "subvolume", "snapshot", "-r", site.source, snapshot])
  const setup = yield* setUp(site)
  const container = `${site.project.name}-db-1`
  const floor = [process.execPath, "bench/docker/floor.mjs", site.docker.socket, container, String(site.server.port)]
  const variants: Record<Name, Effect.Effect<unknown, LabError>> = {
    floor: execute([...floor, site.source, snapshot] as unknown as readonly [string, ...Array<string>]),
    script: runScript(script, [
      docker("stop", container),
      take,
      docker("start", container),
      archive(snapshot, file)
    ]),
    quiesce: runQuiesce(setup),
    unprepared: runQuiesce(setup),
    whole: runScript(script, [docker("stop", container), archive(site.source, file), docker("start", container)])
  }
  const cost = (name: Name) =>
    Effect.gen(function*() {
      yield* label(site, name !== "unprepared")
      yield* settle(site, [file, setup.backups])
      yield* attempt(setup.backups, () => Fs.mkdir(setup.backups, { recursive: true }))
      yield* Effect.sleep(options.warmMillis)
      const begin = now()
      yield* variants[name]
      const total = now() - begin
      yield* site.server.ready
      yield* Effect.sleep("300 millis")
      return { downtime: site.longestGap(begin), total }
    })
  const costs: Record<Name, Array<{ readonly downtime: number; readonly total: number }>> = {
    floor: [],
    script: [],
    quiesce: [],
    unprepared: [],
    whole: []
  }
  for (let round = 0; round < options.repetitions; round++) {
    for (const name of rotated(names, round)) costs[name].push(yield* cost(name))
  }
  const of = (name: Name) => ({
    downtimeMs: series(costs[name].map(({ downtime }) => downtime)),
    totalMs: series(costs[name].map(({ total }) => total))
  })
  return {
    floor: of("floor"),
    script: of("script"),
    quiesce: of("quiesce"),
    unprepared: of("unprepared"),
    whole: of("whole")
  }
})
