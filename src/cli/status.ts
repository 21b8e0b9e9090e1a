/**
 * `quiesce status`: the live run, what is held or was left down, the last reports.
 */
import * as Command from "@effect/cli/Command"
import { DateTime, Effect, Option } from "effect"
import type { LiveRun } from "../domain/LiveRun.ts"
import { lastNote, type StoredMarker } from "../domain/Marker.ts"
import { ExitCode, type Report } from "../domain/Report.ts"
import { type Ran, upcoming } from "../domain/Watch.ts"
import type { ResolvedConfig } from "../layers/ConfigFile.ts"
import { Workspace } from "../layers/Workspace.ts"
import { LiveStatus } from "../services/LiveStatus.ts"
import { MarkerStore } from "../services/MarkerStore.ts"
import { ReportStore } from "../services/ReportStore.ts"
import { RunLock } from "../services/RunLock.ts"
import { StackControl } from "../services/StackControl.ts"
import { WatchStore } from "../services/WatchStore.ts"
import * as Common from "./common.ts"
import { CommandFailed } from "./errors.ts"
import * as Options from "./options.ts"
import { Output } from "./Output.ts"
import * as Text from "./text.ts"

interface MarkerStatus {
  readonly name: string
  readonly createdAt: string | null
  readonly damaged: string | null
  readonly units: ReadonlyArray<{ readonly stack: string; readonly unit: string; readonly state: string }>
}

interface Live extends Omit<LiveRun, "stacks"> {
  readonly stacks: ReadonlyArray<LiveRun["stacks"][number] & { readonly downtimeSoFarMs: number | null }>
}

/** The daemon: a dead one has no next run. */
interface WatchStatus {
  readonly alive: boolean
  readonly nextRun: string | null
  readonly lastSuccess: Ran | null
  readonly lastRun: Ran | null
}

interface Status {
  readonly type: "status"
  readonly schemaVersion: 1
  /** Who holds the run lock now. */
  readonly liveRun: string | null
  /** What the holder says of itself, if it is a run that has begun. */
  readonly live: Live | null
  /** Nothing where there has never been a daemon. */
  readonly watch: WatchStatus | null
  readonly markers: ReadonlyArray<MarkerStatus>
  /** The newest first. */
  readonly reports: ReadonlyArray<Report>
}

/** What a marker names, and how it is now. A unit that the run had verified up again is not ours any more. */
const lookAt = Effect.fnUntraced(function*(stored: StoredMarker) {
  const control = yield* StackControl
  if (stored._tag === "Damaged") {
    return { name: stored.name, createdAt: null, damaged: stored.reason, units: [] } satisfies MarkerStatus
  }
  const held = stored.marker.stacks.flatMap(({ stack, units }) =>
    units.filter((unit) => lastNote(stored.notes, stack, unit) !== "running").map((unit) => ({ stack, unit }))
  )
  const units = yield* Effect.forEach(held, ({ stack, unit }) =>
    control.observe(stack, unit).pipe(
      Effect.map(({ state }) => ({ stack, unit: unit.id, state })),
      Effect.orElseSucceed(() => ({ stack, unit: unit.id, state: "unknown" }))
    ))
  return { name: stored.name, createdAt: stored.marker.createdAt, damaged: null, units } satisfies MarkerStatus
})

/** What the holder of the lock shows; what a dead run has shown last is of no use. */
const lookAtLive = Effect.fnUntraced(function*(holder: string | null) {
  const shown = Option.getOrNull(yield* (yield* LiveStatus).read)
  if (holder === null || shown === null || !holder.includes(shown.runId)) return null
  const now = DateTime.toEpochMillis(yield* DateTime.now)
  const stacks = shown.stacks.map((stack) => ({
    ...stack,
    downtimeSoFarMs: stack.downSince === null ? null : Math.max(0, now - Date.parse(stack.downSince))
  }))
  return { ...shown, stacks } satisfies Live
})

