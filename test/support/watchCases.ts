/**
 * What the daemon meets, and what it must make of it.
 */
import { Duration } from "effect"
import { RunId } from "../../src/domain/RunId.ts"
import { faultAt, snapshotAgent } from "./agents.ts"
import type { WatchCase, WatchHistory } from "./watchWorld.ts"

const id = (n: number) => RunId.make(`01936f00-0000-7000-8000-${String(n).padStart(12, "0")}`)

const count = (what: string, times: number) => ({ lines }: WatchHistory) => {
  const found = lines.filter((line) => line.what === what).length
  return found === times ? [] : [`'${what}' ${found} times, not ${times}`]
}

const night = { from: "2026-01-01T00:00:00Z", schedule: ["30 3 * * *"] } as const
const fails = { result: "fail" } as const

const state = (more: object) => ({
  initially: {
    schemaVersion: 1 as const,
    timetables:
      "30 3 * * * {\"_id\":\"Option\",\"_tag\":\"Some\",\"value\":{\"_id\":\"TimeZone\",\"_tag\":\"Named\",\"id\":\"UTC\"}}",
    settledUntil: null,
    next: null,
    begun: null,
    lastRun: null,
    lastSuccess: null,
    answered: [],
    ...more
  }
})

const at = (text: string) => Date.parse(text)

