/**
 * What is read word by word: durations, ids of tasks, the log of vzdump, its hook, the labels of containers, the command
 * line.
 */
import { Duration, Effect, Either, Option, Schema } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import * as Cli from "../../../src/cli/cli.ts"
import * as Grammar from "../../../src/cli/grammar.ts"
import { help } from "../../../src/cli/help.ts"
import * as DurationText from "../../../src/domain/DurationText.ts"
import * as Upid from "../../../src/domain/Upid.ts"
import * as VzdumpLog from "../../../src/domain/VzdumpLog.ts"
import * as Compose from "../../../src/internal/docker/compose.ts"
import * as Settings from "../../../src/internal/docker/settings.ts"
import * as Hook from "../../../src/internal/vzdump/hookProtocol.ts"
import { splitter } from "../../../src/internal/vzdump/tail.ts"
import * as assert from "../assert.ts"
import type { Prepared } from "../fuzz.ts"
import { almostBytes, almostJson, almostText, text } from "../mutate.ts"
import type { Random } from "../random.ts"

const duration: Prepared = () => ({
  make: almostText(["500ms", "30s", "5m", "1h30m", "1d", "1.5h", "0s", "1d2h3m4s5ms", "24d", "9".repeat(400) + "d"]),
  check: (text: string) => {
    const parsed = DurationText.parse(text)
    if (Option.isNone(parsed)) return
    const millis = Duration.toMillis(parsed.value)
    assert.isTrue(Number.isFinite(millis) && millis >= 0)
    if (millis > Duration.toMillis(DurationText.longest)) return
    const again = DurationText.parse(DurationText.format(parsed.value))
    assert.strictEqual(Duration.toMillis(Option.getOrThrow(again)), Math.round(millis))
  }
})

const isUpid = Schema.is(Upid.Upid)

const upid: Prepared = () => ({
  make: almostText([
    "UPID:pve1:0000C5A2:00A1B2C3:68A50CAC:vzdump:100:root@pam:",
    "UPID:pve-2:0000C5A2:1F0A1B2C3:68A50CAC:vzdump::backup@pve!quiesce:",
    `UPID:${"a-".repeat(60)}a:0000C5A2:00A1B2C3:68A50CAC:vzdump:100:root@pam:`
  ], ["UPID:", ":", "..", "/", "a-a-", "@pam:"]),
  check: (text: string) => {
    if (!isUpid(text)) return
    assert.notMatch(text, /[\s/\0]/)
    assert.isAtMost(text.length, 255)
    const { id, node, pid, pstart, startTime, type, user } = Upid.decode(text)
    for (const number of [pid, pstart, startTime]) assert.isTrue(Number.isSafeInteger(number) && number >= 0)
    const [, , pidText, pstartText, startText] = text.split(":")
    assert.strictEqual(`UPID:${node}:${pidText}:${pstartText}:${startText}:${type}:${id}:${user}:`, text)
    assert.strictEqual(Path.dirname(Path.dirname(Path.resolve(Upid.taskLogPath(text, "/t")))), "/t")
  }
})

const place = Path.join(import.meta.dirname, "../../data/vzdump")
const logs = readdirSync(place).filter((name) => name.endsWith(".log")).map((name) =>
  readFileSync(Path.join(place, name), "utf8")
)
const [firstLog = "", ...otherLogs] = logs
const vmids = [
  ...new Set(logs.flatMap((log) => [...log.matchAll(/Backup of VM (\d+)/g)].map(([, vmid]) => Number(vmid))))
]
const lines = [...new Set(logs.flatMap((log) => log.split("\n")))]

interface Told {
  readonly log: string
  readonly vmid: number
  readonly pieces: ReadonlyArray<number>
  readonly code: number | null
}