const lookAtWatch = Effect.fnUntraced(function*({ schedule }: ResolvedConfig["watch"]) {
  const store = yield* WatchStore
  const alive = yield* store.alive
  // what cannot be read is said by the daemon; the rest of the status is worth as much without it
  const state = Option.getOrNull(yield* Effect.orElseSucceed(store.read, () => Option.none()))
  if (!alive && state === null) return null
  const now = DateTime.toEpochMillis(yield* DateTime.now)
  const next = alive && state !== null ? upcoming(schedule, state, now) : undefined
  return {
    alive,
    nextRun: next === undefined ? null : DateTime.formatIso(DateTime.unsafeMake(next)),
    lastSuccess: state?.lastSuccess ?? null,
    lastRun: state?.lastRun ?? null
  } satisfies WatchStatus
})

const look = Effect.fnUntraced(function*(config: ResolvedConfig) {
  const lock = yield* RunLock
  const markers = yield* MarkerStore
  const reports = yield* ReportStore
  const liveRun = Option.getOrNull(yield* lock.holder)
  return {
    type: "status",
    schemaVersion: 1,
    liveRun,
    live: yield* lookAtLive(liveRun),
    watch: yield* lookAtWatch(config.watch),
    markers: yield* Effect.flatMap(markers.list, (found) => Effect.forEach(found, lookAt)),
    reports: yield* reports.list
  } satisfies Status
}, Effect.mapError((error) => new CommandFailed({ exitCode: ExitCode.refused, reason: error.message })))

const isLeftDown = ({ liveRun, markers }: Status) =>
  liveRun === null &&
  markers.some(({ damaged, units }) => damaged !== null || units.some(({ state }) => state !== "running"))

const lastRun = (report: Report): string =>
  `last run ${report.runId}, begun ${report.startedAt}\n${Text.report(report).replaceAll(/^(?=.)/gm, "  ")}`

const liveText = ({ phase, progress, stacks }: Live): string => {
  const read = progress === null ? "" : `, ${Text.progress(progress)}`
  const held = stacks.map(({ downtimeSoFarMs, stack, state }) =>
    `  ${stack}: ${state}${downtimeSoFarMs === null ? "" : `, down for ${Text.elapsed(downtimeSoFarMs)}`}\n`
  )
  return [`  backup: ${phase ?? "not asked for yet"}${read}\n`, ...held].join("")
}

const watchText = ({ alive, lastSuccess, nextRun }: WatchStatus): string =>
  [
    alive ? `watch: running, next run ${nextRun ?? "when the agent asks"}\n` : "watch: NOT RUNNING\n",
    `  last success: ${lastSuccess === null ? "none" : `${lastSuccess.runId}, begun ${lastSuccess.at}`}\n`
  ].join("")

const toText = (found: Status): string => {
  const markers = found.markers.flatMap(({ damaged, name, units }) =>
    damaged === null
      ? units.map(({ stack, state, unit }) => `held by ${name}: ${stack}/${unit} is ${state}\n`)
      : [`the marker ${name} cannot be read: ${damaged}\n`]
  )
  const [last] = found.reports
  return [
    `live run: ${found.liveRun ?? "none"}\n`,
    ...found.live === null ? [] : [liveText(found.live)],
    ...found.watch === null ? [] : [watchText(found.watch)],
    ...markers,
    ...isLeftDown(found) ? ["A DEAD RUN LEFT THIS DOWN; run: quiesce recover\n"] : [],
    last === undefined ? "last run: none\n" : lastRun(last)
  ].join("")
}

const options = { config: Options.config, json: Options.json }
const description = "Shows the live run, what a dead run left down (exit code 4), and the last report."

export const command = Command.make(
  "status",
  { config: options.config.option, json: options.json.option },
  Effect.fn("status command")(function*({ config, json }) {
    const output = yield* Output
    const workspace = yield* Workspace
    const loaded = yield* Common.load(config)
    const services = yield* workspace.services(loaded)
    const found = yield* Effect.provide(look(loaded), services)
    yield* output.stdout(json ? `${JSON.stringify(found)}\n` : toText(found))
    return yield* Common.conclude(isLeftDown(found) ? ExitCode.appDown : ExitCode.ok)
  }, Effect.scoped)
)

export const rule = Options.leaf(description, options)
