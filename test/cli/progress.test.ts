import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Ref, Scope, TestClock } from "effect"
import * as Progress from "../../src/cli/progress.ts"
import type { RunEvent } from "../../src/domain/Report.ts"
import { RunId } from "../../src/domain/RunId.ts"
import { StackName } from "../../src/domain/Stack.ts"

const base = { runId: RunId.make("01900000-0000-7000-8000-000000000000"), at: "2026-01-01T00:00:00.000Z" }
const phase = (phase: Extract<RunEvent, { type: "phase" }>["phase"]): RunEvent => ({ type: "phase", ...base, phase })
const stack = (state: Extract<RunEvent, { type: "stack" }>["state"]): RunEvent => ({
  type: "stack",
  ...base,
  stack: StackName.make("notes"),
  state
})

const make = Effect.fnUntraced(function*(screen: { redraws: boolean; color: boolean; columns: number }, waiting = 0) {
  const text = yield* Ref.make("")
  const backlog = yield* Ref.make(waiting)
  const scope = yield* Scope.make()
  const sink = yield* Progress.make({
    screen: { ...screen, columns: Effect.succeed(screen.columns) },
    write: (more) => Ref.update(text, (all) => all + more),
    backlog: Ref.get(backlog)
  }).pipe(Scope.extend(scope))
  return { sink, written: Ref.getAndSet(text, ""), backlog, close: Scope.close(scope, Exit.void) }
})

const plain = { redraws: false, color: false, columns: 80 }

describe("progress", () => {
  it.effect("plain lines, without a single control character", () =>
    Effect.gen(function*() {
      const { close, sink, written } = yield* make(plain)
      yield* sink.emit(phase("queued"))
      yield* TestClock.adjust("1 second")
      yield* sink.emit(stack("stopping"))
      yield* TestClock.adjust("1500 millis")
      yield* sink.emit(stack("stopped"))
      yield* sink.emit({ type: "warning", ...base, message: "a\u001b[31mb\nc" })
      yield* sink.emit(stack("running"))
      yield* close
      assert.strictEqual(
        yield* written,
        [
          "   0.0s  backup: waiting for the agent",
          "   1.0s  notes: stopping",
          "   2.5s  notes: down",
          "   2.5s  warning: a [31mb c",
          "   2.5s  notes: up again after 1.5s",
          ""
        ].join("\n")
      )
    }))

  it.effect("progress of bytes is a line of its own at most every 10 seconds", () =>
    Effect.gen(function*() {
      const { sink, written } = yield* make(plain)
      yield* TestClock.adjust("20 seconds")
      for (let second = 0; second < 20; second++) {
        yield* sink.emit({ type: "progress", ...base, bytes: second * 1024 * 1024, totalBytes: 100 * 1024 * 1024 })
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(
        yield* written,
        "  21.0s  backup: 1.0 MiB of 100.0 MiB (1 %)\n  31.0s  backup: 11.0 MiB of 100.0 MiB (11 %)\n"
      )
    }))

  it.effect("on a terminal the downtime runs on one line, cut to the width, which is gone at the end", () =>
    Effect.gen(function*() {
      const { close, sink, written } = yield* make({ redraws: true, color: false, columns: 20 })
      yield* sink.emit(stack("stopping"))
      yield* written
      yield* TestClock.adjust("1 second")
      const drawn = (yield* written).split("\r\u001b[2K")
      assert.strictEqual(drawn.at(-1), "notes down 1.0s")
      assert.isAtLeast(drawn.length, 5)
      yield* sink.emit(phase("running"))
      assert.strictEqual((yield* written).split("\r\u001b[2K").at(-1), "notes down 1.0s | b")
      yield* close
      assert.strictEqual(yield* written, "\r\u001b[2K")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* written, "")
    }))

  it.effect("color only where it is wanted", () =>
    Effect.gen(function*() {
      const { sink, written } = yield* make({ redraws: false, color: true, columns: 80 })
      yield* sink.emit(stack("failed"))
      assert.strictEqual(yield* written, "   0.0s  \u001b[31mnotes: NOT UP\u001b[0m\n")
    }))

  it.effect("a terminal that takes nothing gets no clock", () =>
    Effect.gen(function*() {
      const { backlog, sink, written } = yield* make({ redraws: true, color: false, columns: 80 })
      yield* sink.emit(stack("stopping"))
      yield* Ref.set(backlog, 1)
      yield* written
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* written, "")
      yield* Ref.set(backlog, 0)
      yield* TestClock.adjust("1 second")
      assert.include(yield* written, "notes down 11.0s")
    }))
})
