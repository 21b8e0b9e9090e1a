import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Either } from "effect"
import { RunId } from "../../src/domain/RunId.ts"
import { nextDue, timetable } from "../../src/domain/Timetable.ts"
import * as Watch from "../../src/domain/Watch.ts"

const parse = (text: string, zone = "UTC") => timetable(text, DateTime.zoneUnsafeMakeNamed(zone))
const times = (text: string, zone = "UTC") => [Either.getOrThrow(parse(text, zone))]

/** The due times after this one, in UTC. */
const due = (text: string, zone: string, from: string, count: number) => {
  const found: Array<string> = []
  for (let at = Date.parse(from); found.length < count;) {
    at = nextDue(times(text, zone), at) ?? Infinity
    found.push(new Date(at).toISOString().slice(5, 16))
  }
  return found
}

const policy = (more: Partial<Watch.WatchPolicy> = {}): Watch.WatchPolicy => ({
  ...Watch.defaults,
  schedule: times("0 3 * * *"),
  ...more
})

const now = Date.parse("2026-01-05T12:00:00Z")
const hour = 3_600_000

describe("timetables", () => {
  const wrong: ReadonlyArray<readonly [text: string, problem: RegExp]> = [
    ["30 3 * *", /^there must be five fields/],
    ["0 30 3 * * *", /^there must be five fields/],
    ["@daily", /^there must be five fields/],
    ["99 3 * * *", /^expected a value between 0 and 59: '99'$/],
    ["a b c d e", /^expected a positive integer: 'a'$/],
    ["5-1 * * * *", /^invalid value range: '5-1'$/],
    ["0 0 30 2 *", /^there is no such day$/]
  ]
  for (const [text, problem] of wrong) {
    it(`wrong: ${text}`, () => {
      assert.match(Either.getOrThrow(Either.flip(parse(text))), problem)
    })
  }

  it("names of days and months, lists, steps", () => {
    assert.deepStrictEqual(
      due("30 3 * JAN mon-fri", "UTC", "2026-01-02T12:00:00Z", 2),
      ["01-05 03:30", "01-06 03:30"].map(
        (text) => text.replace(" ", "T")
      )
    )
  })

  const nights: ReadonlyArray<readonly [string, string, string, string, ReadonlyArray<string>]> = [
    ["spring, left out", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", ["03-29T01:30", "03-30T00:30"]],
    ["spring, the first minute after", "0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", [
      "03-29T01:00",
      "03-30T01:00"
    ]],
    ["spring, New York", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", ["03-08T07:30", "03-09T06:30"]],
    ["autumn, shown twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", ["10-25T00:30", "10-26T01:30"]],
    ["autumn, New York", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", ["11-01T05:30", "11-02T06:30"]],
    ["autumn, from the second hour", "30 1 * * *", "America/New_York", "2026-11-01T06:10:00Z", ["11-02T06:30"]],
    ["autumn, the hour after the second one", "0 2 * * *", "America/New_York", "2026-11-01T06:59:59Z", ["11-01T07:00"]],
    ["autumn, hourly: the hour is shown once", "0 * * * *", "America/New_York", "2026-11-01T04:30:00Z", [
      "11-01T05:00",
      "11-01T07:00",
      "11-01T08:00"
    ]],
    ["autumn, half an hour", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:50:00Z", ["04-05T15:15"]]
  ]
  for (const [name, text, zone, from, expected] of nights) {
    it(name, () => assert.deepStrictEqual(due(text, zone, from, expected.length), expected))
  }

  it("it never answers with the past, whenever it is asked", () => {
    for (const zone of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]) {
      for (
        const begin of ["2026-03-29T00:00:00Z", "2026-04-04T14:00:00Z", "2026-10-24T23:00:00Z", "2026-11-01T04:00:00Z"]
      ) {
        let last = 0
        for (let at = Date.parse(begin); at < Date.parse(begin) + 4 * hour; at += 7 * 60_000) {
          const next = nextDue(times("30 1,2 * * *", zone), at) ?? 0
          assert.isAbove(next, at)
          assert.isAtLeast(next, last)
          last = next
        }
      }
    }
  })
})

describe("the state", () => {
  const initial = Watch.initialState(policy())

  it("begins with what comes next; nothing was missed", () => {
    const state = Watch.planned(policy(), initial, now, 0)
    assert.strictEqual(state.next?.due, Date.parse("2026-01-06T03:00:00Z"))
    assert.strictEqual(state.next?.at, state.next?.due)
    assert.strictEqual(state.settledUntil, now)
  })

  it("what is due stays due until it is settled", () => {
    const state = Watch.planned(policy(), initial, now, 0)
    const later = Watch.planned(policy(), state, now + 48 * hour, 0)
    assert.deepStrictEqual(later.next, state.next)
    const settled = Watch.planned(policy(), Watch.settled(later, now + 48 * hour), now + 48 * hour, 0)
    assert.strictEqual(settled.next?.due, Date.parse("2026-01-08T03:00:00Z"))
  })

  it("jitter is chosen once, and again when it may not be so long any more", () => {
    const wide = policy({ jitter: Duration.minutes(60) })
    const state = Watch.planned(wide, initial, now, 0.5)
    const { at = 0, due = 0 } = state.next ?? {}
    assert.strictEqual(at - due, hour / 2)
    assert.strictEqual(Watch.planned(wide, state, now, 0.9), state)
    const narrow = Watch.planned(policy({ jitter: Duration.minutes(10) }), state, now, 0.5)
    assert.strictEqual(narrow.next?.at, due + 300_000)
  })

  it("without a schedule there is no next run", () => {
    assert.isNull(Watch.planned(policy({ schedule: [] }), initial, now, 0).next)
  })

  it("other timetables: what the old ones had due is dropped", () => {
    const state = Watch.planned(policy(), initial, now, 0)
    const other = Watch.planned(policy({ schedule: times("0 4 * * *") }), state, now + 24 * hour, 0)
    assert.strictEqual(other.next?.due, Date.parse("2026-01-07T04:00:00Z"))
    const zone = Watch.planned(policy({ schedule: times("0 3 * * *", "Europe/Berlin") }), state, now, 0)
    assert.strictEqual(zone.next?.due, Date.parse("2026-01-06T02:00:00Z"))
  })

  it("a clock that is set back: by an hour nothing is due again, by more the schedule begins anew", () => {
    const state = { ...initial, settledUntil: now }
    assert.strictEqual(Watch.resume(policy(), state, now - hour).settledUntil, now)
    assert.strictEqual(Watch.resume(policy(), state, now - hour - 1).settledUntil, now - hour - 1)
  })

  it("settled is never before the run that was due", () => {
    const state = Watch.planned(policy(), initial, now, 0)
    assert.strictEqual(Watch.settled(state, now).settledUntil, state.next?.due)
  })

  it("a run is begun twice at most", () => {
    const state = Watch.planned(policy(), initial, now, 0)
    const twice = Watch.begin(Watch.begin(state) ?? state)
    assert.strictEqual(twice?.begun?.times, 2)
    assert.isUndefined(Watch.begin(twice ?? state))
  })

  it("the next run while one is under way is the one after it", () => {
    const state = Watch.planned(policy(), initial, now, 0)
    const due = state.next?.due ?? 0
    assert.strictEqual(Watch.upcoming(policy().schedule, state, due - 1), due)
    assert.strictEqual(Watch.upcoming(policy().schedule, state, due + 1), due + 24 * hour)
  })

  it("remembers 50 answers, the newest first, each once", () => {
    const id = (n: number) => RunId.make(`01936f00-0000-7000-8000-${String(n).padStart(12, "0")}`)
    const all = Array.from({ length: 60 }, (_, n) => id(n)).reduce(Watch.answered, initial)
    assert.strictEqual(all.answered.length, 50)
    assert.strictEqual(Watch.answered(all, id(30)).answered[0], id(30))
    assert.strictEqual(Watch.answered(all, id(30)).answered.length, 50)
  })
})

describe("backoff", () => {
  it("doubles up to the longest pause, with up to the half of it taken away, in whole milliseconds", () => {
    const pause = (tries: number, random: number) =>
      Watch.backoff({ minDelay: Duration.seconds(1), maxDelay: Duration.minutes(1) }, tries, random)
    assert.deepStrictEqual([0, 1, 2, 6, 2000].map((tries) => pause(tries, 0)), [1000, 2000, 4000, 60_000, 60_000])
    assert.strictEqual(pause(0, 0.333), 834)
  })
})
