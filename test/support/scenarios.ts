/**
 * The scenarios that every version of the programs must survive: each is a world, and how its run must end. The oracle
 * in `world.ts` judges all of them by the same promises.
 */
import { Duration } from "effect"
import { after, faultAt, snapshotAgent } from "./agents.ts"
import { evidenceCases } from "./evidenceCases.ts"
import { graphCases } from "./graphCases.ts"
import type { Case } from "./judge.ts"
import { prepareCases } from "./prepareCases.ts"

const app = { stack: "app" } as const
const web = { stack: "web", units: ["front", "back", "db"] } as const
const slow = { stack: "app", stop: [{ takes: "1 second" }], start: [{ takes: "1 second" }] } as const

const plainCases: ReadonlyArray<Case> = [
  {
    name: "resume at snapshotted, follow to done",
    stacks: [slow],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application"
  },
  {
    name: "three units and two stacks",
    stacks: [web, slow],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application"
  },
  {
    name: "never snapshotted: resume at done",
    stacks: [slow],
    agent: after({ at: 0, phase: "running", mode: "stop" }, { at: "10 minutes", phase: "done" }),
    policy: { pollInterval: Duration.seconds(10) },
    outcome: "ok",
    level: "application"
  },
  {
    name: "done without snapshotted",
    stacks: [app],
    agent: after({ at: 0, phase: "running", mode: "snapshot" }, { at: "5 seconds", phase: "done" }),
    outcome: "ok",
    level: "application"
  },
  {
    name: "failed after snapshotted",
    stacks: [slow],
    agent: after(
      { at: 0, phase: "running", mode: "snapshot" },
      { at: "2 seconds", phase: "snapshotted" },
      { at: "9 seconds", phase: "failed", error: "target full" }
    ),
    outcome: "backup-failed",
    level: "none"
  },
  {
    name: "failed before snapshotted",
    stacks: [slow],
    agent: after({ at: 0, phase: "running" }, { at: "2 seconds", phase: "failed", error: "no snapshot" }),
    outcome: "backup-failed",
    level: "none"
  },
  {
    name: "failed while the resume is in flight",
    stacks: [{ stack: "app", start: [{ takes: "10 seconds" }] }],
    agent: after(
      { at: 0, phase: "running", mode: "snapshot" },
      { at: "2 seconds", phase: "snapshotted" },
      { at: "3 seconds", phase: "failed" }
    ),
    outcome: "backup-failed"
  },
  {
    name: "phases repeat",
    stacks: [app],
    agent: after(
      { at: 0, phase: "running", mode: "snapshot" },
      { at: "1 second", phase: "running" },
      { at: "2 seconds", phase: "snapshotted" },
      { at: "3 seconds", phase: "snapshotted" },
      { at: "9 seconds", phase: "done" }
    ),
    outcome: "ok",
    level: "application"
  },
  {
    name: "phases go backwards",
    stacks: [app],
    agent: after(
      { at: 0, phase: "running", mode: "snapshot" },
      { at: "2 seconds", phase: "snapshotted" },
      { at: "4 seconds", phase: "queued" },
      { at: "6 seconds", phase: "running" },
      { at: "9 seconds", phase: "done" }
    ),
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["phase-regression"]
  },
  {
    name: "unknown words",
    stacks: [app],
    agent: after(
      { at: 0, phase: "running", mode: "snapshot" },
      { at: "1 second", phase: "SNAPSHOTTED!" },
      { at: "4 seconds", phase: "snapshotted" },
      { at: "6 seconds", phase: "pruning" },
      { at: "9 seconds", phase: "done" }
    ),
    outcome: "ok",
    level: "application"
  },
  {
    name: "the agent queues for an hour with the app up",
    stacks: [app],
    agent: { ...snapshotAgent, request: [{ at: 0, phase: "queued" }, { at: "1 hour", phase: "ready" }] },
    policy: { pollInterval: Duration.seconds(2) },
    outcome: "ok",
    level: "application"
  },
  {
    name: "the agent never gets ready",
    stacks: [app],
    agent: { ...snapshotAgent, request: [{ at: 0, phase: "queued" }] },
    policy: { queueTimeout: Duration.minutes(10), pollInterval: Duration.seconds(10) },
    outcome: "aborted"
  },
  {
    name: "the agent runs ahead and says running",
    stacks: [app],
    agent: { ...snapshotAgent, request: [{ at: 0, phase: "running", mode: "snapshot" }] },
    outcome: "ok",
    level: "application"
  },
  {
    name: "the agent ran ahead and had the snapshot before it was told",
    stacks: [{ stack: "app", stop: [{ takes: "5 seconds" }] }],
    agent: {
      request: [{ at: 0, phase: "running", mode: "snapshot" }, { at: "2 seconds", phase: "snapshotted" }],
      phases: [{ at: "10 seconds", phase: "done" }]
    },
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["snapshot-before-quiesced"]
  },
  {
    name: "the agent had the snapshot before anything was stopped",
    stacks: [app],
    agent: { request: [{ at: 0, phase: "snapshotted" }], phases: [] },
    outcome: "backup-failed"
  },
  {
    name: "no marker can be written",
    stacks: [app],
    agent: snapshotAgent,
    markers: { fails: (op) => op === "write" },
    outcome: "refused"
  },
  {
    name: "the marker directory is bad",
    stacks: [app],
    agent: snapshotAgent,
    markers: { fails: (op) => op === "check" },
    outcome: "refused"
  },
  {
    name: "the marker takes no notes",
    stacks: [app],
    agent: snapshotAgent,
    markers: { fails: (op) => op === "note" },
    outcome: "backup-failed"
  },
  { name: "no dead-man", stacks: [app], agent: snapshotAgent, deadManFails: true, outcome: "refused" },
  {
    name: "the marker is cleared at the second try",
    stacks: [app],
    agent: snapshotAgent,
    markers: { fails: (op, n) => op === "clear" && n === 0 },
    outcome: "ok"
  },
  {
    name: "the marker is never cleared",
    stacks: [app],
    agent: snapshotAgent,
    markers: { fails: (op) => op === "clear" },
    outcome: "ok"
  },
  {
    name: "a stop fails and the stack stays up",
    stacks: [{ stack: "app", stop: [{ result: "fail" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop fails and the stack is down",
    stacks: [{ stack: "app", stop: [{ result: "fail", effective: true }] }],
    agent: snapshotAgent,
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["unclean-stop"]
  },
  {
    name: "a stop fails and lands later",
    stacks: [{ stack: "app", stop: [{ result: "fail", effective: true, lands: "8 seconds" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop fails and lands later, unseen",
    stacks: [{ stack: "app", opaque: true, stop: [{ result: "fail", effective: true, lands: "8 seconds" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop fails, and nothing of it can land: it is not watched for",
    stacks: [{ stack: "app", stop: [{ result: "fail", settled: true }] }],
    agent: snapshotAgent,
    outcome: "backup-failed",
    at: { "marker clear": 1_000 }
  },
  {
    name: "a stop fails and may land: it is watched for",
    stacks: [{ stack: "app", stop: [{ result: "fail" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed",
    at: { "marker clear": 30_000 }
  },
  {
    name: "a stop has seen its unit down",
    stacks: [{ stack: "app", stop: [{ takes: "1 second", seen: true }] }],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application",
    at: { "agent quiesced": 1_000 }
  },
  {
    name: "a stop has seen its unit up",
    stacks: [{ stack: "app", stop: [{ effective: false, seen: true }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop has seen its unit up, and it goes down later",
    stacks: [{ stack: "app", stop: [{ takes: "1 second", lands: "3 seconds", seen: true }] }],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application",
    at: { "agent quiesced": 3_000 }
  },
  {
    name: "a stop hangs and the stack is down",
    stacks: [{ stack: "app", stop: [{ result: "hang", effective: true, lands: "1 second" }] }],
    agent: snapshotAgent,
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["unclean-stop"]
  },
  {
    name: "a stop hangs for ever",
    stacks: [{ stack: "app", stop: [{ result: "hang" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop dies",
    stacks: [{ stack: "app", stop: [{ result: "die" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop succeeds and the stack is up",
    stacks: [{ stack: "app", stop: [{ effective: false }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "a stop kills at the grace period",
    stacks: [{ stack: "app", stop: [{ clean: false }] }],
    agent: snapshotAgent,
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["unclean-stop"]
  },
  {
    name: "an unclean stop on storage that cannot snapshot",
    stacks: [{ stack: "app", stop: [{ clean: false }] }],
    agent: after({ at: 0, phase: "running", mode: "stop" }, { at: "9 seconds", phase: "done" }),
    outcome: "ok-degraded",
    level: "none",
    reasons: ["unclean-stop"]
  },
  {
    name: "the second of three units cannot be stopped",
    stacks: [{ ...web, stop: [{ takes: "1 second" }] }, { stack: "app", stop: [{ result: "fail" }] }],
    agent: snapshotAgent,
    outcome: "backup-failed"
  },
  {
    name: "the agent refuses at preflight",
    stacks: [app],
    agent: { ...snapshotAgent, fault: faultAt("preflight", "refused") },
    outcome: "refused"
  },
  {
    name: "the agent is away at preflight",
    stacks: [app],
    agent: { ...snapshotAgent, fault: faultAt("preflight", "unavailable") },
    outcome: "refused"
  },
  {
    name: "the agent is busy",
    stacks: [app],
    agent: { ...snapshotAgent, fault: faultAt("request", "busy") },
    outcome: "busy"
  },
  {
    name: "the agent hangs at the request",
    stacks: [app],
    agent: { ...snapshotAgent, fault: faultAt("request", "hang") },
    outcome: "backup-failed"
  },
  {
    name: "the agent cannot be told",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("quiesced", "unavailable") },
    outcome: "backup-failed"
  },
  {
    name: "the agent hangs when told",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("quiesced", "hang") },
    outcome: "backup-failed"
  },
  {
    name: "the agent is told at the third try",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("quiesced", "unavailable", (n) => n < 2) },
    outcome: "ok",
    level: "application"
  },
  {
    name: "the agent forgets the run",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "unknown", (n) => n > 2) },
    outcome: "backup-failed"
  },
  {
    name: "the agent refuses the credential in the middle",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "refused", (n) => n > 2) },
    outcome: "backup-failed"
  },
  {
    name: "the agent hangs while polled",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "hang", (n) => n > 0) },
    outcome: "aborted"
  },
  {
    name: "the agent goes away for ever while polled",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "unavailable", (n) => n > 0) },
    outcome: "aborted"
  },
  {
    name: "the agent goes away for a while",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "unavailable", (n) => n > 1 && n < 5) },
    outcome: "ok"
  },
  {
    name: "the agent answers garbage, then well",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "invalid", (n) => n % 2 === 1) },
    outcome: "ok"
  },
  {
    name: "the agent answers for another run",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "stranger", (n) => n > 0) },
    outcome: "aborted"
  },
  {
    name: "the agent client is broken",
    stacks: [slow],
    agent: { ...snapshotAgent, fault: faultAt("status", "die", (n) => n > 1) },
    outcome: "backup-failed"
  },
  {
    name: "the agent goes away after the snapshot",
    stacks: [slow],
    agent: {
      ...after({ at: 0, phase: "running", mode: "snapshot" }, { at: "2 seconds", phase: "snapshotted" }, {
        at: "3 hours",
        phase: "done"
      }),
      fault: faultAt("status", "unavailable", (n) => n > 12)
    },
    outcome: "backup-failed"
  },
  {
    name: "the snapshot comes after the limit",
    stacks: [slow],
    agent: after({ at: 0, phase: "running", mode: "snapshot" }, { at: "5 minutes", phase: "snapshotted" }, {
      at: "6 minutes",
      phase: "done"
    }),
    outcome: "aborted"
  },
  {
    name: "the snapshot comes at the very limit",
    stacks: [app],
    agent: after({ at: 0, phase: "running", mode: "snapshot" }, { at: "10 seconds", phase: "snapshotted" }, {
      at: "1 minute",
      phase: "done"
    }),
    policy: { maxDowntime: "10 seconds" },
    outcome: "aborted"
  },
  {
    name: "the snapshot comes at the very limit, to an agent that waits",
    stacks: [app],
    agent: {
      ...after({ at: 0, phase: "running", mode: "snapshot" }, { at: "10 seconds", phase: "snapshotted" }, {
        at: "1 minute",
        phase: "done"
      }),
      waits: "30 seconds"
    },
    policy: { maxDowntime: "10 seconds" },
    outcome: "aborted"
  },
  {
    name: "the snapshot comes at the very limit, and the answer before the limit is seen",
    stacks: [app],
    agent: {
      ...after({ at: 0, phase: "running", mode: "snapshot" }, { at: "10 seconds", phase: "snapshotted" }, {
        at: "1 minute",
        phase: "done"
      }),
      waits: "30 seconds"
    },
    policy: { maxDowntime: "10 seconds" },
    reversed: true,
    outcome: "aborted"
  },
  {
    name: "an agent that waits",
    stacks: [slow],
    agent: { ...snapshotAgent, waits: "30 seconds" },
    outcome: "ok",
    level: "application"
  },
  {
    name: "interrupted while stopping",
    stacks: [slow],
    agent: snapshotAgent,
    interruptAt: ["500 millis"],
    outcome: "aborted"
  },
  {
    name: "interrupted while stopping, unseen",
    stacks: [{ ...slow, opaque: true }],
    agent: snapshotAgent,
    interruptAt: ["500 millis", "600 millis"],
    outcome: "aborted"
  },
  {
    name: "interrupted in the hold",
    stacks: [slow],
    agent: snapshotAgent,
    interruptAt: ["2 seconds"],
    outcome: "aborted"
  },
  {
    name: "interrupted while starting",
    stacks: [slow],
    agent: snapshotAgent,
    interruptAt: ["3500 millis", "3600 millis", "3700 millis"],
    outcome: "aborted"
  },
  {
    name: "interrupted while the backup goes on",
    stacks: [slow],
    agent: snapshotAgent,
    interruptAt: ["10 seconds"],
    outcome: "aborted"
  },
  {
    name: "interrupted with a stack that will not start",
    stacks: [{ stack: "app", start: [{ result: "fail" }] }],
    agent: snapshotAgent,
    interruptAt: ["1 second"],
    outcome: "resume-failed"
  },
  {
    name: "the snapshot comes just before the limit",
    stacks: [app],
    agent: after({ at: 0, phase: "running", mode: "snapshot" }, { at: "9 seconds", phase: "snapshotted" }, {
      at: "1 minute",
      phase: "done"
    }),
    policy: { maxDowntime: "10 seconds" },
    outcome: "ok"
  },
  {
    name: "the stop takes longer than the limit",
    stacks: [{ stack: "app", stop: [{ takes: "20 seconds" }] }],
    agent: snapshotAgent,
    policy: { maxDowntime: "5 seconds" },
    outcome: "aborted"
  },
  {
    name: "the limit without snapshot is another one",
    stacks: [app],
    agent: after({ at: 0, phase: "running", mode: "stop" }, { at: "30 minutes", phase: "done" }),
    policy: { maxDowntime: "10 seconds", maxDowntimeWithoutSnapshot: "10 minutes", pollInterval: Duration.seconds(10) },
    outcome: "aborted"
  },
  {
    name: "the backup never ends",
    stacks: [app],
    agent: after({ at: 0, phase: "running", mode: "snapshot" }, { at: "2 seconds", phase: "snapshotted" }),
    policy: { deadline: Duration.hours(1), pollInterval: Duration.seconds(2) },
    outcome: "aborted"
  },
  {
    name: "a start fails twice, then works",
    stacks: [{ stack: "app", start: [{ result: "fail" }, { result: "fail" }, {}] }],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application"
  },
  {
    name: "a start hangs once, then works",
    stacks: [{ stack: "app", startTimeoutMs: 5_000, start: [{ result: "hang" }, {}] }],
    agent: snapshotAgent,
    outcome: "ok"
  },
  {
    name: "a start says yes and does nothing, then works",
    stacks: [{ stack: "app", startTimeoutMs: 2_000, start: [{ effective: false }, {}] }],
    agent: snapshotAgent,
    outcome: "ok"
  },
  {
    name: "a start has led to nothing and is over: it is tried again at once",
    stacks: [{ stack: "app", start: [{ effective: false, ended: true }, {}] }],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application",
    at: { "up app/app": 2_500 }
  },
  {
    name: "one unit never starts, the others do",
    stacks: [{ stack: "bad", start: [{ result: "fail" }] }, web],
    agent: snapshotAgent,
    outcome: "resume-failed"
  },
  {
    name: "nothing starts and the backup fails too",
    stacks: [{ stack: "bad", start: [{ result: "fail" }] }],
    agent: after({ at: 0, phase: "running" }, { at: "2 seconds", phase: "failed", error: "no space" }),
    outcome: "resume-failed"
  },
  {
    name: "a stack that was down",
    stacks: [app, { stack: "off", initially: "stopped" }],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application"
  },
  {
    name: "everything was down",
    stacks: [{ stack: "off", initially: "stopped" }],
    agent: snapshotAgent,
    outcome: "ok",
    level: "application"
  },
  {
    name: "a state that cannot be told",
    stacks: [{ stack: "odd", initially: "unknown" }],
    agent: snapshotAgent,
    outcome: "refused"
  },
  {
    name: "somebody starts the stack in the hold",
    stacks: [app],
    agent: snapshotAgent,
    meddle: [{ at: "1 second", state: "running", stack: "app" }],
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["not-down-at-snapshot"]
  },
  {
    name: "somebody starts and stops the stack in the hold",
    stacks: [app],
    agent: snapshotAgent,
    meddle: [{ at: "800 millis", state: "running", stack: "app" }, {
      at: "1200 millis",
      state: "stopped",
      stack: "app"
    }],
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["restarted-in-window"]
  },
  {
    name: "somebody starts a stack that was down",
    stacks: [app, { stack: "off", initially: "stopped" }],
    agent: snapshotAgent,
    meddle: [{ at: "1 second", state: "running", stack: "off" }],
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["not-down-at-snapshot"]
  },
  {
    name: "a stack that the run does not hold is up",
    stacks: [app, { stack: "web" }],
    agent: snapshotAgent,
    policy: { bystanders: ["web"] },
    outcome: "ok-degraded",
    level: "crash",
    reasons: ["other-stack-up"]
  },
  {
    name: "a stack that the run does not hold is down",
    stacks: [app, { stack: "web", initially: "stopped" }],
    agent: snapshotAgent,
    policy: { bystanders: ["web"] },
    outcome: "ok",
    level: "application"
  },
  {
    name: "stopped by its user while the agent queues",
    stacks: [app],
    agent: { ...snapshotAgent, request: [{ at: 0, phase: "queued" }, { at: "20 seconds", phase: "ready" }] },
    meddle: [{ at: "10 seconds", state: "stopped", stack: "app" }],
    outcome: "ok",
    level: "application",
    untouched: ["app"]
  },
  {
    name: "the deadline is over before the agent is ready",
    stacks: [app],
    agent: { ...snapshotAgent, request: [{ at: 0, phase: "queued" }, { at: "1 hour", phase: "ready" }] },
    policy: { deadline: Duration.minutes(10), pollInterval: Duration.seconds(10) },
    outcome: "aborted",
    untouched: ["app"]
  },
  {
    name: "one stack hangs in its stop, the other is up in time",
    stacks: [{ stack: "hangs", stop: [{ takes: "25 seconds" }] }, { stack: "app" }],
    agent: snapshotAgent,
    policy: { maxDowntime: "5 seconds" },
    outcome: "aborted",
    upBy: { app: 6_000 }
  },
  { name: "another run holds the lock", stacks: [app], agent: snapshotAgent, locked: true, outcome: "busy" }
]

export const cases: ReadonlyArray<Case> = [...plainCases, ...graphCases, ...evidenceCases, ...prepareCases]
