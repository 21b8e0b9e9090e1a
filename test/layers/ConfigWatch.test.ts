import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import * as ConfigFile from "../../src/layers/ConfigFile.ts"

const text = (watch: string) =>
  `version: 1
stacks: { notes: { command: { stop: [a], start: [b], status: [c] } } }
agent: { local: { source: /data, transfer: { archive: { to: /backups } } } }
${watch}`

const parse = (watch: string) =>
  ConfigFile.parse(text(watch), "/etc/q.yaml", { cwd: "/", home: "/root", isRoot: true }).pipe(
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
  )

describe("watch:", () => {
  it.effect("nothing: only requests, and nothing that status or show would have to tell", () =>
    Effect.gen(function*() {
      const { watch, watched } = yield* parse("")
      assert.deepStrictEqual([watch.schedule, watch.requests, watch.missed, watched], [[], true, "run", false])
    }))

  it.effect("all of it", () =>
    Effect.gen(function*() {
      const { watch } = yield* parse(`watch:
  schedule: ["30 3 * * *", 0 12 * * sun]
  timeZone: Europe/Berlin
  jitter: 10m
  missed: skip
  requests: false
  retry: { window: 2h }
`)
      assert.deepStrictEqual(watch.schedule.map(({ expression }) => expression), ["30 3 * * *", "0 12 * * sun"])
      assert.deepStrictEqual([watch.timeZone, watch.missed, watch.requests], ["Europe/Berlin", "skip", false])
      assert.strictEqual(Duration.toMillis(watch.jitter), 600_000)
      assert.deepStrictEqual([watch.retry.window, watch.retry.minDelay].map(Duration.toMillis), [7_200_000, 10_000])
    }))

  const wrong: ReadonlyArray<readonly [watch: string, ...messages: ReadonlyArray<string>]> = [
    [
      "watch: 3",
      "4:8: watch: expected a map with schedule, timeZone, jitter, missed, requests, retry, found the number 3"
    ],
    [
      "watch: { schedule: 30 3 * * }",
      "4:20: watch.schedule: expected a cron expression such as \"30 3 * * *\"; there must be five fields: minute, hour, day of the month, month, day of the week"
    ],
    [
      "watch:\n  schedule:\n    - 30 3 * * *\n    - 30 25 * * *",
      "7:7: watch.schedule[1]: expected a cron expression such as \"30 3 * * *\"; expected a value between 0 and 23: '25'"
    ],
    [
      "watch: { schedule: 3 }",
      "4:20: watch.schedule: expected a cron expression such as \"30 3 * * *\", or a list of them, found the number 3"
    ],
    ["watch: { schedule: [] }", "4:10: watch.schedule: expected at least one cron expression, found an empty list"],
    [
      "watch: { schedule: [3] }",
      "4:21: watch.schedule[0]: expected a cron expression such as \"30 3 * * *\", found the number 3"
    ],
    [
      "watch: { timeZone: Europe/Bärlin }",
      "4:20: watch.timeZone: expected a time zone such as Europe/Berlin, UTC or +02:00, found \"Europe/Bärlin\""
    ],
    ["watch: { missed: twice }", "4:18: watch.missed: expected run or skip, found \"twice\""],
    [
      "watch: { jitter: soon }",
      "4:18: watch.jitter: expected a duration such as 500ms, 30s, 5m or 1h30m, found \"soon\""
    ],
    ["watch: { shedule: 30 3 * * * }", "4:10: watch.shedule: unknown key; did you mean 'schedule'?"],
    [
      "watch: { requests: false }",
      "4:1: watch: expected a schedule, or requests: true; without both there is nothing to do"
    ]
  ]
  for (const [watch, ...messages] of wrong) {
    it.effect(`wrong: ${watch}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(parse(watch))
        assert.deepStrictEqual(error.message.split("\n"), messages.map((message) => `/etc/q.yaml:${message}`))
      }))
  }
})
