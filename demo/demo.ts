/**
 * `npm run demo`: a real PostgreSQL, a client that never stops writing, and what a backup costs that client.
 */
import { Effect } from "effect"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { loopMount } from "../test/lab/loopfs.ts"
import { initialize, load } from "../test/lab/postgres.ts"
import { attempt, execute, install, LabError } from "../test/lab/postgresInstall.ts"
import { workDirectory } from "../test/lab/postgresWorkDirectory.ts"
import { make as makeWriter } from "../test/lab/postgresWriter.ts"
import { type Backup, stopForAll, withQuiesce } from "./backups.ts"
import { control, restore } from "./drills.ts"
import { killInTheHold } from "./killed.ts"
import { bold, checklist, dim, green, red, say, seconds, table } from "./lib/print.ts"
import { runMain } from "./lib/runMain.ts"
import { requireTools } from "./lib/tools.ts"
import type { Stage } from "./stage.ts"

const usage = "usage: npm run demo -- [--mb MEGABYTES] [--dir DIRECTORY | --loop btrfs|xfs]"

const options = attempt(usage, async () => {
  const { values } = parseArgs({
    options: { mb: { type: "string", default: "500" }, dir: { type: "string" }, loop: { type: "string" } }
  })
  const { dir, loop } = values
  const mb = Number(values.mb)
  if (!(mb >= 8 && mb <= 100_000)) throw new Error("--mb must be a number from 8 to 100000")
  if (loop !== undefined && loop !== "btrfs" && loop !== "xfs") throw new Error("--loop must be btrfs or xfs")
  if (loop !== undefined && process.getuid?.() !== 0) throw new Error("--loop mounts a file system, which needs root")
  return { mb, dir, loop } as const
})

/** The directory that was asked for: on a new file system in a file, the one that was named, or any. */
const base = ({ dir, loop, mb }: Effect.Effect.Success<typeof options>) =>
  loop === undefined
    ? Effect.succeed(dir)
    : Effect.mapError(loopMount(loop, { megabytes: mb * 8 + 1000 }), ({ message }) => new LabError({ message }))

/** Loading stops after this time, so that the demo is short on a slow machine too. */
const loadMillis = 10_000

const snapshotting = new Set(["btrfs", "xfs"])

const prepareStage = Effect.fn("Demo.prepareStage")(function*(check: Stage["check"]) {
  const wanted = yield* options
  const { mb } = wanted
  yield* requireTools
  const work = yield* workDirectory({ prefix: "quiesce-demo", needsBytes: mb * 8e6, base: yield* base(wanted) })
  const programs = yield* install(work)
  const server = yield* initialize(programs, Path.join(work, "notes"))
  const type = (yield* execute(["stat", "-f", "-c", "%T", work])).trim()
  say(`PostgreSQL runs as user '${programs.account.name}' in ${work} (${type}); all of it is removed at the end.`)
  const begin = performance.now()
  const { megabytes, rows } = yield* load(server, { megabytes: mb, maxMillis: loadMillis })
  say(`${Math.round(megabytes)} MB were loaded in ${seconds(performance.now() - begin)}.`)
  const writer = yield* makeWriter(server)
  say("From now on a client writes one row after the other and notes when each is acknowledged.")
  if (!snapshotting.has(type)) {
    const lines = [
      `(${type} cannot snapshot: quiesce copies the data beside the source and starts the database when the copy is`,
      " complete. On btrfs or XFS a snapshot takes its place, in next to no time: try --dir DIRECTORY on one of them,",
      " or as root --loop btrfs.)"
    ]
    say(dim(lines.join("\n")))
  }
  say()
  const stage: Stage = { work, programs, server, writer, rows, check }
  return stage
})

const summary = (whole: Backup, quiesced: Backup, killed: { readonly millis: number }) =>
  table([
    ["", "the client waited", "the backup took", "archive"],
    [
      "stop for the whole backup",
      seconds(whole.gap.millis),
      seconds(whole.millis),
      `${Math.round(whole.archiveMegabytes)} MB`
    ],
    [
      "quiesce run",
      seconds(quiesced.gap.millis),
      seconds(quiesced.millis),
      `${Math.round(quiesced.archiveMegabytes)} MB`
    ],
    ["quiesce run, killed with -9", seconds(killed.millis), "", ""]
  ])

const demo = Effect.gen(function*() {
  const begin = performance.now()
  const { all, check } = checklist()
  say(bold("quiesce: the app is down until the snapshot exists, not until the backup ends\n"))
  const stage = yield* prepareStage(check)
  const whole = yield* stopForAll(stage)
  const { backup } = yield* withQuiesce(stage, whole)
  yield* restore(stage, backup)
  yield* control(stage)
  const killed = yield* killInTheHold(stage)

  say(`\n${summary(whole, backup, killed)}\n`)
  const broken = all.filter(({ held }) => !held)
  const [before, after] = [whole.gap.millis, backup.gap.millis]
  const compared = after < before ? `${(before / after).toFixed(1)} times less` : "which is not less"
  say(`The client waited ${seconds(after)} instead of ${seconds(before)}: ${compared}.`)
  say(`The demo took ${seconds(performance.now() - begin)}.`)
  if (broken.length === 0) {
    say(green(`All ${all.length} promises were seen to hold.`))
    return 0
  }
  say(red(`${broken.length} of ${all.length} promises did not hold:`))
  for (const { promise } of broken) say(red(`  - ${promise}`))
  return 1
})

runMain(Effect.scoped(demo))
