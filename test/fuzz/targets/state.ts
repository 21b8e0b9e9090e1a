/**
 * The files of the state directories: markers, journals of jobs, what the daemon remembers, tokens, the live run.
 */
import { DateTime, Effect, Either, Option, Redacted, Schema } from "effect"
import * as Crypto from "node:crypto"
import { LiveRun } from "../../../src/domain/LiveRun.ts"
import { Marker, MarkerNote, verdict } from "../../../src/domain/Marker.ts"
import * as Watch from "../../../src/domain/Watch.ts"
import * as Tokens from "../../../src/internal/agent/tokens.ts"
import * as Codec from "../../../src/layers/MarkerStoreFileCodec.ts"
import * as Read from "../../../src/layers/MarkerStoreFileRead.ts"
import { JobRecord } from "../../../src/services/JobStore.ts"
import { draft } from "../../layers/fixtures/markers.ts"
import * as assert from "../assert.ts"
import type { Prepared } from "../fuzz.ts"
import { almostJson, almostText, text } from "../mutate.ts"
import type { Random } from "../random.ts"

const hash = (text: string) => Crypto.createHash("sha256").update(text).digest("hex")

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** With the checksum that belongs to it: what is not changed by a crash, but written so. */
const sealed = (text: string): string => {
  const value = parsed(text)
  if (!isObject(value)) return text
  const { sha256: _, ...content } = value
  try {
    return JSON.stringify({ ...content, sha256: hash(JSON.stringify(content)) })
  } catch {
    return text
  }
}

/** Said a second time, in other words than those of the code: this copy may be believed. */
const isGenuine = (text: string): boolean => {
  const value = parsed(text)
  if (!isObject(value)) return false
  const { sha256, ...content } = value
  const isLater = typeof content["version"] === "number" && Number.isInteger(content["version"]) &&
    content["version"] > 1
  try {
    return isLater || (content["version"] === 1 && sha256 === hash(JSON.stringify(content)))
  } catch {
    // nested too deep
    return false
  }
}

const runId = draft(1).runId

const markers = [
  { version: 1, bootId: "b", machineId: "m", ...draft(1) },
  {
    version: 1,
    bootId: "8a5f1d7e-1c1e-4d6f-9a77-2a3e7f2f0f11",
    machineId: "",
    ...draft(1),
    stacks: [
      {
        stack: "a",
        control: "docker",
        units: [
          { id: "db", stopTimeoutMs: 1, startTimeoutMs: 0.5, identity: { id: "abc", compose: { project: "p" } } },
          { id: "web", stopTimeoutMs: 1, startTimeoutMs: 2, after: [{ unit: "db", until: "up" }], identity: {} }
        ]
      },
      { stack: "b", control: "command", units: [] }
    ]
  },
  { version: 1, bootId: "b", machineId: "m", ...draft(2) },
  { version: 2, later: [1], ...draft(1) },
  { version: 7, runId, stacks: [{ stack: "a", control: "x", more: 1, units: [{ id: "u", stopTimeoutMs: "1s" }] }] }
] as const

const note = (unit: string, state: string) => JSON.stringify({ stack: "app", unit, state })
const noteLines = almostText([
  `\n${note("app", "stopping")}\n\n${note("app", "stopped")}\n\n${note("app", "running")}\n`,
  `\n${note("app", "stopping")}\n{"stack":"app","un\n${note("app", "stopped")}\n`
], [note("app", "running"), note("app", "stopped"), "\n"])

const isMarker = Schema.is(Marker)
const isNote = Schema.is(MarkerNote)

interface MarkerFiles {
  readonly main: string | null
  readonly copy: string | null
  readonly notes: string | null
}

const marker: Prepared = () => {
  const json = almostJson(markers)
  const one = (r: Random) => {
    const text = json(r)
    return r.chance(3) ? text : sealed(text)
  }
  const whole = sealed(JSON.stringify(markers[0]))
  const found = (text: string | null): Read.Found => text === null ? undefined : Either.right(text)
  return {
    make: (r: Random): MarkerFiles => {
      const main = r.chance(10) ? null : one(r)
      const copy = r.chance(10) ? null : r.chance(3) ? main : r.chance(3) ? whole : one(r)
      return { main, copy, notes: r.chance(10) ? null : noteLines(r) }
    },
    check: ({ copy, main, notes }: MarkerFiles) => {
      const stored = Read.together("/state/markers", runId, {
        main: found(main),
        copy: found(copy),
        notes: found(notes)
      })
      if (stored === undefined) {
        assert.isTrue(main === null && copy === null)
        return
      }
      assert.strictEqual(stored.name, runId)
      if (stored._tag === "Damaged") {
        assert.include(stored.reason, `/state/markers/${runId}.json: `)
        assert.isAtMost(stored.reason.length, 1_500)
        return
      }
      assert.isTrue(
        [main, copy].some((text) => text !== null && isGenuine(text)),
        "it believes a copy that is not genuine"
      )
      assert.strictEqual(stored.marker.runId, runId)
      const again = { version: 1 as const, bootId: "", machineId: "", ...stored.marker }
      assert.isTrue(isMarker(again))
      const written = Effect.runSync(Codec.encode(again))
      const decoded = Codec.decode(written)
      assert.isTrue(Either.isRight(decoded), "it cannot be written again")
      if (Either.isRight(decoded)) {
        assert.strictEqual(Effect.runSync(Codec.encode({ ...again, ...decoded.right.marker })), written)
      }
      for (const one of stored.notes) assert.isTrue(isNote(one))
      for (const { units } of stored.marker.stacks) {
        for (const { startTimeoutMs, stopTimeoutMs } of units) {
          assert.isTrue(Number.isFinite(startTimeoutMs) && Number.isFinite(stopTimeoutMs), "a limit that is none")
          assert.isAtMost(Math.max(startTimeoutMs, stopTimeoutMs), 2 ** 31 - 1)
        }
      }
      for (const one of stored.notes) assert.include(["start", "leave", "wait", "watch"], verdict(one.state, "unknown"))
    }
  }
}

