/**
 * How the downtime grows with the number of stacks that are held at the same time.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Yaml from "yaml"
import * as Quiesce from "../../demo/lib/quiesce.ts"
import { project } from "../../test/lab/docker/project.ts"
import { attempt, LabError } from "../../test/lab/postgresInstall.ts"
import { series } from "../statistics.ts"
import type { Site } from "./site.ts"

/** Equal projects of one small container each; the longest downtime of any of them, in a run that holds all. */
export const measure = Effect.fn("DockerBench.growth")(function*(site: Site, stacks: number, repetitions: number) {
  const names = Array.from({ length: stacks }, (_, index) => `equal${index + 1}`)
  const projects = names.map((name) => project(site.docker.engine, name, { services: { app: {} } }))
  yield* Effect.forEach(projects, ({ up }) => up, { concurrency: 4, discard: true })
  const directory = Path.join(site.mount, `equal-${stacks}`)
  const source = Path.join(directory, "source")
  const config = {
    version: 1,
    stateDir: "./state",
    docker: { host: site.docker.host },
    stacks: Object.fromEntries(names.map((name) => [name, { docker: { project: name } }])),
    agent: { local: { source, snapshot: "copy", transfer: { archive: { to: "./backups" } } } }
  }
  const setup = { directory, config: Path.join(directory, "quiesce.yaml"), backups: Path.join(directory, "backups") }
  yield* attempt(directory, async () => {
    await Fs.mkdir(source, { recursive: true })
    await Fs.writeFile(Path.join(source, "file"), "data\n")
    await Fs.writeFile(setup.config, Yaml.stringify(config, { lineWidth: 0 }))
  })
  const downtimes: Array<number> = []
  for (let round = 0; round < repetitions; round++) {
    const { exitCode, report, stderr } = yield* Quiesce.run(setup)
    if (exitCode !== 0 || report === undefined) {
      return yield* new LabError({ message: `quiesce run ended with ${exitCode}: ${report?.error ?? stderr}` })
    }
    downtimes.push(Math.max(...report.stacks.map(({ downtimeMs }) => downtimeMs ?? Number.NaN)))
  }
  yield* Effect.forEach(projects, ({ down }) => down, { concurrency: 4, discard: true })
  return series(downtimes)
})
