/**
 * What servers answer, as bytes through the clients: an agent, a Docker engine, Proxmox VE.
 */
import { Effect, Either, Option, Redacted, Schema } from "effect"
import { BackupStatus, initialView, isFinal, observe } from "../../../src/domain/Backup.ts"
import { RunId } from "../../../src/domain/RunId.ts"
import { UnitId } from "../../../src/domain/Stack.ts"
import { Upid } from "../../../src/domain/Upid.ts"
import * as AgentClient from "../../../src/internal/agent/client.ts"
import * as Compose from "../../../src/internal/docker/compose.ts"
import * as Engine from "../../../src/internal/docker/engine.ts"
import type { Container } from "../../../src/internal/docker/schemas.ts"
import * as Settings from "../../../src/internal/docker/settings.ts"
import * as State from "../../../src/internal/docker/state.ts"
import { unitOf } from "../../../src/internal/docker/units.ts"
import * as Proxmox from "../../../src/internal/proxmox/client.ts"
import { follow } from "../../../src/internal/proxmox/follow.ts"
import { toAgent } from "../../../src/internal/proxmox/meaning.ts"
import * as Patience from "../../../src/internal/proxmox/patience.ts"
import { type Answer, answer, outcome, saying, server } from "../answers.ts"
import * as assert from "../assert.ts"
import type { Prepared } from "../fuzz.ts"
import { almostBytes, almostJson } from "../mutate.ts"
import type { Random } from "../random.ts"

const runId = RunId.make("01900000-0000-7000-8000-000000000001")
const secret = "web~s3cr3t-0123456789"

interface Talk {
  readonly question: number
  readonly answers: ReadonlyArray<Answer>
}

const talk = (
  questions: number,
  most: number,
  body: (r: Random, question: number) => string,
  more?: (r: Random) => Readonly<Record<string, string>>
) =>
(r: Random): Talk => {
  const question = r.int(questions)
  return {
    question,
    answers: Array.from({ length: 1 + r.int(most) }, () => {
      const text = body(r, question)
      return answer(r, r.chance(4) ? almostBytes(r, text) : text, more?.(r))
    })
  }
}

/** What a person may be shown: one line that is not endless, without the secret. */
const readable = (message: string) => {
  assert.isTrue(message !== "" && !message.includes(secret), "the secret is in a message")
  assert.isAtMost(message.length, 1_200)
}

const status = {
  runId,
  revision: 3,
  phase: "snapshotted",
  effectiveMode: "snapshot",
  progress: { bytes: 1, totalBytes: 2 }
}

const agentSamples = [
  status,
  {
    runId,
    revision: 9,
    phase: "done",
    artifact: `/backups/${secret}.tar`,
    times: { queued: "2026-01-01T00:00:00.000Z" }
  },
  { runId, revision: 1, phase: "failed", error: `no: ${secret}` },
  { ...status, runId: "01900000-0000-7000-8000-000000000002" },
  { version: "1", guest: "web", offer: { mode: "snapshot", snapshotter: "btrfs", notes: [secret] } },
  { requests: [{ runId }] },
  { _tag: "Busy", reason: `another ${secret}` },
  { _tag: "Refused", reason: "a\u001b[2Jb\nc" },
  { _tag: "NotFound" },
  { _tag: "HttpApiDecodeError", issues: [], message: "x" },
  { _tag: "TooManyRequests", retryAfterSeconds: 3 }
] as const

/** Of an answer that is whole the meaning is known. */
const meaning: ReadonlyMap<string, string> = new Map([
  [`409 ${JSON.stringify(agentSamples[6])}`, "AgentBusy"],
  [`409 ${JSON.stringify(agentSamples[7])}`, "AgentRefused"],
  [`404 ${JSON.stringify(agentSamples[8])}`, "BackupUnknown"]
])

const isStatus = Schema.is(BackupStatus)

