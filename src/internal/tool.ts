/**
 * Runs the system tools of the agent's side (cp, btrfs, du, ...), and finds those that a dead run left.
 */
import { type Duration, Effect, Schema } from "effect"
import * as Kin from "./kin.ts"
import { explain, type ProcessResult, run, type SpawnFailed } from "./process.ts"

/** A tool is missing, or ended badly. */
export class ToolFailed extends Schema.TaggedError<ToolFailed>()("ToolFailed", {
  program: Schema.String,
  /** What it said, and the way out where it is missing. */
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

const packages: Readonly<Record<string, string>> = {
  btrfs: "btrfs-progs",
  chmod: "coreutils",
  cp: "coreutils (GNU)",
  du: "coreutils",
  find: "findutils (GNU)",
  rm: "coreutils",
  sync: "coreutils",
  tar: "tar (GNU)",
  zstd: "zstd"
}

/** What to say of a program that could not be started. */
export const notStarted = (error: SpawnFailed): string => {
  const provider = packages[error.program]
  return error.code === "ENOENT" && provider !== undefined
    ? `'${error.program}' was not found in PATH: install the package ${provider}`
    : error.message
}

/** The mark of every process of the agent's side that works for this state directory. */
export const kin = (stateDir: string): Kin.Kin => ({ role: "transfer", owner: stateDir })

/** What a child of the agent's side gets: the mark, and messages in English with file names as they are. */
export const environment = (stateDir: string): Readonly<Record<string, string>> => ({
  ...Kin.environment(kin(stateDir)),
  LC_ALL: "C.UTF-8"
})

/** Runs a tool to its end whatever its exit code. An interruption ends it first. */
export const attempt = (
  stateDir: string,
  argv: readonly [string, ...ReadonlyArray<string>],
  timeout?: Duration.DurationInput
): Effect.Effect<ProcessResult, ToolFailed> =>
  run({ argv, env: environment(stateDir), timeout }).pipe(
    Effect.mapError((error) => new ToolFailed({ program: argv[0], reason: notStarted(error) }))
  )

/** Runs a tool that must end with exit code 0. */
export const tool = (
  stateDir: string,
  argv: readonly [string, ...ReadonlyArray<string>],
  timeout?: Duration.DurationInput
): Effect.Effect<ProcessResult, ToolFailed> =>
  Effect.filterOrFail(
    attempt(stateDir, argv, timeout),
    (result) => result.code === 0 && !result.timedOut,
    (result) => new ToolFailed({ program: argv[0], reason: `'${argv[0]}' failed: ${explain(result)}` })
  )

/**
 * Ends what runs for this state directory: what a dead run left, or what an ended child has itself started. SIGKILL
 * comes after the grace. Answers with what was ended, in words.
 */
export const endLeftovers = (
  stateDir: string,
  grace: Duration.DurationInput = "10 seconds"
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Kin.end(kin(stateDir), grace), (n) => n === 0 ? [] : [`${n} process${n === 1 ? "" : "es"}`])

/**
 * The nice value of a transfer. One that begins while the app starts must not hold that up; on an idle machine it costs
 * nothing. One that the app waits for gets all of the machine.
 */
export const niceOf = (background: boolean | undefined): number | undefined => background === true ? 10 : undefined
