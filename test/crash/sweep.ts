/**
 * A writer that is killed at one of its system calls, on a disk that loses its power in the same moment.
 */
import { Effect } from "effect"
import { build, type Plugin } from "esbuild"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { workDirectory } from "../lab/loopfs.ts"
import type { Disk } from "./disk.ts"
import { files, type What } from "./fixtures/written.ts"

const calls = ["mkdir", "openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "unlink"] as const

/** A system call of the writer: the process dies before it is made. */
export interface Point {
  readonly call: (typeof calls)[number]
  /** Counted from 1 among those of its name. */
  readonly nth: number
}

/** A copy of the program, possibly a wrong one. */
export interface Program {
  readonly file: string
  readonly env?: Readonly<Record<string, string>>
}

const src = Path.resolve("src")

/** Takes the source from elsewhere. */
const sourceFrom = (root: string): Plugin => ({
  name: "source",
  setup: ({ onResolve }) => {
    onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
      const wanted = Path.resolve(resolveDir, path)
      return wanted.startsWith(`${src}/`) ? { path: Path.join(root, Path.relative(src, wanted)) } : undefined
    })
  }
})

/** Bundles the writer, with the source of `root`. */
export const bundle = (root = src) =>
  Effect.gen(function*() {
    const file = Path.join(yield* workDirectory, "writer.mjs")
    yield* Effect.promise(() =>
      build({
        entryPoints: [Path.resolve("test/crash/fixtures/writer.ts")],
        outfile: file,
        bundle: true,
        platform: "node",
        format: "esm",
        banner: { js: "import{createRequire as __r}from\"node:module\";const require=__r(import.meta.url);" },
        plugins: [sourceFrom(root)],
        logLevel: "error"
      })
    )
    return { file } satisfies Program
  })

interface Written {
  /** What the world has seen. */
  readonly said: ReadonlyArray<string>
  /** The calls on the state directory, in order. */
  readonly calls: ReadonlyArray<Point & { readonly line: string }>
}

const pointsIn = (trace: string) => {
  const seen = new Map<string, number>()
  return trace.split("\n").flatMap((line) => {
    const call = calls.find((call) => new RegExp(`^\\d+ +${call}\\(`).test(line))
    if (call === undefined) return []
    const nth = (seen.get(call) ?? 0) + 1
    seen.set(call, nth)
    return [{ call, nth, line: line.replace(/^\d+ +/, "") }]
  })
}

/** Runs the writer in a state directory that is not there yet, to its end or to the point of its death. */
export const write = (program: Program, what: What, stateDir: string, point?: Point): Effect.Effect<Written> =>
  Effect.gen(function*() {
    const output = Path.join(yield* workDirectory, "trace")
    const paths = [Path.dirname(stateDir), stateDir, ...files[what].map((file) => Path.join(stateDir, file))]
    const argv = [
      "-f",
      "-qq",
      "-o",
      output,
      ...paths.flatMap((path) => ["-P", path]),
      "-e",
      `trace=${calls.join(",")}`,
      ...point === undefined ? [] : ["-e", `inject=${point.call}:signal=SIGKILL:when=${point.nth}`],
      // one thread for the file system, or the count would be of one thread among several; io_uring makes no calls
      ...Object.entries({ UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0", ...program.env })
        .map(([name, value]) => `-E${name}=${value}`),
      process.execPath,
      program.file,
      what,
      stateDir
    ]
    const stdout = yield* Effect.async<string>((resume) => {
      const child = ChildProcess.spawn("strace", argv, { stdio: ["ignore", "pipe", "inherit"] })
      let text = ""
      child.stdout.on("data", (chunk: Buffer) => void (text += chunk.toString("utf8")))
      child.once("close", () => resume(Effect.succeed(text)))
    })
    const trace = Fs.readFileSync(output, "utf8")
    return { said: stdout.split("\n").filter((line) => line !== ""), calls: pointsIn(trace) }
  }).pipe(Effect.scoped)

/** The death of the writer at the point, the end of the power, and what the judge says of what is left. */
export const strike = <E, R>(
  program: Program,
  disk: Disk,
  what: What,
  point: Point | undefined,
  judge: (stateDir: string, said: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, E, R>
) =>
  Effect.gen(function*() {
    const name = `${what}-${point?.call ?? "end"}-${point?.nth ?? 0}`
    const { said } = yield* write(program, what, Path.join(disk.mount, name, "state"), point)
    const failed = said.filter((line) => line.startsWith("failed"))
    const wrong = yield* disk.crash((mount) => judge(Path.join(mount, name, "state"), said))
    return { said, wrong: [...failed, ...wrong] }
  })