/** What a person would look for in a log before believing it, said a second time and more loosely. */
const couldBe = {
  snapshotted: (log: string) => /INFO: ?(?:creating .*archive '|sending archive to stdout)/.test(log),
  done: (log: string, vmid: number) => log.includes(`Finished Backup of VM ${vmid} (`)
}

const rank = { queued: 0, running: 1, snapshotted: 2, done: 3, failed: 3 }

/** Lines of logs in any order, some of them changed, or a log that is almost one of those. */
const vzdumpLog: Prepared = () => {
  const almost = almostText([firstLog, ...otherLogs], [
    ...lines.map((line) => `${line}\n`),
    "ERROR: ",
    "INFO: ",
    "\r\n",
    "\n"
  ])
  const line = almostText([lines[0] ?? "", ...lines])
  return {
    make: (r: Random): Told => {
      const log = r.chance(3)
        ? Array.from({ length: r.int(12) }, () => r.chance(4) ? line(r) : lines[r.int(lines.length)] ?? "").join("\n")
        : almost(r)
      return {
        log,
        vmid: vmids[r.int(vmids.length)] ?? 100,
        pieces: Array.from({ length: r.int(8) }, () => r.int(Math.max(1, log.length))),
        code: r.chance(3) ? null : r.pick([0, 0, 0, 255, 1, 137])
      }
    },
    check: ({ code, log, pieces, vmid }: Told) => {
      const whole = Buffer.from(log, "utf8")
      const split = splitter()
      const cuts = [...pieces.map((at) => Math.min(at, whole.length)).sort((a, b) => a - b), whole.length]
      const read: Array<string> = []
      let from = 0
      for (const to of cuts) {
        read.push(...split.push(whole.subarray(from, to)))
        from = to
      }
      read.push(...split.rest())
      const atOnce = splitter()
      assert.deepEqual(read, [...atOnce.push(whole), ...atOnce.rest()])
      let view = VzdumpLog.begin(vmid)
      for (const line of read) {
        const before = view
        view = VzdumpLog.step(view, line)
        // a start of the guest begins it anew, which no phase of before survives but the point
        const isStart = /Starting Backup of VM/.test(line) && before.phase !== "snapshotted"
        assert.isTrue(isStart || rank[view.phase] >= rank[before.phase], `${before.phase} -> ${view.phase}`)
      }
      const ended = VzdumpLog.end(view, code === null ? { _tag: "Vanished" } : { _tag: "Code", code })
      for (const { artifact, error, phase, progress } of [view, ended]) {
        if (phase === "snapshotted") assert.isTrue(couldBe.snapshotted(log), "a point in time that no line tells")
        if (phase === "done") assert.isTrue(couldBe.done(log, vmid), "done, and no line tells so")
        assert.strictEqual(phase === "failed", error !== undefined)
        assert.isAtMost(error?.length ?? 0, 500)
        assert.notMatch(error ?? "", /[\n\r\0]/)
        assert.isTrue(progress === undefined || Number.isFinite(progress.totalBytes) && progress.bytes >= 0)
        assert.isTrue(artifact === undefined || whole.toString("utf8").includes(artifact))
      }
      assert.include(["done", "failed"], ended.phase)
    }
  }
}

/** A task's last line. */
const vzdumpEnd: Prepared = () => ({
  make: almostText(["TASK OK", "TASK WARNINGS: 2", "TASK ERROR: job errors", "TASK ERROR: OK", "TASK OK\r\n"], [
    "TASK ",
    "OK",
    "\n"
  ]),
  check: (line: string) => {
    const exit = VzdumpLog.exitOfTaskLine(line)
    if (exit?._tag !== "Status" || !/^(?:OK|WARNINGS: \d+)$/.test(exit.exitstatus)) return
    assert.match(line, /^TASK (?:OK|WARNINGS: \d+)\r?\n?$/)
  }
})

const question = Schema.decodeUnknownOption(Hook.Question)
const answer = Schema.decodeUnknownOption(Hook.Answer)
const writeQuestion = Schema.encodeSync(Hook.Question)
const writeAnswer = Schema.encodeSync(Hook.Answer)

const hook: Prepared = () => {
  const json = almostJson([
    { version: 1, vmid: 100, waitMs: 60_000 },
    { _tag: "Quiet", guest: "web", runId: "01900000-0000-7000-8000-000000000001" },
    { _tag: "NotQuiet", guest: "web", reason: "no" },
    { _tag: "NotOurs" }
  ])
  return {
    make: (r: Random) => almostBytes(r, json(r)).toString("base64"),
    check: (base64: string) => {
      const said = Buffer.from(base64, "base64").toString("utf8")
      const asked = question(said)
      if (Option.isSome(asked)) {
        const { vmid, waitMs } = asked.value
        assert.isTrue(Number.isInteger(vmid) && vmid >= 100 && vmid <= 999_999_999)
        assert.isTrue(waitMs >= 0 && waitMs <= 24 * 3600_000)
        assert.strictEqual(
          writeQuestion(Option.getOrThrow(question(writeQuestion(asked.value)))),
          writeQuestion(asked.value)
        )
      }
      const answered = answer(said)
      if (Option.isSome(answered)) {
        assert.strictEqual(
          writeAnswer(Option.getOrThrow(answer(writeAnswer(answered.value)))),
          writeAnswer(answered.value)
        )
      }
    }
  }
}

const composeName = "com.docker.compose."

const labels: Prepared = () => {
  const json = almostJson([
    {
      [Settings.label.enable]: "true",
      [Settings.label.stop]: "exec",
      [Settings.label.stopTimeout]: "30s",
      [Settings.label.order]: "-5",
      [Settings.label.health]: "docker",
      [Settings.label.prepare]: "[\"psql\", \"-c\", \"CHECKPOINT\"]",
      [Settings.label.freeze]: "fsfreeze -f /data",
      [Settings.label.thaw]: "[\"a\"]",
      [Settings.label.execTimeout]: "5"
    },
    {
      [`${composeName}project`]: "shop",
      [`${composeName}service`]: "web",
      [`${composeName}container-number`]: "2",
      [`${composeName}depends_on`]: "db:service_healthy:false,cache:service_started:true,job",
      [`${composeName}project.config_files`]: "/srv/shop/compose.yaml,-,../x.yaml",
      [`${composeName}project.working_dir`]: "/srv/shop",
      [`${composeName}oneoff`]: "False"
    }
  ])
  return {
    make: json,
    check: (text: string) => {
      let found: unknown
      try {
        found = JSON.parse(text)
      } catch {
        return
      }
      if (typeof found !== "object" || found === null) return
      const all = Object.fromEntries(Object.entries(found).filter(([, value]) => typeof value === "string")) as Record<
        string,
        string
      >
      const read = Effect.runSync(Effect.either(Settings.read("c", all)))
      if (Either.isLeft(read)) {
        assert.include(read.left.message, "container c: label quiesce.")
      } else {
        const { execTimeout, how, order, stopTimeout } = read.right
        assert.include(["stop", "pause", "exec", "none"], how)
        assert.isTrue(Number.isInteger(order) && Math.abs(order) < 1e6)
        for (const one of [execTimeout, stopTimeout ?? Duration.zero]) {
          assert.isTrue(Duration.lessThanOrEqualTo(one, DurationText.longest))
        }
        for (const command of [read.right.freeze, read.right.thaw, read.right.prepare]) {
          assert.isTrue(command === undefined || command.length > 0)
        }
        if (how === "exec") assert.isTrue(read.right.freeze !== undefined && read.right.thaw !== undefined)
      }
      const membership = Compose.membership(all)
      if (membership !== undefined) {
        assert.isTrue(Number.isSafeInteger(membership.number) && membership.number !== 0)
        assert.include(Compose.upCommand(membership), "docker compose")
        assert.match(Compose.serviceName(membership, true), /-\d+$/)
      }
      for (const { condition, service } of Compose.dependsOn(all)) {
        assert.include(["started", "healthy", "completed"], condition)
        assert.isFalse(service.includes(","))
      }
      Settings.isEnabled(all)
    }
  }
}

const argvWords = [
  "run",
  "recover",
  "status",
  "plan",
  "watch",
  "agent",
  "token",
  "revoke",
  "config",
  "check",
  "show",
  "vzdump-hook",
  "--json",
  "--config",
  "-c",
  "--config=x",
  "x.yaml",
  "--stack",
  "app",
  "--help",
  "-h",
  "--version",
  "--log-level",
  "debug",
  "--",
  "-",
  "--guest",
  "web",
  "--log-level=constructor",
  "__proto__",
  "constructor",
  "--expires",
  "30d",
  "--wait",
  "5s",
  "--constructor"
] as const

const argv: Prepared = () => ({
  make: (r: Random) =>
    Array.from(
      { length: r.int(7) },
      () => r.chance(5) ? text(r) : r.chance(30) ? almostText(argvWords)(r) : r.pick(argvWords)
    ),
  check: (words: ReadonlyArray<string>) => {
    const checked = Grammar.check("quiesce", Cli.rule, words)
    if (Either.isLeft(checked)) {
      assert.isTrue(checked.left.problem.startsWith("quiesce"))
      return
    }
    const said = checked.right
    if (said._tag === "Help" || said._tag === "Incomplete") {
      assert.include(help("quiesce", Cli.rule, said.path, (text) => text), "quiesce")
    }
    if (said._tag !== "Command") return
    assert.isTrue(said.logLevel === undefined || typeof said.logLevel.ordinal === "number", "a log level that is none")
    const again = Grammar.check("quiesce", Cli.rule, said.argv)
    assert.isTrue(Either.isRight(again) && again.right._tag === "Command", "what it makes of it is no command line")
    if (Either.isRight(again) && again.right._tag === "Command") assert.deepEqual(again.right.argv, said.argv)
  }
})

export const words: Readonly<Record<string, Prepared>> = {
  durations: duration,
  "ids of tasks": upid,
  "logs of vzdump": vzdumpLog,
  "last lines of tasks": vzdumpEnd,
  "hook of vzdump": hook,
  "labels of containers": labels,
  "command lines": argv
}
