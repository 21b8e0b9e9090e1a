/**
 * Whole runs whose agent is on another machine, behind a network and an agent that do wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Logger, LogLevel, Ref } from "effect"
import { defaults, type RunPolicy, stackDefaults } from "../../src/domain/Policy.ts"
import type { RunEvent } from "../../src/domain/Report.ts"
import { StackName } from "../../src/domain/Stack.ts"
import * as AgentClientHttp from "../../src/layers/AgentClientHttp.ts"
import * as DeadManMemory from "../../src/layers/DeadManMemory.ts"
import * as Journal from "../../src/layers/Journal.ts"
import * as MarkerStoreMemory from "../../src/layers/MarkerStoreMemory.ts"
import * as RunLockMemory from "../../src/layers/RunLockMemory.ts"
import * as StackControlMemory from "../../src/layers/StackControlMemory.ts"
import { quiesce } from "../../src/programs/quiesce.ts"
import { EventSink } from "../../src/services/EventSink.ts"
import { jobsOf, serve } from "../support/agentServer.ts"
import { type EngineScript, scriptedEngine } from "../support/engines.ts"
import { type Fault, faultyAgent, type Operation } from "../support/faultyAgent.ts"

const app = StackName.make("app")

const policy: RunPolicy = {
  ...defaults,
  pollInterval: Duration.millis(50),
  agentTimeout: Duration.millis(800),
  agentPatience: Duration.millis(1500),
  queueTimeout: Duration.seconds(3),
  prepareTimeout: Duration.seconds(2),
  steadyTime: Duration.millis(20),
  stacks: [{ ...stackDefaults, stack: app, maxDowntime: Duration.millis(2500) }]
}

interface Story {
  readonly engine?: EngineScript
  readonly fault?: (operation: Operation, n: number) => Fault | undefined
  readonly policy?: Partial<RunPolicy>
}

const engine: EngineScript = {
  changes: [{ phase: "running" }, { after: "300 millis", phase: "snapshotted", effectiveMode: "snapshot" }],
  end: { after: "500 millis" }
}

/** One run, and what it has done. */
const play = Effect.fnUntraced(function*(story: Story) {
  const scripted = yield* scriptedEngine({ ...engine, ...story.engine })
  const jobs = yield* jobsOf("web1", scripted.engine)
  const server = yield* serve({
    guests: new Map([["web1", jobs]]),
    ways: ["socket"],
    limits: { requestsPerMinute: 1e6 }
  })
  let faults = 0
  const between = yield* faultyAgent(server.socketOf("web1"), (operation, n) => {
    const fault = story.fault?.(operation, n)
    if (fault !== undefined) faults++
    return fault
  })
  const events = yield* Ref.make<ReadonlyArray<RunEvent>>([])
  const world = yield* Layer.build(
    Layer.mergeAll(
      StackControlMemory.layer([{ stack: "app", stop: [{ takes: "50 millis" }], start: [{ takes: "50 millis" }] }]),
      AgentClientHttp.layer({ url: between.url, statusWait: "300 millis" }),
      MarkerStoreMemory.layer(),
      RunLockMemory.layer,
      DeadManMemory.layer()
    ).pipe(Layer.provideMerge(Journal.layer))
  )
  const exit = yield* quiesce({ ...policy, ...story.policy }).pipe(
    Effect.provideService(EventSink, { emit: (event) => Ref.update(events, (all) => [...all, event]) }),
    Effect.provide(world),
    Logger.withMinimumLogLevel(LogLevel.None),
    Effect.exit
  )
  const lines = yield* Effect.provide(Effect.flatMap(Journal.Journal, (journal) => journal.lines), world)
  const down = yield* Effect.provide(Effect.flatMap(StackControlMemory.StackWorld, (one) => one.down), world)
  const report = (yield* Ref.get(events)).findLast((event) => event.type === "report")
  const runs = (yield* scripted.journal).filter((entry) => entry.startsWith("run ") && !entry.endsWith("ends"))
  return {
    exit,
    report,
    outcome: report?.outcome,
    stops: lines.filter((line) => line === "stop app/app").length,
    ups: lines.filter((line) => line === "up app/app").length,
    down,
    runs: runs.length,
    calls: between.calls,
    faults,
    told: (yield* Ref.get(events)).flatMap((event) => "message" in event ? [String(event.message)] : [])
  }
})

