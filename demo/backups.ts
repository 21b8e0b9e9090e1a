/**
 * Parts 1 and 2 of the demo: the same backup twice, and how long the client had to wait for each.
 */
import { Effect } from "effect"
import * as Path from "node:path"
import { LabError } from "../test/lab/postgresInstall.ts"
import type { Gap } from "../test/lab/postgresWriter.ts"
import { bold, say, seconds } from "./lib/print.ts"
import * as Quiesce from "./lib/quiesce.ts"
import { runScript, stopForTheWholeBackup } from "./lib/scripts.ts"
import { megabytes, remove, type Stage, watched } from "./stage.ts"

export interface Backup {
  readonly archive: string
  readonly archiveMegabytes: number
  readonly millis: number
  readonly gap: Gap
}

/** 1: the database is down from the first byte of the archive to the last. */
export const stopForAll = Effect.fn("Demo.stopForAll")(function*(stage: Stage) {
  say(bold("1  Stop for the whole backup: stop; tar and zstd; start"))
  const archive = Path.join(stage.work, "whole.tar.zst")
  const script = stopForTheWholeBackup(stage.server, archive)
  const { gap, millis } = yield* watched(stage, runScript(Path.join(stage.work, "whole.sh"), script))
  const backup: Backup = { archive, archiveMegabytes: yield* megabytes(archive), millis, gap }
  yield* remove(archive)
  say(`   The client waited ${bold(seconds(gap.millis))} for an answer.`)
  return backup
})

/** 2: the same archive by the real binary. */
export const withQuiesce = Effect.fn("Demo.withQuiesce")(function*(stage: Stage, before: Backup) {
  say(bold("\n2  The same backup with `quiesce run`: stop; snapshot; start; and only then tar and zstd"))
  const setup = yield* Quiesce.setUp(Path.join(stage.work, "quiesce"), {
    source: stage.server.data,
    control: stage.control,
    snapshot: "auto"
  })
  const { gap, millis, value: { exitCode, report, stderr } } = yield* watched(stage, Quiesce.run(setup))
  if (report === undefined) return yield* new LabError({ message: `quiesce run wrote no report:\n${stderr}` })
  say(`   The client waited ${bold(seconds(gap.millis))} for an answer; ${bold(seconds(before.gap.millis))} before.`)
  const [stack] = report.stacks
  if (stack?.downtimeMs != null) say(`   By its own report the database was down for ${seconds(stack.downtimeMs)}.`)
  const seen = [`exit code ${exitCode}`, `outcome ${report.outcome}`, ...(report.error === null ? [] : [report.error])]
  stage.check("the run succeeded", exitCode === 0 && report.outcome === "ok", seen.join(", "))
  const { level, reasons } = report.consistency
  stage.check("the backup is called application consistent", level === "application", [level, ...reasons].join(" "))
  stage.check(
    "the client waited less than for the whole backup",
    gap.millis < before.gap.millis,
    `${seconds(gap.millis)} against ${seconds(before.gap.millis)}`
  )
  if (report.artifact === null) return yield* new LabError({ message: `quiesce run made no archive:\n${stderr}` })
  const archive = Path.resolve(setup.directory, report.artifact)
  const backup: Backup = { archive, archiveMegabytes: yield* megabytes(archive), millis, gap }
  return { setup, backup }
})
