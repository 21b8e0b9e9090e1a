/**
 * Stacks of many units with dependencies between them: the exact times of their stops and starts.
 *
 * The agent has its snapshot 2 s after it was told that everything is down.
 */
import type { MemoryStack } from "../../src/layers/StackControlMemory.ts"
import { snapshotAgent } from "./agents.ts"
import type { Case } from "./judge.ts"

const second = [{ takes: "1 second" }] as const

/** `web` needs both of the middle, and they need `db`. */
export const diamond = {
  stack: "app",
  units: ["web", "left", "right", "db"],
  after: {
    web: [{ unit: "left", until: "up" }, { unit: "right", until: "up" }],
    left: [{ unit: "db", until: "up" }],
    right: [{ unit: "db", until: "up" }]
  },
  stop: second,
  start: second
} as const satisfies MemoryStack

const many = (n: number) => Array.from({ length: n }, (_, index) => `u${index + 1}`)

const good = { agent: snapshotAgent, outcome: "ok", level: "application" } as const

export const graphCases: ReadonlyArray<Case> = [
  {
    ...good,
    name: "a diamond: dependents are stopped first, dependencies started first, branches side by side",
    stacks: [diamond],
    at: {
      "stop app/web": 0,
      "stop app/left": 1_000,
      "stop app/right": 1_000,
      "stop app/db": 2_000,
      "start app/db": 5_000,
      "start app/left": 6_000,
      "start app/right": 6_000,
      "start app/web": 7_000
    },
    events: { "app stopping": 1, "app stopped": 1, "app starting": 1, "app running": 1 },
    downtime: { app: 8_000 }
  },
  {
    ...good,
    name: "one branch of a diamond is slower: only what needs it waits",
    stacks: [{
      ...diamond,
      units: ["web", "left", "right", "db", "cache"],
      after: { ...diamond.after, left: [{ unit: "cache", until: "up" }] },
      perUnit: {
        left: { stop: [{ takes: "4 seconds" }], start: second },
        right: { stop: second, start: [{ takes: "4 seconds" }] }
      }
    }],
    at: {
      "stop app/left": 1_000,
      "stop app/right": 1_000,
      "stop app/db": 2_000,
      "stop app/cache": 5_000,
      "start app/cache": 8_000,
      "start app/db": 8_000,
      "start app/left": 9_000,
      "start app/right": 9_000,
      "start app/web": 13_000
    }
  },
  {
    ...good,
    name: "started and up: who needs only the start does not wait for the health",
    stacks: [{
      stack: "app",
      units: ["web", "worker", "db"],
      after: { web: [{ unit: "db", until: "up" }], worker: [{ unit: "db", until: "started" }] },
      start: second,
      perUnit: { db: { start: [{ takes: "1 second", healthyAfter: "4 seconds" }] } }
    }],
    at: { "start app/db": 2_000, "start app/worker": 3_000, "up app/db": 7_000, "start app/web": 7_000 },
    downtime: { app: 8_000 }
  },
  {
    ...good,
    name: "units with nothing between them are stopped and started side by side",
    stacks: [{ stack: "app", units: ["a", "b", "c"], after: {}, stop: second, start: second }],
    downtime: { app: 4_000 }
  },
  {
    ...good,
    name: "without a graph the units are a chain",
    stacks: [{ stack: "app", units: ["a", "b", "c"], stop: second, start: second }],
    at: { "stop app/c": 2_000, "start app/c": 5_000, "start app/b": 6_000, "start app/a": 7_000 },
    downtime: { app: 8_000 }
  },
  {
    ...good,
    name: "eight stops and eight starts at a time",
    stacks: [{ stack: "app", units: many(12), after: {}, stop: second, start: second }],
    at: { "stop app/u8": 0, "stop app/u9": 1_000, "stop app/u12": 1_000 },
    downtime: { app: 6_000 }
  },
  {
    ...good,
    name: "two stacks share the limit",
    stacks: [
      { stack: "one", units: many(6), after: {}, stop: second, start: second },
      { stack: "two", units: many(6), after: {}, stop: second, start: second }
    ],
    at: { "stop two/u2": 0, "stop two/u3": 1_000 }
  },
  {
    ...good,
    name: "who waits for a health holds up nobody",
    stacks: [{
      stack: "app",
      units: many(9),
      after: {},
      start: [{ takes: "1 second", healthyAfter: "10 seconds" }]
    }],
    downtime: { app: 2_000 + 1_000 + 1_000 + 10_000 }
  },
  {
    ...good,
    name: "a dependency that fails to start is not waited for by its dependents",
    stacks: [{
      ...diamond,
      perUnit: { db: { stop: second, start: [{ takes: "3 seconds", result: "fail" }, { takes: "1 second" }] } }
    }],
    at: { "start app/db": 5_000, "start app/left": 8_000, "start app/web": 9_000, "up app/db": 11_500 }
  },
  {
    name: "a dependency that never starts does not keep its dependents down",
    stacks: [{ ...diamond, perUnit: { db: { stop: second, start: [{ result: "fail" }] } } }],
    agent: snapshotAgent,
    outcome: "resume-failed",
    at: { "start app/left": 5_000, "up app/web": 7_000, "up app/db": undefined }
  },
  {
    ...good,
    name: "a dependency that starts and is not healthy in time is not waited for longer",
    stacks: [{
      ...diamond,
      startTimeoutMs: 5_000,
      perUnit: { db: { stop: second, start: [{ healthyAfter: "20 seconds" }] } }
    }],
    at: { "start app/left": 10_000, "up app/db": 25_000 },
    times: { "start app/db": 1 }
  },
  {
    ...good,
    name: "every round of starts keeps the order",
    stacks: [{
      ...diamond,
      perUnit: {
        db: { stop: second, start: [{ takes: "2 seconds", result: "fail" }, { takes: "2 seconds" }] },
        left: { stop: second, start: [{ result: "fail" }, {}] }
      }
    }],
    at: { "start app/db": 5_000, "start app/left": 7_000, "up app/db": 11_500, "up app/left": 11_500 }
  },
  {
    name: "a dependent that is not down: what it depends on is not touched, and the others come up",
    stacks: [{ ...diamond, perUnit: { left: { stop: [{ result: "fail" }] } } }],
    agent: snapshotAgent,
    outcome: "backup-failed",
    at: { "stop app/web": 0, "stop app/right": 1_000, "stop app/db": undefined, "start app/web": 3_000 }
  },
  {
    name: "what is not down keeps up only what it depends on",
    stacks: [{
      ...diamond,
      units: ["web", "left", "right", "db", "cache"],
      after: { ...diamond.after, right: [{ unit: "cache", until: "up" }] },
      perUnit: { left: { stop: [{ takes: "3 seconds", effective: false }] } },
      stopTimeoutMs: 5_000
    }],
    agent: snapshotAgent,
    outcome: "backup-failed",
    at: { "stop app/cache": 2_000, "stop app/db": undefined, "start app/cache": 6_000, "start app/right": 7_000 }
  },
  {
    name: "interrupted while one branch is stopped: the rest is not stopped any more",
    stacks: [diamond],
    agent: snapshotAgent,
    interruptAt: ["1500 millis"],
    outcome: "aborted",
    at: { "stop app/db": undefined, "start app/left": 2_000, "start app/web": 3_000 }
  },
  {
    name: "what waits for the stops of another stack is up at once",
    // at 1 s `front` is down, and the stop of `db` waits until the twelve have given way
    stacks: [
      { stack: "app", units: ["front", "db"], stop: second },
      { stack: "hangs", units: many(12), after: {}, stop: [{ takes: "25 seconds" }] }
    ],
    agent: snapshotAgent,
    policy: { maxDowntime: "5 seconds" },
    outcome: "aborted",
    at: { "stop app/db": undefined, "start app/front": 5_000, "stop hangs/u9": undefined }
  },
  {
    ...good,
    name: "the order goes through a unit that is down and stays so",
    stacks: [{
      stack: "app",
      units: ["web", "job", "db"],
      after: { web: [{ unit: "job", until: "started" }], job: [{ unit: "db", until: "up" }] },
      unitsInitially: { job: "stopped" },
      stop: second,
      start: [{ takes: "1 second", healthyAfter: "1 second" }]
    }],
    at: { "stop app/web": 0, "stop app/db": 1_000, "start app/db": 4_000, "start app/web": 6_000 }
  },
  {
    ...good,
    name: "a dependency on a unit that does not exist, and one on a unit that is down",
    stacks: [{
      stack: "app",
      units: ["web", "off"],
      after: { web: [{ unit: "gone", until: "up" }, { unit: "off", until: "up" }] },
      unitsInitially: { off: "stopped" }
    }],
    downtime: { app: 2_000 }
  },
  {
    ...good,
    name: "a circle of dependencies stops nobody from coming up",
    stacks: [{
      stack: "app",
      units: ["a", "b", "c"],
      after: {
        a: [{ unit: "b", until: "up" }],
        b: [{ unit: "c", until: "started" }],
        c: [{ unit: "a", until: "up" }, { unit: "c", until: "up" }]
      }
    }]
  }
]
