/**
 * A dockerd with projects on it, and the configurations that back these up.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { stringify } from "yaml"
import type { Report } from "../../src/domain/Report.ts"
import * as Dockerd from "../lab/docker/dockerd.ts"
import { type Image, images } from "../lab/docker/images.ts"
import { type Project, project } from "../lab/docker/project.ts"
import type { Service } from "../lab/docker/service.ts"
import { workDirectory } from "../lab/loopfs.ts"
import { unmet } from "../support/live.ts"
import { eventually } from "./hooks.ts"
import * as Quiesce from "./quiesce.ts"

export interface DockerSite {
  readonly work: string
  readonly docker: Dockerd.Dockerd
}

/** What one `quiesce.yaml` says otherwise than all of them. */
export interface Options {
  /** `none`: the hold lasts until the test lets it go. */
  readonly snapshot?: "copy" | "none"
  readonly stacks?: Readonly<Record<string, object>>
  readonly stack?: object
  readonly limits?: Readonly<Record<string, string>>
}

/** A project that is up, and a `quiesce.yaml` for it. */
export interface Shop {
  readonly project: Project
  readonly directory: string
  /** What is backed up. */
  readonly source: string
  readonly stateDir: string
  readonly quiesce: (words: ReadonlyArray<string>, options?: Quiesce.Options) => Effect.Effect<Quiesce.Ended>
  readonly start: (
    words: ReadonlyArray<string>,
    options?: Quiesce.Options
  ) => Effect.Effect<Quiesce.Live, never, Scope.Scope>
  /** Waits until everything is down and the source is being read (`snapshot: none`). */
  readonly held: Effect.Effect<void, Error>
  readonly letGo: Effect.Effect<void>
  /** The runs that have left a marker. */
  readonly markers: () => ReadonlyArray<string>
}

/** Where a project keeps its data: made before its services are. */
export const sourceOf = (site: DockerSite, name: string): string => {
  const source = Path.join(site.work, name, "source")
  Fs.mkdirSync(source, { recursive: true })
  return source
}

const list = (directory: string) => Fs.existsSync(directory) ? Fs.readdirSync(directory) : []

/** Brings a project up, removed with the scope. */
export const shop = Effect.fnUntraced(function*(
  site: DockerSite,
  name: string,
  services: Readonly<Record<string, Service>>,
  options: Options = {}
) {
  const source = sourceOf(site, name)
  const directory = Path.dirname(source)
  const stateDir = Path.join(directory, "state")
  const [held, go] = [Path.join(directory, "held"), Path.join(directory, "go")]
  const wait = `: > '${held}'; until [ -e '${go}' ]; do sleep 0.02; done; : "$1"`
  const made = project(site.docker.engine, name, { services })
  const config = Path.join(directory, "quiesce.yaml")
  const isNone = options.snapshot === "none"
  const content = {
    version: 1,
    stateDir,
    docker: { host: site.docker.host },
    limits: { steadyTime: "200ms", resumeTimeout: "20s", ...options.limits },
    stacks: options.stacks ?? { [name]: { docker: { project: name }, ...options.stack } },
    agent: {
      local: {
        source,
        snapshot: options.snapshot ?? "copy",
        transfer: isNone ? { command: ["sh", "-c", wait, "sh", "{snapshot}"] } : { archive: { to: "./backups" } }
      }
    }
  }
  Fs.writeFileSync(Path.join(source, "file"), "data\n")
  Fs.writeFileSync(config, stringify(content, { lineWidth: 0 }))
  yield* Effect.addFinalizer(() => Effect.ignoreLogged(made.down))
  yield* made.up
  const call = (words: ReadonlyArray<string>) => [...words, "--config", config]
  const result: Shop = {
    project: made,
    directory,
    source,
    stateDir,
    quiesce: (words, options) => Quiesce.run(call(words), { cwd: directory, ...options }),
    start: (words, options) => Quiesce.start(call(words), { cwd: directory, ...options }),
    held: eventually("the run holds everything", () => Fs.existsSync(held)),
    letGo: Effect.sync(() => Fs.writeFileSync(go, "")),
    // each has a second copy
    markers: () => [...new Set(list(Path.join(stateDir, "markers")).map((name) => name.split(".")[0] ?? ""))]
  }
  return result
})

/** A run that is held while the test does something, and then goes on to its end. */
export const meddled = <E>(shop: Shop, meddle: (run: Quiesce.Live) => Effect.Effect<unknown, E>) =>
  Effect.gen(function*() {
    const run = yield* shop.start(["run", "--json"])
    yield* shop.held
    yield* meddle(run)
    yield* shop.letGo
    return yield* run.ended
  }).pipe(Effect.scoped)

/** The report and the exit code agree with what is expected. */
export const ended = (
  found: Quiesce.Ended,
  code: number,
  expected: { readonly level?: string; readonly reasons?: ReadonlyArray<string> } = {}
): Report => {
  const { report } = found
  const said = `${report?.outcome} ${report?.error}\n${report?.warnings.join("\n")}\n${found.stderr}`
  assert.strictEqual(found.code, code, said)
  if (report === undefined) throw new Error(`there is no report: ${found.stderr}`)
  if (expected.level !== undefined) assert.strictEqual(report.consistency.level, expected.level, said)
  if (expected.reasons !== undefined) {
    assert.deepStrictEqual([...report.consistency.reasons].sort(), [...expected.reasons].sort(), said)
  }
  return report
}

/** All containers of the project are as they were, and no marker is left. */
export const asItWas = (shop: Shop, before: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* shop.project.states, before)
    assert.deepStrictEqual(shop.markers(), [])
  })

/** One dockerd for all tests of a file. */
export const shared = (names: ReadonlyArray<Image>): Effect.Effect<DockerSite> => {
  const scope = Effect.runSync(Scope.make())
  let site: DockerSite | undefined
  beforeAll(async () => {
    if (unmet(["docker"]).length > 0) return
    const make = Effect.gen(function*() {
      const docker = yield* Dockerd.make()
      yield* images(docker.engine, names)
      return { docker, work: yield* workDirectory }
    })
    site = await Effect.runPromise(Scope.extend(make, scope))
  }, 120_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)
  return Effect.suspend(() => site === undefined ? Effect.dieMessage("there is no dockerd") : Effect.succeed(site))
}
