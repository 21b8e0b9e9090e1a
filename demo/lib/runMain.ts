/**
 * The main of the demo and the bench: whatever ends them, what they started is ended and what they wrote is removed.
 */
import { Cause, Effect, Exit } from "effect"
import type { LabError } from "../../test/lab/postgresInstall.ts"

const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const

/** Runs the program; its value is the exit code. A signal interrupts it once, and its finalizers always run. */
export const runMain = (program: Effect.Effect<number, LabError>): void => {
  let signalled: keyof typeof numbers | undefined
  const fiber = Effect.runFork(program)
  const interrupt = () => fiber.unsafeInterruptAsFork(fiber.id())
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // npm passes ^C on, so that it comes twice
    process.on(signal, () => {
      if (signalled !== undefined) return
      signalled = signal
      console.error(`\n${signal}: stopping what was started and removing what was written ...`)
      interrupt()
    })
  }
  for (const stream of [process.stdout, process.stderr]) stream.on("error", interrupt)
  process.on("uncaughtException", (error) => {
    process.exitCode = 70
    console.error(error)
    interrupt()
  })
  fiber.addObserver((exit) => process.exit(exitCode(exit, signalled)))
}

const exitCode = (exit: Exit.Exit<number, LabError>, signalled: keyof typeof numbers | undefined): number => {
  if (signalled !== undefined) return 128 + numbers[signalled]
  if (process.exitCode !== undefined) return Number(process.exitCode)
  if (Exit.isSuccess(exit)) return exit.value
  // whoever read our output has gone away
  if (Cause.isInterruptedOnly(exit.cause)) return 1
  const failure = Cause.failureOption(exit.cause)
  console.error(failure._tag === "Some" ? `\n${failure.value.message}` : `\n${Cause.pretty(exit.cause)}`)
  return 2
}
