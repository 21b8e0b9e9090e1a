/**
 * What must be so after a crash, as the program itself reads what is left.
 */
import { Duration, Effect, Layer, Logger, Option, Redacted, Ref } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { isDeepStrictEqual } from "node:util"
import { isAtLeast, type Phase } from "../../src/domain/Backup.ts"
import * as Jobs from "../../src/internal/agent/jobs.ts"
import * as AgentClientMemory from "../../src/layers/AgentClientMemory.ts"
import * as JobStoreFile from "../../src/layers/JobStoreFile.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MarkerStoreFile from "../../src/layers/MarkerStoreFile.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import * as TokenStoreFile from "../../src/layers/TokenStoreFile.ts"
import * as WatchStoreFile from "../../src/layers/WatchStoreFile.ts"
import { recover } from "../../src/programs/recover.ts"
import type { Engine } from "../../src/services/Engine.ts"
import { JobStore } from "../../src/services/JobStore.ts"
import { MarkerStore } from "../../src/services/MarkerStore.ts"
import { TokenStore } from "../../src/services/TokenStore.ts"
import { WatchStore } from "../../src/services/WatchStore.ts"
import { draft, guest, handle, runId, stack, units, watchState, type What } from "./fixtures/written.ts"

type Said = ReadonlyArray<string>
type Wrong = ReadonlyArray<string>

const wrongWhen = (cases: Readonly<Record<string, boolean>>): Wrong =>
  Object.entries(cases).flatMap(([what, so]) => so ? [what] : [])

const listed = (stateDir: string) =>
  Effect.flatMap(MarkerStore, ({ list }) => list).pipe(Effect.provide(MarkerStoreFile.layer({ stateDir })))

/** The world in which the machine comes up: what was stopped stays down. */
const worldAfter = (said: Said) =>
  Object.fromEntries(units.map((unit) => {
    const last = said.findLast((line) => line.endsWith(` ${unit}`)) ?? "start"
    return [unit, last.startsWith("start") ? "running" : "stopped"] as const
  }))

const policy = { resumeTimeout: Duration.seconds(1), steadyTime: Duration.millis(1), deadline: Duration.minutes(1) }

/** Recovers twice, as at boot and by a timer; answers with what was started, and what is down at the end. */
const recovered = (stateDir: string, said: Said) =>
  Effect.gen(function*() {
    const world = yield* StackControlMemory.StackWorld
    const starts = Effect.map(world.trace, (all) =>
      all.flatMap(({ what }) => /^start shop\/(\S+)$/.exec(what)?.[1] ?? []))
    const first = yield* recover(policy)
    const started = yield* starts
    const second = yield* recover(policy)
    return { first, second, started, later: (yield* starts).slice(started.length), down: yield* world.down }
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        StackControlMemory.layer([{ stack, units, unitsInitially: worldAfter(said) }]),
        AgentClientMemory.layer({ phases: [] }),
        RunLockMemory.layer,
        MarkerStoreFile.layer({ stateDir })
      ).pipe(Layer.provideMerge(Journal.layer))
    ),
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

/** One copy that the disk has damaged besides: the other one is used. */
const withOneCopy = Effect.fnUntraced(function*(stateDir: string) {
  const paths = ["", ".copy"].map((copy) => Path.join(stateDir, "markers", `${runId}${copy}.json`))
  if (!paths.every((path) => Fs.existsSync(path))) return []
  const wrong: Array<string> = []
  for (const path of paths) {
    const content = Fs.readFileSync(path)
    for (
      const damaged of [
        "",
        content.subarray(0, content.length / 2),
        content.map((byte) => byte === 0x22 ? 0 : byte)
      ]
    ) {
      Fs.writeFileSync(path, damaged)
      const [found] = yield* listed(stateDir)
      const good = found?._tag === "Readable" && isDeepStrictEqual(found.marker, draft)
      if (!good) wrong.push("a marker with one good copy is not read")
    }
    Fs.writeFileSync(path, content)
  }
  return wrong
})

const judgeMarker = Effect.fnUntraced(function*(stateDir: string, said: Said) {
  const has = (line: string) => said.includes(line)
  const found = yield* listed(stateDir)
  const readable = found.flatMap((marker) => marker._tag === "Readable" ? [marker] : [])
  const notes = readable.flatMap(({ notes }) => notes)
  const [web] = units
  const damaged = yield* withOneCopy(stateDir)
  const world = worldAfter(said)
  const somebodys = has(`somebody stops ${web}`) ? [web] : []
  const ours = units.filter((unit) => world[unit] === "stopped" && !somebodys.includes(unit))
  const { down, first, later, second, started } = yield* recovered(stateDir, said)
  return [
    ...damaged,
    ...wrongWhen({
      "a marker is damaged": found.some(({ _tag }) => _tag === "Damaged"),
      "a marker says what was never written": readable.some(({ marker }) => !isDeepStrictEqual(marker, draft)),
      "something was stopped and there is no marker": said.some((line) => line.startsWith("stop ")) &&
        !has("clear") && readable.length !== 1,
      "a marker has come back": has("cleared") && found.length > 0,
      "a unit is noted up that was not": notes.some(({ state, unit }) => state === "running" && !has(`start ${unit}`)),
      "what was noted up is forgotten": somebodys.length > 0 && readable.length > 0 &&
        !notes.some(({ state, unit }) => state === "running" && unit === web),
      "something is started that was not ours to start": started.some((unit) => !ours.some((mine) => mine === unit)),
      "the app is down": down.some((unit) => !somebodys.some((web) => unit === `${stack}/${web}`)),
      "recover has failed": first.failed.length > 0,
      "recover leaves a marker": second.markers > 0,
      "recover does something again": later.length > 0
    })
  ]
})

