/**
 * The programs of the system that the demo and the bench call.
 */
import { Effect } from "effect"
import { execute, LabError } from "../../test/lab/postgresInstall.ts"

const packages: Readonly<Record<string, string>> = {
  tar: "tar",
  zstd: "zstd",
  flock: "util-linux",
  setpriv: "util-linux",
  cp: "coreutils"
}

/** Whether a program is on the path, or where root's programs are. */
export const has = (program: string): Effect.Effect<boolean> =>
  execute(["sh", "-c", `PATH="$PATH:/usr/sbin:/sbin" command -v "$1"`, "sh", program]).pipe(
    Effect.as(true),
    Effect.orElseSucceed(() => false)
  )

/** Fails with the names of the packages to install where something is missing. */
export const requireTools: Effect.Effect<void, LabError> = Effect.gen(function*() {
  const wanted = ["tar", "zstd", "flock", "cp", ...(process.getuid?.() === 0 ? ["setpriv"] : [])]
  const missing = yield* Effect.filter(wanted, (program) => Effect.map(has(program), (there) => !there))
  if (missing.length === 0) return
  const names = [...new Set(missing.map((program) => packages[program] ?? program))]
  return yield* new LabError({
    message: `missing on this machine: ${missing.join(", ")}. Install with your package manager, for example:\n` +
      `  apt-get install ${names.join(" ")}`
  })
})