type Played = Effect.Effect.Success<ReturnType<typeof play>>

const at = (operation: Operation, fault: Fault, when: (n: number) => boolean = () => true): Story => ({
  fault: (asked, n) => asked === operation && when(n) ? fault : undefined
})

const first = (n: number) => n === 0

const becomes = (change: (status: Record<string, unknown>) => Record<string, unknown>): Fault => ({
  becomes: change
})

/** The app was down once at most, and is up. */
const upAgain = (played: Played) => {
  assert.deepStrictEqual(played.down, [])
  assert.strictEqual(played.ups, played.stops, "as many starts as stops")
  assert.isAtMost(played.stops, 1)
  assert.isAtMost(played.runs, 1, "never two backups for one run")
}

const tells = (
  name: string,
  story: Story,
  expected: { readonly outcome: string; readonly stops: 0 | 1; readonly reasons?: ReadonlyArray<string> },
  more: (played: Played) => void = () => undefined
) =>
  it.scopedLive(`${name}: ${expected.outcome}`, () =>
    Effect.gen(function*() {
      const played = yield* play(story)
      assert.strictEqual(played.faults > 0, story.fault !== undefined)
      upAgain(played)
      assert.strictEqual(played.outcome, expected.outcome, JSON.stringify(played.report ?? played.exit))
      assert.strictEqual(played.stops, expected.stops)
      const reasons = played.report?.consistency.reasons ?? []
      assert.deepStrictEqual(reasons, expected.reasons ?? reasons)
      more(played)
    }))

const ok = { outcome: "ok", stops: 1, reasons: [] } as const