/** A text is a value of the schema or nothing, and the value is the same after it was written again. */
const ofSchema = <A, I>(
  schema: Schema.Schema<A, I>,
  samples: readonly [unknown, ...ReadonlyArray<unknown>],
  more?: (value: A) => void
): Prepared =>
() => {
  const json = Schema.parseJson(schema)
  const decode = Schema.decodeUnknownEither(json)
  const encode = Schema.encodeSync(json)
  return {
    make: almostJson(samples),
    check: (text: string) => {
      const decoded = decode(text)
      if (Either.isLeft(decoded)) {
        assert.strictEqual(decoded.left._tag, "ParseError")
        return
      }
      const written = encode(decoded.right)
      const again = decode(written)
      assert.isTrue(Either.isRight(again), "it cannot be written again")
      if (Either.isRight(again)) assert.strictEqual(encode(again.right), written)
      more?.(decoded.right)
    }
  }
}

const status = {
  runId,
  revision: 3,
  phase: "snapshotted",
  effectiveMode: "snapshot",
  progress: { bytes: 10, totalBytes: 100 },
  artifact: "/backups/a.tar.zst",
  error: "no",
  times: { queued: "2026-01-01T00:00:00.000Z" }
}

const job = ofSchema(JobRecord, [
  { version: 1, guest: "web", runId, status },
  { version: 1, guest: "db", runId, status: { runId, revision: 0, phase: "queued" }, handle: "UPID:pve1:..." }
])

const run = { runId, at: "2026-01-01T00:00:00.000Z", outcome: "ok" }

const watch = ofSchema(Watch.WatchState, [
  {
    schemaVersion: 1,
    timetables: "0 3 * * * \"UTC\"",
    settledUntil: "2026-01-01T00:00:00.000Z",
    next: { due: "2026-01-02T00:00:00.000Z", at: "2026-01-02T00:01:00.000Z" },
    begun: { due: "2026-01-02T00:00:00.000Z", times: 1 },
    lastRun: run,
    lastSuccess: run,
    answered: [runId]
  },
  {
    schemaVersion: 1,
    timetables: "",
    settledUntil: null,
    next: null,
    begun: null,
    lastRun: null,
    lastSuccess: null,
    answered: []
  }
], (state) => {
  const now = Date.UTC(2026, 0, 2)
  const planned = Watch.planned(Watch.defaults, state, now, 0.5)
  assert.isAtMost(planned.settledUntil ?? 0, now + 3_600_000)
  const begun = Watch.begin(planned)
  assert.isTrue(begun === undefined || (begun.begun?.times ?? 0) <= 2, "a run is begun more often than it may be")
})

const secret = "web~0123456789"

const kept = { sha256: hash(secret), created: "2026-01-01T00:00:00.000Z" }

const tokens: Prepared = () => {
  const decode = Schema.decodeEither(Tokens.TokenFile)
  const encode = Schema.encodeSync(Tokens.TokenFile)
  const now = DateTime.unsafeMake("2026-01-05T00:00:00Z")
  return {
    make: almostJson([
      { version: 1, guest: "web", tokens: [kept] },
      {
        version: 1,
        guest: "web",
        tokens: [{ ...kept, sha256: hash("other") }, { ...kept, expires: "2026-02-01T00:00:00.000Z" }]
      }
    ]),
    check: (text: string) => {
      const decoded = decode(text)
      if (Either.isLeft(decoded)) return
      const again = decode(encode(decoded.right))
      assert.isTrue(Either.isRight(again) && again.right.guest === decoded.right.guest)
      const good = Tokens.goodAt(now, decoded.right.tokens)
      const isIn = good.slice(-Tokens.live).some(({ sha256 }) => sha256 === kept.sha256)
      assert.strictEqual(Tokens.isAmong(Redacted.make(secret), good), isIn)
      assert.isFalse(Tokens.isAmong(Redacted.make(`${secret} `), good), "another secret is good")
    }
  }
}

/** What a request says is a token. */
const token: Prepared = () => ({
  make: (r: Random) => r.chance(4) ? text(r) : almostText([secret, "web~", "~x", "a..b~x", "web~a~b"])(r),
  check: (said: string) => {
    const guest = Tokens.claimed(Redacted.make(said))
    if (Option.isSome(guest)) {
      assert.match(guest.value, /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
      assert.isTrue(said.startsWith(`${guest.value}~`) && !guest.value.includes(".."))
    }
    assert.strictEqual(
      Tokens.isAmong(Redacted.make(said), [{ sha256: kept.sha256, created: DateTime.unsafeMake(0) }]),
      said === secret
    )
  }
})

const live = ofSchema(LiveRun, [
  {
    runId,
    at: "2026-01-01T00:00:00.000Z",
    phase: "running",
    stacks: [{ stack: "app", state: "stopped", downSince: null }],
    progress: { bytes: 1, totalBytes: 2 }
  }
])

export const state: Readonly<Record<string, Prepared>> = {
  marker,
  "journal of a job": job,
  "state of the daemon": watch,
  "store of tokens": tokens,
  "token of a request": token,
  "live run": live
}