const agent: Prepared = async () => {
  const json = almostJson(agentSamples)
  const there = server()
  const client = await Effect.runPromise(
    AgentClient.make({
      http: there.http,
      url: "http://agent",
      secret,
      fingerprint: undefined,
      statusWait: "30 seconds",
      flaw: undefined
    })
  )
  return {
    make: talk(7, 2, json),
    check: async ({ answers, question }: Talk) => {
      there.say(answers, 418)
      const questions = [
        client.request(runId),
        client.status(runId, 3),
        client.quiesced(runId),
        client.preflight,
        client.prepare(runId),
        client.cancel(runId),
        client.asked
      ] as const
      const said = await outcome<unknown, { readonly _tag: string; readonly message: string }>(
        questions[question] ?? client.preflight
      )
      const [first] = answers
      const wanted = meaning.get(`${first?.status} ${Buffer.from(first?.body ?? "", "base64").toString("utf8")}`)
      if (question === 0 && wanted !== undefined && first?.headers["content-type"] === "application/json") {
        assert.strictEqual(Either.isLeft(said) ? said.left._tag : "no error", wanted)
      }
      if (Either.isLeft(said)) {
        assert.include(
          ["AgentRefused", "AgentUnavailable", "AgentAnswerInvalid", "AgentBusy", "BackupUnknown"],
          said.left._tag
        )
        return readable(said.left.message)
      }
      if (said.right !== undefined) {
        assert.isFalse(JSON.stringify(said.right).includes(secret), "the secret is in an answer")
      }
      if (question > 2) return
      if (!isStatus(said.right)) throw new Error("it takes what is no status")
      // an answer about another run is none (F35)
      assert.strictEqual(said.right.runId, runId)
      const view = observe(initialView, said.right)
      if (!["queued", "ready", "running", "snapshotted", "done", "failed"].includes(said.right.phase)) {
        // an unknown word is never the point in time (F28)
        assert.strictEqual(view.phase, "queued")
        assert.isTrue(view.anomalies.has("unknown-phase"))
      }
      const over = observe(view, { ...said.right, phase: "running" })
      if (isFinal(view.phase)) assert.strictEqual(over.phase, view.phase)
    }
  }
}

const container = {
  Id: "4f0c".repeat(16),
  Name: "/shop-web-1",
  RestartCount: 0,
  ExecIDs: ["ab"],
  State: {
    Status: "running",
    OOMKilled: false,
    ExitCode: 0,
    Error: "",
    StartedAt: "2026-01-02T03:04:05.6Z",
    FinishedAt: "0001-01-01T00:00:00Z",
    Health: { Status: "healthy" }
  },
  Config: {
    Image: "postgres:16",
    Labels: {
      "com.docker.compose.project": "shop",
      "com.docker.compose.service": "web",
      "quiesce.stop-timeout": "30s"
    },
    Env: ["PGDATA=/d"],
    StopTimeout: 10,
    Healthcheck: { Test: ["CMD", "true"], Interval: 1e9, Timeout: 1e9, Retries: 3, StartPeriod: 0 }
  },
  HostConfig: { NetworkMode: "bridge", VolumesFrom: ["a"], RestartPolicy: { Name: "always" } },
  Mounts: [{ Type: "volume", Name: "d", Source: "/v/d", Destination: "/d", RW: true }],
  NetworkSettings: {
    Ports: { "80/tcp": [{ HostPort: "80" }] },
    Networks: { n: { Aliases: ["web"], IPAddress: "10.0.0.2" } }
  }
}

const frame = (text: string) => `\u0001\0\0\0\0\0\0${String.fromCharCode(text.length)}${text}`

const dockerSamples = [
  container,
  [{
    Id: container.Id,
    Names: ["/a"],
    Image: "i",
    Labels: container.Config.Labels,
    State: "running",
    Mounts: container.Mounts
  }],
  { Version: "28.5.2", ApiVersion: "1.51", Components: [{ Name: "Engine" }] },
  { Id: "ab" },
  { Running: false, ExitCode: 0, ProcessConfig: { entrypoint: "true", arguments: [] } },
  { message: "no such container" }
] as const

const safeUnit = (found: Container) => {
  const settings = Effect.runSync(Effect.either(Settings.read("c", found.Config.Labels)))
  assert.isTrue(State.stampOf(found).length < 4 * JSON.stringify(found).length + 10)
  for (const how of ["stop", "pause", "exec"] as const) {
    assert.include(["running", "stopped", "changing", "unknown"], State.held(found, how).state)
  }
  if (Either.isLeft(settings)) return
  const member = {
    unit: UnitId.make("c"),
    name: "c",
    container: found,
    settings: settings.right,
    compose: Compose.membership(found.Config.Labels)
  }
  const { startTimeoutMs, stopTimeoutMs } = unitOf(member, [member], {}, "engine")
  for (const limit of [startTimeoutMs, stopTimeoutMs]) {
    assert.isTrue(limit >= 0 && limit <= 2 ** 31 - 1, `a limit of ${limit}`)
  }
}