describe("a run over HTTP", () => {
  tells("without a fault", {}, ok, ({ calls, runs }) => {
    assert.strictEqual(runs, 1)
    assert.isBelow(calls.get("status") ?? 0, 12, "it waits for changes")
  })

  tells("refused at the preflight (F21)", at("preflight", "reset"), { outcome: "refused", stops: 0 }, ({ runs }) => {
    assert.strictEqual(runs, 0)
  })
  tells("an agent of something else (F21)", at("preflight", { status: 200, body: "<html>" }), {
    outcome: "refused",
    stops: 0
  })
  tells("gone before the request (F22)", at("request", "reset"), { outcome: "backup-failed", stops: 0 })
  tells("the answer to the request is lost (F23)", at("request", "lost", first), ok, ({ calls, runs }) => {
    assert.strictEqual(calls.get("request"), 2)
    assert.strictEqual(runs, 1)
  })
  tells("the answer to 'quiesced' is lost (F23)", at("quiesced", "lost", first), ok)
  tells("it hangs once (F24)", at("status", "hang", (n) => n === 1), ok)
  tells("it hangs while the app is down (F24, F40)", {
    fault: (operation, n) => operation === "status" && n >= 1 ? "hang" : undefined
  }, { outcome: "aborted", stops: 1 })

  for (const status of [500, 502, 503, 408, 429]) {
    tells(`status ${status}, twice (F25)`, at("status", { status }, (n) => n === 1 || n === 2), ok)
  }
  tells(
    "too many requests, with a time (F25)",
    at("status", { status: 429, headers: { "retry-after": "1" } }, (n) => n === 2),
    ok
  )

  tells("it no longer knows the token (F26)", at("status", { status: 401 }, (n) => n >= 2), {
    outcome: "backup-failed",
    stops: 1
  }, ({ report }) => assert.include(report?.error ?? "", "'quiesce agent token'"))
  tells("it does not know the token from the first", at("preflight", { status: 403 }), { outcome: "refused", stops: 0 })

  const wrong: ReadonlyArray<readonly [string, Fault]> = [
    ["garbage", { status: 200, body: "<<<" }],
    ["nothing", { status: 200, body: "" }],
    ["other JSON", { status: 200, body: "[1,2]" }],
    ["JSON of another type", { status: 200, body: "{}", headers: { "content-type": "text/html" } }],
    ["a page", { status: 404, body: "<html>", headers: { "content-type": "text/html" } }],
    ["a redirect", { status: 302, headers: { location: "http://127.0.0.1:1/" } }],
    ["half an answer", "truncated"],
    ["half an answer, and silence", "stalled"],
    ["a huge answer", "huge"],
    ["no HTTP", "noise"],
    ["a cut connection", "reset"]
  ]
  for (const [name, fault] of wrong) tells(`${name}, once (F27)`, at("status", fault, (n) => n === 1), ok)
  tells("garbage while the app is down, without end (F27)", at("status", { status: 200, body: "<<<" }, (n) => n >= 1), {
    outcome: "aborted",
    stops: 1
  })
  tells("garbage after the snapshot, without end (F27)", {
    fault: (() => {
      let seen = false
      return (operation) => {
        if (operation !== "status") return undefined
        return seen ? { status: 200, body: "<<<" } : {
          becomes: (status) => {
            seen = status["phase"] === "snapshotted"
            return status
          }
        }
      }
    })()
  }, { outcome: "backup-failed", stops: 1 })

  tells(
    "an unknown phase before the snapshot (F28)",
    at("status", becomes((status) => status["phase"] === "running" ? { ...status, phase: "warming-up" } : status)),
    ok,
    ({ told }) => assert.isTrue(told.some((line) => line.includes("unknown-phase")), told.join("\n"))
  )
  tells("a phase that goes back (F29)", {
    engine: { end: { after: "1 second" } },
    fault: (() => {
      let snapshots = 0
      return (operation) =>
        operation !== "status" ? undefined : becomes((status) => {
          if (status["phase"] !== "snapshotted") return status
          return ++snapshots === 2 ? { ...status, phase: "queued", revision: 1 } : status
        })
    })()
  }, { outcome: "ok-degraded", stops: 1, reasons: ["phase-regression"] })
  tells("phases that are skipped (F30)", {
    engine: { changes: [{ effectiveMode: "snapshot" }], end: { after: "200 millis" } }
  }, { outcome: "ok", stops: 1 })
  tells(
    "it fails before the snapshot (F31)",
    {
      engine: { changes: [{ phase: "running" }], end: { after: "100 millis", error: "no space left" } }
    },
    { outcome: "backup-failed", stops: 1 },
    ({ report }) => assert.include(report?.error ?? "", "no space left")
  )
  tells("it fails after the snapshot (F32)", { engine: { end: { after: "500 millis", error: "the disk is full" } } }, {
    outcome: "backup-failed",
    stops: 1
  })
  tells(
    "it has forgotten the run (F33)",
    at("status", { status: 404, body: "{\"_tag\":\"NotFound\"}" }, (n) => n >= 1),
    {
      outcome: "backup-failed",
      stops: 1
    }
  )
  tells("it is busy (F34)", at("request", { status: 409, body: "{\"_tag\":\"Busy\",\"reason\":\"another\"}" }), {
    outcome: "busy",
    stops: 0
  })
  tells(
    "the answer is about another run, once (F35)",
    at(
      "status",
      becomes((status) => ({ ...status, runId: "0198c0de-0000-7000-8000-000000000000", phase: "done" })),
      (n) => n === 1
    ),
    ok
  )
  tells(
    "all answers are about another run (F35)",
    at(
      "status",
      becomes((status) => ({ ...status, runId: "0198c0de-0000-7000-8000-000000000000", phase: "done" })),
      (n) => n >= 1
    ),
    { outcome: "aborted", stops: 1 }
  )
  tells("the request is answered with an error every other time (F36)", {
    fault: (operation, n) => (operation === "request" || operation === "status") && n % 2 === 0 ? "lost" : undefined
  }, ok)
  tells(
    "an agent that does not wait",
    {
      ...at("status", "impatient"),
      policy: { pollInterval: Duration.millis(200) }
    },
    ok,
    ({ calls }) => {
      assert.isBelow(calls.get("status") ?? 0, 15, "it is not asked without end")
    }
  )
  tells("'quiesced' is never heard", at("quiesced", "reset"), { outcome: "aborted", stops: 1 })
  it.scopedLive("a success is a success to its caller", () =>
    Effect.map(play({}), ({ exit }) => assert.isTrue(Exit.isSuccess(exit))))
})
