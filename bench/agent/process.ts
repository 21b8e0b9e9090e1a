/**
 * What a process of the bench is made of: a task and then orders as lines of JSON on stdin, and lines of JSON on stdout.
 */
import { Cause, Effect, Exit, Logger, LogLevel, Queue, type Scope } from "effect"
import * as ReadLine from "node:readline"

export const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

/** Obeys an order. Its answer is the next line. */
export type Obey = <Order>(act: (order: Order) => Effect.Effect<unknown>) => Effect.Effect<never>

const stderr = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.stringLogger))

/** Runs the program of this process. `obey` takes the orders, one after the other. */
export const main = <Task>(program: (task: Task, obey: Obey) => Effect.Effect<void, unknown, Scope.Scope>): void => {
  const run = Effect.gen(function*() {
    const lines = yield* Queue.unbounded<string>()
    ReadLine.createInterface({ input: process.stdin }).on("line", (line) => lines.unsafeOffer(line))
    const next = Effect.map(Queue.take(lines), (line) => JSON.parse(line) as unknown)
    const obey: Obey = (act) =>
      next.pipe(
        Effect.flatMap((order) => act(order as Parameters<typeof act>[0])),
        Effect.tap((answer) => Effect.sync(() => say(answer))),
        Effect.forever
      )
    return yield* program((yield* next) as Task, obey)
  })
  Effect.runFork(run.pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.Error), Effect.provide(stderr)))
    .addObserver((exit) => {
      if (Exit.isFailure(exit)) console.error(Cause.pretty(exit.cause))
      process.exit(Exit.isSuccess(exit) ? 0 : 1)
    })
}
