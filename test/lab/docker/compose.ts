/**
 * The real Docker Compose v2, for tests that ask what it makes of our project.
 */
import { Effect, type Option } from "effect"
import * as Os from "node:os"
import * as Path from "node:path"
import { execute, LabError } from "../postgresInstall.ts"
import { type Suite, unpacked } from "./newerEngine.ts"

const plugin = "docker/cli-plugins/docker-compose"

const candidates = [
  "docker-compose",
  Path.join(Os.homedir(), ".docker/cli-plugins/docker-compose"),
  ...["/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"].map((base) => Path.join(base, plugin))
]

/** Only a program that runs here and says that it is v2 or later. */
const isModern = (program: string) =>
  execute([program, "version", "--short"]).pipe(
    Effect.filterOrFail(
      (version) => Number.parseInt(version.replace(/^v/, ""), 10) >= 2,
      (version) => new LabError({ message: `${program} is ${version.trim()}` })
    ),
    Effect.as(program)
  )

const fetched = (suite: Suite) =>
  Effect.flatMap(
    unpacked("compose", suite, ["docker-compose"]),
    (root) => isModern(Path.join(root, "usr/libexec", plugin))
  )

/** The program, run as `PROGRAM -p project ps`; none where there is none and none can be had. */
export const composeBinary: Effect.Effect<Option.Option<string>> = Effect.option(
  Effect.firstSuccessOf([...candidates.map(isModern), fetched("forky"), fetched("trixie")])
)

/** Runs it on the engine behind this address (`unix://...`). */
export const compose = (
  program: string,
  host: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<string, LabError> => execute([program, ...args], { env: { DOCKER_HOST: host, COMPOSE_ANSI: "never" } })
