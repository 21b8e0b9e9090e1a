/**
 * A newer Docker Engine than the installed one, from a later Debian, beside the system.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt, execute, LabError } from "../postgresInstall.ts"
import { fromSuite, unpack } from "./apt.ts"
import { cached } from "./cache.ts"

const suites = ["trixie", "forky"] as const
export type Suite = typeof suites[number]

/** Packages of another suite, unpacked; kept in the cache under `name`. */
export const unpacked = (
  name: string,
  suite: Suite,
  packages: ReadonlyArray<string>
): Effect.Effect<string, LabError> =>
  cached(`${name}-${suite}`, (target) =>
    Effect.gen(function*() {
      const debs = `${target}.debs`
      yield* attempt(target, () => Promise.all([Fs.mkdir(target), Fs.mkdir(debs)]))
      yield* unpack(yield* fromSuite(suite, packages, debs), target)
    }))

/** The path of a dockerd of this suite; its containerd and docker-init lie beside it. runc is the machine's own. */
export const newerEngine = Effect.fn("Lab.newerEngine")(function*(suite: Suite) {
  // runc of a later Debian wants a later libc
  const root = yield* unpacked("engine", suite, ["docker.io", "containerd"])
  const program = Path.join(root, "usr/sbin/dockerd")
  yield* execute([program, "--version"])
  return program
})

/** The dockerd that QUIESCE_LAB_ENGINE asks for; the installed one where it asks for nothing. */
export const chosenEngine: Effect.Effect<string, LabError> = Effect.suspend(() => {
  const wanted = process.env["QUIESCE_LAB_ENGINE"] ?? ""
  if (wanted === "") return Effect.succeed("dockerd")
  const suite = suites.find((each) => each === wanted)
  return suite === undefined
    ? new LabError({ message: `QUIESCE_LAB_ENGINE is '${wanted}'; it can be ${suites.join(" or ")}` })
    : newerEngine(suite)
})
