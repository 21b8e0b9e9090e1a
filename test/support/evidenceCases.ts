/**
 * What speaks against `application` beside the state of the units: what else writes into their data, and units that
 * stand still without having been shut down.
 */
import { type DataPlace, UnitId } from "../../src/domain/Stack.ts"
import { snapshotAgent } from "./agents.ts"
import type { Case } from "./judge.ts"

const detail = "adminer runs and can write into /srv/pg"
const shared = { found: [{ reason: "shared-data", detail }] } as const
const replaced = { found: [{ reason: "restarted-in-window", detail: "db-2 has come up since the plan" }] } as const
const silent = /cannot tell whether something else writes/

const degraded = { agent: snapshotAgent, outcome: "ok-degraded", level: "crash" } as const
const good = { agent: snapshotAgent, outcome: "ok", level: "application" } as const

const web = { stack: "app", units: ["front", "db"], unitsInitially: { db: "stopped" } } as const
const place = (unit: string, path: string, more: Pick<DataPlace, "covered"> & Partial<DataPlace>): DataPlace => ({
  unit: UnitId.make(unit),
  kind: "bind",
  path,
  target: path,
  writable: true,
  ...more
})
const asked = "interference app: front db"

export const evidenceCases: ReadonlyArray<Case> = [
  {
    ...good,
    name: "nothing interferes: asked with the app up and at the snapshot, for all units of the plan",
    stacks: [{ ...web, interference: [{}] }],
    times: { [asked]: 2 },
    inOrder: [asked, "marker write", "stop app/front", "agent quiesced", asked, "start app/front"]
  },
  {
    ...degraded,
    name: "something interferes only with the app up",
    stacks: [{ stack: "app", interference: [shared, {}] }],
    reasons: ["shared-data"],
    warnings: [[/adminer/, 1]]
  },
  {
    ...degraded,
    name: "something interferes only at the snapshot",
    stacks: [{ stack: "app", interference: [{}, shared] }],
    reasons: ["shared-data"],
    warnings: [[/adminer/, 1]]
  },
  {
    ...degraded,
    name: "the same interference is warned about once",
    stacks: [{ stack: "app", interference: [shared] }, { stack: "web", interference: [shared] }],
    reasons: ["shared-data"],
    warnings: [[/adminer/, 1]]
  },
  {
    ...degraded,
    name: "a unit that was replaced, and something else that writes",
    stacks: [{ stack: "app", interference: [{}, { found: [...replaced.found, ...shared.found] }] }],
    reasons: ["restarted-in-window", "shared-data"],
    warnings: [[/adminer/, 1], [/db-2/, 1]]
  },
  {
    ...degraded,
    name: "something interferes with a stack that is down",
    stacks: [{ stack: "app" }, { stack: "off", initially: "stopped", interference: [{}, shared] }],
    reasons: ["shared-data"]
  },
  {
    ...degraded,
    name: "with the app up it cannot be told what interferes",
    stacks: [{ stack: "app", interference: [{ result: "fail" }, {}] }],
    reasons: ["shared-data"],
    warnings: [[silent, 1]]
  },
  {
    ...degraded,
    name: "at the snapshot it cannot be told what interferes",
    stacks: [{ stack: "app", interference: [{}, { result: "fail" }] }],
    reasons: ["shared-data"],
    warnings: [[silent, 1]]
  },
  {
    ...degraded,
    name: "it can never be told what interferes",
    stacks: [{ stack: "app", interference: [{ result: "fail" }] }],
    reasons: ["shared-data"],
    warnings: [[silent, 1]]
  },
  {
    ...degraded,
    name: "a control breaks when it is asked what interferes",
    stacks: [{ stack: "app", interference: [{}, { result: "die" }] }],
    reasons: ["shared-data"],
    warnings: [[silent, 1]]
  },
  {
    ...degraded,
    name: "with the app up nobody answers what interferes",
    stacks: [{ stack: "app", interference: [{ result: "hang" }, {}] }],
    reasons: ["shared-data"],
    warnings: [[silent, 1]],
    at: { "stop app/app": 15_000 },
    downtime: { app: 2_000 }
  },
  {
    ...degraded,
    name: "at the snapshot nobody answers what interferes",
    stacks: [{ stack: "app", interference: [{}, { result: "hang" }] }, { stack: "web" }],
    reasons: ["shared-data"],
    warnings: [[silent, 1]],
    downtime: { app: 17_000 }
  },
  {
    name: "interrupted while nobody answers what interferes",
    stacks: [{ stack: "app", interference: [{ result: "hang" }] }],
    agent: snapshotAgent,
    interruptAt: ["5 seconds"],
    outcome: "aborted",
    untouched: ["app"]
  },
  {
    ...good,
    name: "data that the backup does not hold is told, and is no question of consistency",
    stacks: [{
      ...web,
      data: [
        place("front", "/srv/outside", { covered: false }),
        place("front", "/srv/read-only", { covered: false, writable: false }),
        place("front", "/srv/in-the-source", { covered: true }),
        place("front", "/srv/nobody-knows", { covered: undefined }),
        place("db", "/srv/of-a-unit-that-is-down", { covered: false })
      ]
    }],
    warnings: [[/^'app' keeps data outside of the backup: \/srv\/outside \(front\)$/, 1]]
  },
  {
    ...degraded,
    name: "a unit that is paused instead of stopped",
    stacks: [{ stack: "app", stop: [{ frozen: true }] }],
    reasons: ["not-shut-down"],
    warnings: [[/'app\/app' stands still/, 1]]
  },
  {
    ...degraded,
    name: "a unit that was paused, and is shut down by its user before the snapshot",
    stacks: [{ stack: "app", stop: [{ frozen: true }] }],
    meddle: [{ at: "1 second", state: "stopped", stack: "app" }],
    reasons: ["not-shut-down"]
  },
  {
    ...degraded,
    name: "a stop has seen that its unit is paused",
    stacks: [{ stack: "app", stop: [{ frozen: true, seen: true }] }],
    reasons: ["not-shut-down"]
  },
  {
    ...degraded,
    name: "one of many units is paused",
    stacks: [{ stack: "app", units: ["front", "db"], perUnit: { db: { stop: [{ frozen: true }] } } }],
    reasons: ["not-shut-down"],
    warnings: [[/'app\/db' stands still/, 1], [/front/, 0]]
  },
  {
    ...degraded,
    name: "a stack that was paused before the run",
    stacks: [{ stack: "app" }, { stack: "off", initially: "stopped", frozen: true }],
    reasons: ["not-shut-down"],
    untouched: ["off"]
  },
  {
    ...good,
    name: "a stack that was paused before the run, and is shut down by its user before the snapshot",
    stacks: [{ stack: "app" }, { stack: "off", initially: "stopped", frozen: true }],
    meddle: [{ at: "1 second", state: "stopped", stack: "off" }],
    untouched: ["off"]
  }
]
