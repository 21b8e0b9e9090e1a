/**
 * Parts 3 and 4 of the demo: a backup is worth what a restore of it shows.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { unpack } from "../test/lab/postgresDrill.ts"
import { attempt, execute } from "../test/lab/postgresInstall.ts"
import type { Backup } from "./backups.ts"
import { bold, say } from "./lib/print.ts"
import { remove, type Stage } from "./stage.ts"

/** 3: the archive of part 2 is unpacked elsewhere and started. */
export const restore = Effect.fn("Demo.restore")(function*(stage: Stage, backup: Backup) {
  say(bold("\n3  Restore drill: unpack that archive elsewhere, start PostgreSQL on it, read its log, count the rows"))
  const home = Path.join(stage.work, "restored")
  yield* unpack(backup.archive, home)
  const found = yield* stage.drill(home)
  yield* remove(home)
  const acknowledged = stage.writer.acknowledged()
  const before = acknowledged.filter((row) => row.at <= backup.gap.from)
  const after = acknowledged.filter((row) => row.at >= backup.gap.to)
  const kept = before.filter((row) => found.journal.has(row.id)).length
  const early = after.filter((row) => found.journal.has(row.id)).length
  stage.check(
    "PostgreSQL was shut down when the snapshot was taken",
    found.started && found.wasShutDown,
    found.evidence
  )
  stage.check("it starts without recovery", found.started && !found.recovered, "")
  stage.check("the loaded rows are all there", found.ballast === stage.rows, `${found.ballast} of ${stage.rows}`)
  stage.check(
    "so is every row that the client was told is safe before the stop",
    before.length > 0 && kept === before.length,
    `${kept} of ${before.length}`
  )
  stage.check("and none from after the start: it is one point in time", early === 0, `${early} of ${after.length}`)
})

/** 4: the same on a copy that was made without asking anybody. */
export const control = Effect.fn("Demo.control")(function*(stage: Stage) {
  say(bold("\n4  The same drill on a copy of the running database: can the check fail at all?"))
  const home = Path.join(stage.work, "copied")
  yield* attempt(home, () => Fs.mkdir(home))
  // 1: files changed or went away under cp, which is what happens here
  yield* execute(["cp", "-a", stage.server.data, home], { accept: [1] })
  const found = yield* stage.drill(home)
  yield* remove(home)
  stage.check(
    "the drill tells that this copy was not of a database at rest",
    !found.wasShutDown && (found.recovered || !found.started),
    found.evidence
  )
})
