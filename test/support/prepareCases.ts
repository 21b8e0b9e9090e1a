/**
 * What is done with the app still up to make the hold short.
 */
import { faultAt, snapshotAgent } from "./agents.ts"
import type { Case } from "./judge.ts"

const good = { agent: snapshotAgent, outcome: "ok", level: "application" } as const

export const prepareCases: ReadonlyArray<Case> = [
  {
    ...good,
    name: "the stacks are prepared, then the agent, then the stacks again",
    stacks: [{ stack: "app", prepare: [{ takes: "5 seconds" }] }, { stack: "web" }, {
      stack: "off",
      initially: "stopped"
    }],
    inOrder: ["prepare app", "agent prepare", "prepare app", "marker write"],
    times: { "prepare app": 2, "prepare web": 2, "prepare off": 0, "agent prepare": 1 },
    events: { "app preparing": 1, "web preparing": 1, "off preparing": 0 },
    at: { "stop app/app": 10_000 }
  },
  {
    ...good,
    name: "a prepare that fails is a warning, and not repeated",
    stacks: [{ stack: "app", prepare: [{ result: "fail" }] }, { stack: "web" }],
    warnings: [[/prepare/, 1]],
    times: { "prepare app": 1, "prepare web": 2, "agent prepare": 1 }
  },
  {
    ...good,
    name: "a prepare that took long is not repeated",
    stacks: [{ stack: "app", prepare: [{ takes: 5_001 }] }, { stack: "web" }],
    warnings: [[/prepare/, 0]],
    times: { "prepare app": 1, "prepare web": 2 }
  },
  {
    ...good,
    name: "a second prepare that fails is a warning",
    stacks: [{ stack: "app", prepare: [{}, { result: "fail" }] }],
    warnings: [[/prepare/, 1]],
    times: { "prepare app": 2 }
  },
  {
    ...good,
    name: "an agent that cannot prepare keeps no stack from its second prepare",
    stacks: [{ stack: "app" }],
    agent: { ...snapshotAgent, fault: faultAt("prepare", "unavailable") },
    warnings: [[/prepare/, 1]],
    times: { "prepare app": 2 }
  },
  {
    ...good,
    name: "a prepare that hangs is a warning",
    stacks: [{ stack: "app", prepare: [{ result: "hang" }] }],
    warnings: [[/prepare: not done within/, 1]],
    at: { "stop app/app": 60_000 }
  },
  {
    ...good,
    name: "a second prepare that hangs is a warning",
    stacks: [{ stack: "app", prepare: [{}, { result: "hang" }] }],
    warnings: [[/prepare: not done within/, 1]],
    at: { "stop app/app": 60_000 }
  }
]