const ranks: ReadonlyArray<Phase> = ["queued", "ready", "running", "snapshotted", "done"]

const judgeJournal = Effect.fnUntraced(function*(stateDir: string, said: Said) {
  const warnings = yield* Ref.make<ReadonlyArray<string>>([])
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ message }) => Effect.runSync(Ref.update(warnings, (all) => [...all, String(message)])))
  )
  return yield* Effect.scoped(Effect.gen(function*() {
    const has = (line: string) => said.includes(line)
    const store = yield* JobStore
    const records = yield* store.list
    const [record] = records
    // the next agent, which takes over
    const asked = yield* Ref.make<ReadonlyArray<string>>([])
    const note = (what: string) => Effect.zipRight(Ref.update(asked, (all) => [...all, what]), Effect.never)
    const engine: Engine = {
      survives: true,
      preflight: Effect.succeed({ mode: "snapshot", notes: [] }),
      prepare: Effect.void,
      run: () => note("run"),
      resume: (_, handle) => note(`resume ${handle}`),
      sweep: Effect.succeed([])
    }
    const jobs = yield* Jobs.make({ guest, engine, store, readyTimeout: "1 minute", cancelLate: false })
    yield* Effect.yieldNow()
    const [listed] = yield* jobs.list
    const phase = listed?.phase as Phase | undefined
    const reached = ranks.findLast((phase) => has(`is ${phase}`)) ?? "queued"
    const asks = yield* Ref.get(asked)
    return wrongWhen({
      "the agent complains of its journal": (yield* Ref.get(warnings)).length > 0,
      "an order is lost": has("told queued") && !has("told done") && record === undefined,
      "an end is lost": has("told done") && record !== undefined && phase !== "done",
      "a forgotten backup has come back": has("removed") && record !== undefined,
      "there is a backup that nobody ordered": records.length > 1 || records.some((one) => one.runId !== runId),
      "a phase has gone forward by itself": phase !== undefined && isAtLeast(phase, reached) && phase !== reached,
      "ready was told and is forgotten": has("told ready") && phase === "queued",
      "the work is not found again": has("remembered") && phase !== undefined && phase !== "done" &&
        !asks.includes(`resume ${handle}`),
      "a backup is begun again": has("told ready") && asks.includes("run")
    })
  })).pipe(Effect.provide(JobStoreFile.layer({ stateDir })), Effect.provide(logger))
})

const judgeStores = (stateDir: string, said: Said) =>
  Effect.gen(function*() {
    const has = (line: string) => said.includes(line)
    const watch = yield* Effect.either(Effect.flatMap(WatchStore, ({ read }) => read))
    const state = watch._tag === "Right" ? Option.getOrUndefined(watch.right) : undefined
    const possible = [1, 2].filter((n) => has(`write ${n}`) && !has(`wrote ${n + 1}`))
    const kept = state === undefined ? !has("wrote 1") : possible.some((n) => isDeepStrictEqual(state, watchState(n)))
    const tokens = yield* TokenStore
    const given = said.flatMap((line) => /^token \d (.*)$/.exec(line)?.[1] ?? [])
    const good = yield* Effect.filter(given, (token) => Effect.map(tokens.verify(Redacted.make(token)), Option.isSome))
    const listed = yield* Effect.either(tokens.list(guest))
    return wrongWhen({
      "the state of the daemon cannot be read": watch._tag === "Left",
      "the state of the daemon is lost": !kept,
      "the tokens cannot be read": listed._tag === "Left",
      "a token is lost": !has("revoke") && good.length < given.length,
      "a token has come back": has("revoked") && good.length > 0
    })
  }).pipe(
    Effect.provide(Layer.merge(WatchStoreFile.layer({ stateDir }), TokenStoreFile.layer({ stateDir })))
  )

/** What is wrong with what is left of a state directory: each line is a broken promise. */
export const judge = (what: What) => (stateDir: string, said: Said): Effect.Effect<Wrong, unknown> =>
  what === "marker"
    ? judgeMarker(stateDir, said)
    : what === "journal"
    ? judgeJournal(stateDir, said)
    : judgeStores(stateDir, said)
