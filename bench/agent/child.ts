/**
 * The processes of the bench: each is bundled, gets a task and orders, and speaks in lines of JSON.
 */
import { Effect, Queue, type Scope } from "effect"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { pathToFileURL } from "node:url"
import { attempt, LabError } from "../../test/lab/postgresInstall.ts"

export interface Child {
  /** The next line that it says. */
  readonly next: Effect.Effect<unknown, LabError>
  /** Gives it an order, and answers with the next line. */
  readonly ask: (order: unknown) => Effect.Effect<unknown, LabError>
  /** Waits until it has ended by itself. */
  readonly end: Effect.Effect<void>
}

/** `lab`: the file whose place its modules take for their own, when they look for what is beside them. */
export const bundle = (directory: string, name: string, lab?: string): Effect.Effect<string, LabError> => {
  const outfile = Path.join(directory, `${name}.mjs`)
  return Effect.as(
    attempt(`the bundle of ${name}`, () =>
      build({
        entryPoints: [Path.resolve("bench/agent", `${name}.ts`)],
        outfile,
        bundle: true,
        platform: "node",
        target: "node20",
        format: "esm",
        banner: { js: "import{createRequire as __r}from\"node:module\";const require=__r(\"/\");" },
        ...lab === undefined
          ? {}
          : { define: { "import.meta.url": JSON.stringify(pathToFileURL(Path.resolve(lab)).href) } },
        logLevel: "error"
      })),
    outfile
  )
}

interface Line {
  readonly said?: unknown
  readonly over?: string
}

/** Starts it; the close of the scope kills it. */
export const start = Effect.fnUntraced(function*(
  file: string,
  task: unknown,
  flags: ReadonlyArray<string> = []
): Effect.fn.Return<Child, never, Scope.Scope> {
  const lines = yield* Queue.unbounded<Line>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [...flags, file], { stdio: ["pipe", "pipe", "inherit"] })),
    (child) =>
      Effect.async<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  ReadLine.createInterface({ input: child.stdout }).on("line", (line) => {
    lines.unsafeOffer({ said: JSON.parse(line) as unknown })
  })
  child.stdin.on("error", () => undefined)
  const tell = (line: unknown) => Effect.sync(() => child.stdin.write(`${JSON.stringify(line)}\n`))
  child.on("error", (error) => lines.unsafeOffer({ over: error.message }))
  child.once("close", (code, signal) => lines.unsafeOffer({ over: `it ended with ${code ?? signal}` }))
  // too long for an argument, where there are many guests
  yield* tell(task)
  const next = Effect.flatMap(
    Queue.take(lines),
    ({ over, said }) =>
      over === undefined ? Effect.succeed(said) : new LabError({ message: `${Path.basename(file)}: ${over}` })
  )
  return {
    next,
    ask: (order) => Effect.zipRight(tell(order), next),
    end: Effect.repeat(Queue.take(lines), { until: ({ over }) => over !== undefined }).pipe(Effect.asVoid)
  }
})
