/**
 * `npm run demo`: a real PostgreSQL, a client that never stops writing, and what a backup costs that client.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { loopMount } from "../test/lab/loopfs.ts"
import { attempt, execute, LabError } from "../test/lab/postgresInstall.ts"
import { workDirectory } from "../test/lab/postgresWorkDirectory.ts"
import { type Backup, stopForAll, withQuiesce } from "./backups.ts"
import * as CommandStage from "./commandStage.ts"
import * as DockerStage from "./dockerStage.ts"
import { control, restore } from "./drills.ts"
import { killInTheHold } from "./killed.ts"
import { bold, checklist, dim, green, red, say, seconds, table } from "./lib/print.ts"
import { runMain } from "./lib/runMain.ts"
import { requireTools } from "./lib/tools.ts"
import type { Stage } from "./stage.ts"

const usage = "usage: npm run demo -- [--docker] [--mb MEGABYTES] [--dir DIRECTORY | --loop btrfs|xfs]"

const options = attempt(usage, async () => {
  const { values } = parseArgs({
    options: {
      docker: { type: "boolean", default: false },
      mb: { type: "string", default: "500" },
      dir: { type: "string" },
      loop: { type: "string" }
    }
  })
  const { dir, docker, loop } = values
  const mb = Number(values.mb)
  const isRoot = process.getuid?.() === 0
  if (!(mb >= 8 && mb <= 100_000)) throw new Error("--mb must be a number from 8 to 100000")
  if (loop !== undefined && loop !== "btrfs" && loop !== "xfs") throw new Error("--loop must be btrfs or xfs")
  if (loop !== undefined && !isRoot) throw new Error("--loop mounts a file system, which needs root")
  if (docker && !isRoot) throw new Error("--docker reads the data of a container, which needs root")
  return { mb, dir, docker, loop } as const
})

/** The directory that was asked for: on a new file system in a file, the one that was named, or any. */
const base = ({ dir, loop, mb }: Effect.Effect.Success<typeof options>) =>
  loop === undefined
    ? Effect.succeed(dir)
    : Effect.mapError(loopMount(loop, { megabytes: mb * 8 + 1000 }), ({ message }) => new LabError({ message }))

const snapshotting = new Set(["btrfs", "xfs"])

const prepareStage = Effect.fn("Demo.prepareStage")(function*(check: Stage["check"]) {
  const wanted = yield* options
  const { docker, mb } = wanted
  yield* requireTools
  const work = yield* workDirectory({ prefix: "quiesce-demo", needsBytes: mb * 8e6, base: yield* base(wanted) })
  const type = (yield* execute(["stat", "-f", "-c", "%T", work])).trim()
  const make = docker ? DockerStage.make : CommandStage.make
  const stage: Stage = { work, check, ...yield* make({ work, mb, type }) }
  if (!snapshotting.has(type)) {
    const lines = [
      `(${type} cannot snapshot: quiesce copies the data beside the source and starts the database when the copy is`,
      " complete. On btrfs or XFS a snapshot takes its place, in next to no time: try --dir DIRECTORY on one of them,",
      " or as root --loop btrfs.)"
    ]
    say(dim(lines.join("\n")))
  }
  say()
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
