/**
 * Part 5 of the demo: the run is killed while it holds the database down, and nobody is there to help.
 */
import { Effect, Schedule } from "effect"
import * as Path from "node:path"
import { LabError } from "../test/lab/postgresInstall.ts"
import { bold, say, seconds } from "./lib/print.ts"
import * as Quiesce from "./lib/quiesce.ts"
import type { Stage } from "./stage.ts"

/** How soon a killed run's app must be back, by what the project promises. */
const promised = 5000

/** A run that gets SIGKILL at the moment in which it says that the database is down. */
const killedRun = (setup: Quiesce.Setup) =>
  Effect.gen(function*() {
    let killedAt: number | undefined
    let starting = false
    yield* Quiesce.run(setup, (event, pid) => {
      if (event.type !== "stack") return
      starting ||= event.state === "starting" && killedAt === undefined
      if (event.state === "stopped" && killedAt === undefined) {
        process.kill(pid, "SIGKILL")
        killedAt = performance.now()
      }
    })
    if (killedAt === undefined) return yield* new LabError({ message: "the run never said that the database is down" })
    return { killedAt, starting }
  })

/** Waits until no undo record is left and nobody works on it. */
const settled = (setup: Quiesce.Setup) =>
  Quiesce.status(setup).pipe(
    Effect.map(({ liveRun, markers }) => liveRun === null && markers.length === 0),
    Effect.repeat({
      until: (quiet) => quiet,
      schedule: Schedule.identity<boolean>().pipe(Schedule.addDelay(() => "200 millis"))
    }),
    Effect.timeoutTo({ duration: "15 seconds", onSuccess: () => true, onTimeout: () => false })
  )

export const killInTheHold = Effect.fn("Demo.killInTheHold")(function*(stage: Stage) {
  say(bold("\n5  kill -9 of `quiesce run` while it holds the database down"))
  // a copy takes long enough to be hit on every file system
  const setup = yield* Quiesce.setUp(Path.join(stage.work, "killed"), {
    source: stage.server.data,
    control: stage.control,
    snapshot: "copy"
  })
  // if the demo ends here, nobody may start the database behind its back
  yield* Effect.addFinalizer(() => Effect.ignore(Quiesce.recover(setup)))
  const { killedAt, starting } = yield* killedRun(setup)
  const back = yield* Effect.timeoutOption(stage.writer.next, "30 seconds")
  const millis = performance.now() - killedAt
  stage.check("the kill came while the database was down", !starting, "")
  stage.check(
    "the database came back by itself, within 5 s",
    back._tag === "Some" && millis < promised,
    seconds(millis)
  )
  const gap = stage.writer.longestGap(killedAt - 1, performance.now())
  say(`   The client waited ${bold(seconds(gap.millis))} for an answer.`)
  stage.check("no undo record is left (`quiesce status`)", yield* settled(setup), "")
  const next = yield* Quiesce.run(setup)
  const level = next.report?.consistency.level ?? "no report"
  stage.check(
    "the next run works",
    next.exitCode === 0 && level === "application",
    `exit code ${next.exitCode}, ${level}${next.report?.error == null ? "" : `, ${next.report.error}`}`
  )
  return gap
}, Effect.scoped)