const docker: Prepared = () => {
  const json = almostJson(dockerSamples)
  const versions = ["1.51", "1.24", "1.47", "9.9", "1", "", "1.51x", "999999999999999999999.1"] as const
  return {
    make: talk(
      6,
      4,
      (r, question) => question === 3 && r.chance(2) ? frame("out") : json(r),
      (r): Readonly<Record<string, string>> => ({ "api-version": r.pick(versions) })
    ),
    check: async ({ answers, question }: Talk) => {
      const ping: Answer = { status: 200, headers: { "api-version": "1.47" }, body: "" }
      const http = saying(question === 5 ? answers : [ping, ...answers], 404)
      const engine = await Effect.runPromise(Engine.make(http, { host: "unix:///d.sock", origin: "http://docker" }))
      const questions = [
        engine.inspect("a/../b"),
        engine.list({ all: true, labels: ["a=b"] }),
        engine.isAtWork("c", ["true"]),
        engine.exec("c", ["true"], "1 minute"),
        engine.stop("c", { grace: 3, timeout: "1 minute" }),
        engine.describe
      ] as const
      const said = await outcome<unknown, { readonly _tag: string; readonly message: string }>(
        questions[question] ?? engine.describe
      )
      if (Either.isLeft(said)) {
        assert.include(
          [
            "EngineUnreachable",
            "EngineTimeout",
            "ContainerNotFound",
            "EngineConflict",
            "EngineRefused",
            "EngineAnswerInvalid"
          ],
          said.left._tag
        )
        return readable(said.left.message)
      }
      if (question === 0) safeUnit(said.right as Container)
      if (question === 1) {
        for (const one of said.right as ReadonlyArray<{ readonly Labels: Readonly<Record<string, string>> }>) {
          Compose.membership(one.Labels)
          Compose.dependsOn(one.Labels)
        }
      }
      if (question === 3) assert.isAtMost((said.right as Engine.ExecResult).output.length, 4_096)
    }
  }
}

const upid = Upid.make("UPID:pve1:0000C5A2:00A1B2C3:68A50CAC:vzdump:100:root@pam!q:")

const lines = [
  "INFO: starting new backup job: vzdump 100",
  "INFO: Starting Backup of VM 100 (qemu)",
  "INFO: backup mode: snapshot",
  "INFO: creating vzdump archive '/b/vzdump-qemu-100.vma.zst'",
  "INFO: started backup task 'a'",
  "INFO: 50% (1.0 GiB of 2.0 GiB) in 3s",
  "INFO: Finished Backup of VM 100 (00:00:05)",
  "TASK OK"
] as const

const page = (from: number, to: number) => ({
  data: lines.slice(from, to).map((t, index) => ({ n: from + index + 1, t })),
  total: to
})

const proxmoxSamples = [
  page(0, 8),
  page(0, 4),
  page(4, 8),
  { data: { status: "stopped", exitstatus: "OK" } },
  { data: { status: "running", upid } },
  { data: upid },
  { data: [{ upid, endtime: 1 }, { upid: "x" }, { upid }] },
  { data: [{ node: "pve1" }] },
  { data: { "/": { "VM.Backup": 1 }, "/vms/100": { "Sys.Audit": 1 } } },
  { data: { type: "dir", content: "backup,iso", enabled: "1", active: 1 } },
  { data: null, message: `no ${secret}\n`, errors: { vmid: "bad", storage: "\u001b[2J" } }
] as const

const proxmox: Prepared = () => {
  const json = almostJson(proxmoxSamples)
  return {
    make: talk(10, 4, json),
    check: async ({ answers, question }: Talk) => {
      const api = Proxmox.make(saying(answers, 404), {
        url: "https://h:8006/",
        node: "pve1",
        token: Redacted.make(`root@pam!q=${secret}`)
      })
      let point = false
      const job = {
        runId,
        report: ({ phase }: { readonly phase?: string | undefined }) =>
          Effect.sync(() => void (point ||= phase === "snapshotted")),
        ready: () => Effect.void,
        remember: () => Effect.void,
        cancelled: Effect.succeed(false)
      }
      const questions = [
        api.nodes,
        api.privileges("/"),
        api.storage("s"),
        api.running,
        api.tasks(100),
        api.vzdump({ vmid: 100 }),
        api.status(upid),
        api.log(upid, 0),
        api.stop(upid),
        Effect.flatMap(Patience.make, (patience) => follow(api, patience, job, { upid, vmid: 100 }))
      ] as const
      const said = await outcome<unknown, { readonly _tag: string; readonly message: string }>(
        questions[question] ?? api.nodes
      )
      const text = answers.map(({ body }) => Buffer.from(body, "base64").toString("utf8")).join("\n")
      if (Either.isLeft(said)) {
        const { left } = said
        if (left._tag === "EngineFailed") return readable(left.message)
        assert.include([
          "ProxmoxUnreachable",
          "ProxmoxTimeout",
          "ProxmoxAnswerInvalid",
          "ProxmoxUntrusted",
          "ProxmoxRefused"
        ], left._tag)
        readable(left.message)
        return readable(toAgent(left as Parameters<typeof toAgent>[0]).message)
      }
      if (said.right !== undefined && !(said.right instanceof Set)) {
        assert.isFalse(JSON.stringify(said.right).includes(secret), "the secret is in an answer")
      }
      if (question === 9) assert.include(text, "Finished Backup of VM 100 (")
      if (question === 9 && point) assert.include(text, "started backup task")
      if (question === 5) {
        assert.isTrue(said.right === "OK" || Option.isSome(Schema.decodeUnknownOption(Upid)(said.right)))
      }
    }
  }
}

export const answers: Readonly<Record<string, Prepared>> = {
  "answers of an agent": agent,
  "answers of a Docker engine": docker,
  "answers of Proxmox VE": proxmox
}