export const watchCases: ReadonlyArray<WatchCase> = [
  {
    ...night,
    name: "two nights",
    lasts: "30 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended ok", "01-02 03:30 run schedule", "01-02 03:30 ended ok"],
    also: ({ state }) =>
      state?.lastSuccess?.outcome === "ok" && state.lastRun?.runId === state.lastSuccess.runId
        && state.settledUntil === at("2026-01-02T03:30:00Z")
        ? []
        : ["its state is not what it should be"]
  },
  {
    ...night,
    name: "several timetables, two of them at the same time: one run",
    schedule: ["30 3 * * *", "30 3 * * 4", "0 12 * * *"],
    lasts: "20 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended ok", "01-01 12:00 run schedule", "01-01 12:00 ended ok"]
  },
  {
    ...night,
    name: "jitter: later than due, by less than that, and once",
    jitter: "30 minutes",
    lasts: "8 hours",
    tells: ["01-01 03:59 run schedule", "01-01 03:59 ended ok"]
  },
  {
    ...night,
    name: "a restart before a run that has its jitter keeps it",
    jitter: "30 minutes",
    lives: [[0, Duration.minutes(212)], [Duration.minutes(213), "9 hours"]],
    lasts: "8 hours",
    tells: ["01-01 03:59 run schedule", "01-01 03:59 ended ok"]
  },
  {
    ...night,
    name: "missed while it was not running: done once, at its start",
    lives: [[0, "1 hour"], ["60 hours", "70 hours"]],
    lasts: "69 hours",
    tells: ["01-03 12:00 run missed", "01-03 12:00 ended ok"]
  },
  {
    ...night,
    name: "missed, and not wanted",
    missed: "skip",
    lives: [[0, "1 hour"], ["60 hours", "90 hours"]],
    lasts: "80 hours",
    tells: ["01-03 12:00 skipped", "01-04 03:30 run schedule", "01-04 03:30 ended ok"]
  },
  {
    ...night,
    name: "another schedule: nothing of it was missed",
    store: state({ timetables: "30 5 * * *", settledUntil: at("2025-12-30T03:30:00Z") }),
    lasts: "5 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended ok"]
  },
  {
    ...night,
    name: "the daemon died in the middle of a run: it is done again",
    store: state({
      settledUntil: at("2025-12-30T03:30:00Z"),
      next: { due: at("2025-12-31T03:30:00Z"), at: at("2025-12-31T03:30:00Z") },
      begun: { due: at("2025-12-31T03:30:00Z"), times: 1 }
    }),
    lasts: "1 hour",
    tells: ["01-01 00:00 run missed", "01-01 00:00 ended ok"]
  },
  {
    ...night,
    name: "it died in it twice: it is left out",
    store: state({
      settledUntil: at("2025-12-30T03:30:00Z"),
      next: { due: at("2025-12-31T03:30:00Z"), at: at("2025-12-31T03:30:00Z") },
      begun: { due: at("2025-12-31T03:30:00Z"), times: 2 }
    }),
    lasts: "4 hours",
    tells: ["01-01 00:00 skipped", "01-01 03:30 run schedule", "01-01 03:30 ended ok"]
  },
  {
    ...night,
    name: "stopped in the middle of a run: it is up at once, and the run is done at the next start",
    lives: [[0, Duration.sum("210 minutes", "1 second")], ["5 hours", "7 hours"]],
    lasts: "6 hours",
    tells: ["01-01 03:30 run schedule", "01-01 05:00 run missed", "01-01 05:00 ended ok"]
  },
  {
    name: "the agent asks: its run ids, each once",
    from: "2026-01-01T00:00:00Z",
    agent: {
      ...snapshotAgent,
      asks: [
        { at: "10 minutes", runId: id(1) },
        { at: "10 minutes", runId: id(1) },
        { at: "20 minutes", runId: id(2) },
        { at: "30 minutes", runId: id(1) }
      ]
    },
    lasts: "2 hours",
    tells: ["01-01 00:10 run request", "01-01 00:10 ended ok", "01-01 00:20 run request", "01-01 00:20 ended ok"],
    also: ({ events, state }) => [
      ...JSON.stringify(events.flatMap((event) => event.type === "report" ? [event.runId] : [])) ===
          JSON.stringify([id(1), id(2)])
        ? []
        : ["other run ids"],
      ...state?.answered.join() === [id(2), id(1)].join() ? [] : ["the answers are not kept"]
    ]
  },
  {
    name: "the agent asks: its host waits, so the run begins at once",
    from: "2026-01-01T00:00:00Z",
    agent: { ...snapshotAgent, asks: [{ at: "601 seconds", runId: id(1) }] },
    lasts: "1 hour",
    tells: ["01-01 00:10 run request", "01-01 00:10 ended ok"],
    also: ({ lines }) => lines.find(({ what }) => what === "agent request")?.at === 601_000 ? [] : ["it did not"]
  },
  {
    name: "an id that a former life has answered is not run again",
    from: "2026-01-01T00:00:00Z",
    store: state({ answered: [id(1)] }),
    agent: { ...snapshotAgent, asks: [{ at: "10 minutes", runId: id(1) }] },
    lasts: "1 hour",
    tells: []
  },
  {
    ...night,
    name: "asked and due at the same time: first what is asked, then what is due",
    agent: { ...snapshotAgent, asks: [{ at: "210 minutes", runId: id(1) }] },
    lasts: "5 hours",
    tells: [
      "01-01 03:30 run request",
      "01-01 03:30 ended ok",
      "01-01 03:30 run schedule",
      "01-01 03:30 ended ok"
    ]
  },
  {
    ...night,
    name: "asked in the middle of a run, twice: once, after it has ended, not at its resume",
    agent: {
      ...snapshotAgent,
      asks: [
        { at: Duration.sum("210 minutes", "10 seconds"), runId: id(1) },
        { at: Duration.sum("210 minutes", "12 seconds"), runId: id(1) }
      ]
    },
    lasts: "5 hours",
    tells: [
      "01-01 03:30 run schedule",
      "01-01 03:30 ended ok",
      "01-01 03:30 run request",
      "01-01 03:30 ended ok"
    ],
    also: ({ lines }) => {
      const requests = lines.filter(({ what }) => what === "agent request")
      return (requests[1]?.at ?? 0) - (requests[0]?.at ?? 0) >= 20_000 ? [] : ["it did not wait for the end"]
    }
  },
  {
    ...night,
    name: "due during a run: once, after it",
    schedule: ["*/10 * * * *"],
    agent: { phases: [{ at: 0, phase: "snapshotted" }, { at: "35 minutes", phase: "done" }] },
    lasts: "55 minutes",
    tells: ["01-01 00:10 run schedule", "01-01 00:45 ended ok", "01-01 00:45 run schedule"]
  },
  {
    name: "away for hours, then back: said once, and it is heard again",
    from: "2026-01-01T00:00:00Z",
    away: [["1 hour", "6 hours"]],
    agent: { ...snapshotAgent, asks: [{ at: "390 minutes", runId: id(1) }] },
    lasts: "7 hours",
    tells: ["01-01 01:00 agent-away", "01-01 06:02 agent-back", "01-01 06:30 run request", "01-01 06:30 ended ok"]
  },
  {
    ...night,
    name: "away when a run is due: tried again until it is back",
    away: [["3 hours", "4 hours"]],
    lasts: "6 hours",
    tells: [
      "01-01 03:00 agent-away",
      "01-01 03:30 run schedule",
      "01-01 03:30 waiting away",
      "01-01 04:02 agent-back",
      "01-01 04:02 run schedule",
      "01-01 04:03 ended ok"
    ],
    also: count("stop app/app", 1)
  },
  {
    ...night,
    name: "away for longer than a run is tried: it has failed, the next one is done",
    away: [["3 hours", "12 hours"]],
    window: "30 minutes",
    lasts: "28 hours",
    tells: [
      "01-01 03:00 agent-away",
      "01-01 03:30 run schedule",
      "01-01 03:30 waiting away",
      "01-01 04:00 ended refused",
      "01-01 12:02 agent-back",
      "01-02 03:30 run schedule",
      "01-02 03:30 ended ok"
    ]
  },
  {
    ...night,
    name: "the agent falls silent in every hold: the app is not taken down for it again and again",
    agent: {
      phases: [{ at: 0, phase: "running", mode: "snapshot" }],
      fault: faultAt("status", "hang", (n) => n % 2 === 1)
    },
    lasts: "6 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:32 ended aborted"],
    also: count("stop app/app", 1)
  },
  {
    ...night,
    name: "the agent dies in the hold, and is back: one more hold, no third one",
    hangs: [[Duration.sum("210 minutes", "1 second"), "220 minutes"], [Duration.minutes(222.05), "300 minutes"]],
    agent: { phases: [{ at: 0, phase: "running", mode: "snapshot" }, { at: "3 minutes", phase: "snapshotted" }] },
    lasts: "6 hours",
    tells: [
      "01-01 03:30 run schedule",
      "01-01 03:33 waiting away",
      "01-01 03:40 run schedule",
      "01-01 03:43 ended aborted"
    ],
    also: count("stop app/app", 2)
  },
  {
    ...night,
    name: "a run that fails for its own reasons is not tried again",
    agent: { phases: [{ at: "1 second", phase: "failed", error: "disk full" }] },
    lasts: "6 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended backup-failed"]
  },
  {
    ...night,
    name: "busy: it waits for the live run, and begins soon after it",
    locked: [["3 hours", "5 hours"]],
    lasts: "6 hours",
    tells: [
      "01-01 03:30 run schedule",
      "01-01 03:30 waiting busy",
      "01-01 05:00 run schedule",
      "01-01 05:00 ended ok"
    ]
  },
  {
    ...night,
    name: "while it is idle it does not hold the run lock",
    locked: [["1 hour", "2 hours"]],
    lasts: "4 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended ok"]
  },
  {
    ...night,
    name: "an app that does not come up: recovered before anything else",
    stacks: [{ stack: "app", start: [...Array.from({ length: 30 }, () => fails), {}] }],
    policy: { resumeTimeout: Duration.minutes(1) },
    agent: { ...snapshotAgent, asks: [{ at: "211 minutes", runId: id(1) }] },
    lasts: "6 hours",
    tells: [
      "01-01 03:30 run schedule",
      "01-01 03:31 down",
      "01-01 03:31 ended resume-failed",
      "01-01 03:32 down",
      "01-01 03:33 down",
      "01-01 03:33 recovered app",
      "01-01 03:33 run request",
      "01-01 03:34 ended ok"
    ],
    also: count("stop app/app", 2)
  },
  {
    ...night,
    name: "an app that never comes up: no run begins any more, and that is how it ends",
    stacks: [{ stack: "app", start: [fails] }],
    policy: { resumeTimeout: Duration.minutes(10) },
    lives: [[0, "5 hours"]],
    lasts: "29 hours",
    downAtEnd: ["app/app"],
    tells: [
      "01-01 03:30 run schedule",
      "01-01 03:40 down",
      "01-01 03:40 ended resume-failed",
      ...["03:50", "04:00", "04:10", "04:20", "04:31", "04:41", "04:52", "05:03"].map((at) => `01-01 ${at} down`)
    ],
    also: (history) => [
      ...count("stop app/app", 1)(history),
      ...history.told.some(({ event }) => event.event === "stopped" && event.down)
        ? []
        : ["it did not say so at its end"]
    ]
  },
  {
    ...night,
    name: "stopped in the hold, and the app does not come up: that is how it ends",
    stacks: [{ stack: "app", start: [fails] }],
    policy: { resumeTimeout: Duration.minutes(1) },
    lives: [[0, Duration.sum("210 minutes", "1 second")]],
    lasts: "5 hours",
    downAtEnd: ["app/app"],
    tells: ["01-01 03:30 run schedule", "01-01 03:31 down"],
    also: ({ told }) =>
      told.some(({ event }) => event.event === "stopped" && event.down) ? [] : ["it did not say so at its end"]
  },
  {
    ...night,
    name: "left down by a dead run: up at its start",
    stacks: [{ stack: "app", initially: "stopped" }],
    markers: {
      initially: [{
        _tag: "Readable",
        name: id(9),
        marker: {
          runId: id(9),
          createdAt: "2026-01-01T00:00:00.000Z",
          stacks: [{
            stack: "app" as never,
            control: "memory",
            units: [{ id: "app" as never, stopTimeoutMs: 1000, startTimeoutMs: 1000, identity: {} }]
          }]
        },
        notes: [{ stack: "app" as never, unit: "app" as never, state: "stopped" }]
      }]
    },
    lasts: "4 hours",
    tells: ["01-01 00:00 recovered app", "01-01 03:30 run schedule", "01-01 03:30 ended ok"]
  },
  {
    ...night,
    name: "a defect in a run is not the end of the daemon, and the run is not done again at once",
    broken: [["1 hour", "20 hours"]],
    lasts: "28 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended null", "01-02 03:30 run schedule", "01-02 03:30 ended ok"]
  },
  {
    ...night,
    name: "nothing can be kept: said once, and the work goes on",
    store: { full: true },
    lasts: "28 hours",
    tells: [
      "01-01 00:00 warning",
      "01-01 03:30 run schedule",
      "01-01 03:30 ended ok",
      "01-02 03:30 run schedule",
      "01-02 03:30 ended ok"
    ]
  },
  {
    ...night,
    name: "the machine slept over a due time: done when it wakes",
    clock: { at: "3 hours", by: 5 * 3_600_000 },
    lasts: "9 hours",
    tells: ["01-01 08:00 run missed", "01-01 08:00 ended ok"]
  },
  {
    ...night,
    name: "the machine slept over a due time, and it is not wanted any more",
    missed: "skip",
    clock: { at: "3 hours", by: 5 * 3_600_000 },
    lasts: "9 hours",
    tells: ["01-01 08:00 skipped"]
  },
  {
    ...night,
    name: "the clock is set back by half an hour: nothing is done twice",
    clock: { at: "215 minutes", by: -1_800_000 },
    lasts: "6 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended ok"]
  },
  {
    ...night,
    name: "the clock was years ahead: the schedule goes on as the clock is now",
    store: state({ settledUntil: at("2031-01-01T00:00:00Z") }),
    lasts: "4 hours",
    tells: ["01-01 03:30 run schedule", "01-01 03:30 ended ok"]
  },
  {
    name: "spring, a time that the clock leaves out: once, an hour later by the clock",
    from: "2026-03-28T22:00:00Z",
    schedule: ["30 2 * * *"],
    zone: "Europe/Berlin",
    lasts: "30 hours",
    tells: ["03-29 01:30 run schedule", "03-29 01:30 ended ok", "03-30 00:30 run schedule", "03-30 00:30 ended ok"]
  },
  {
    name: "autumn, a time that the clock shows twice: once",
    from: "2026-11-01T00:00:00Z",
    schedule: ["30 1 * * *"],
    zone: "America/New_York",
    lasts: "36 hours",
    tells: ["11-01 05:30 run schedule", "11-01 05:30 ended ok", "11-02 06:30 run schedule", "11-02 06:30 ended ok"]
  },
  {
    name: "autumn, started in the hour that the clock shows again: not again",
    from: "2026-11-01T06:10:00Z",
    schedule: ["30 1 * * *"],
    zone: "America/New_York",
    lasts: "26 hours",
    tells: ["11-02 06:30 run schedule", "11-02 06:30 ended ok"]
  },
  ...[
    ["while it is idle", 3_600_000],
    ["in the prepare", 12_600_100],
    ["in the stop", 12_600_500],
    ["in the hold", 12_602_000],
    ["in the resume", 12_604_500],
    ["after the snapshot", 12_612_000]
  ].map(([when, ms]): WatchCase => ({
    ...night,
    name: `stopped ${when}: it ends at once when the app is up, also if the agent hangs`,
    stacks: [{
      stack: "app",
      prepare: [{ takes: "200 millis" }],
      stop: [{ takes: "1 second" }],
      start: [{ takes: "1 second" }]
    }],
    agent: {
      phases: [
        { at: 0, phase: "running", mode: "snapshot" },
        { at: "2 seconds", phase: "snapshotted" },
        { at: "20 seconds", phase: "done" }
      ],
      fault: faultAt("cancel", "hang")
    },
    lives: [[0, Number(ms)]],
    lasts: "5 hours",
    tells: Number(ms) > 12_600_000 ? ["01-01 03:30 run schedule"] : [],
    also: ({ ends }) => ends.length === 1 ? [] : ["it did not end"]
  }))
]
