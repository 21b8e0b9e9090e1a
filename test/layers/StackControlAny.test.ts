import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { StackName, type Unit, UnitId } from "../../src/domain/Stack.ts"
import * as StackControlAny from "../../src/layers/StackControlAny.ts"
import type { StackControl } from "../../src/services/StackControl.ts"

const [shop, blog, gone] = [StackName.make("shop"), StackName.make("blog"), StackName.make("gone")]

const unitOf = (kind: string): Unit => ({
  id: UnitId.make("web"),
  stopTimeoutMs: 1,
  startTimeoutMs: 1,
  identity: { kind }
})

/** A control that writes down what it is asked. */
const recording = (name: string, log: Ref.Ref<ReadonlyArray<string>>): StackControl["Type"] => {
  const note = (what: string, stack: StackName) => Ref.update(log, (all) => [...all, `${name}: ${what} ${stack}`])
  return {
    stacks: Effect.succeed([]),
    inspect: (stack) =>
      Effect.as(note("inspect", stack), { units: { stack, control: name, units: [] }, observations: [] }),
    observe: (stack, unit) => Effect.as(note("observe", stack), { unit, state: "running" as const }),
    prepare: (stack) => note("prepare", stack),
    stop: (stack) => Effect.as(note("stop", stack), { clean: true }),
    start: (stack) => note("start", stack),
    interference: (stack) => Effect.as(note("interference", stack), [])
  }
}

const setUp = Effect.gen(function*() {
  const log = yield* Ref.make<ReadonlyArray<string>>([])
  const made = yield* Ref.make<ReadonlyArray<string>>([])
  const choice = (name: string, stack: StackName): StackControlAny.Choice => ({
    stacks: [stack],
    reads: ({ identity }) => identity["kind"] === name,
    control: Effect.as(Ref.update(made, (all) => [...all, name]), recording(name, log))
  })
  const control = StackControlAny.make([choice("docker", shop), choice("command", blog)])
  const asked = Ref.getAndSet(log, [])
  return { control, asked, made: Ref.get(made) }
})

describe("several controls as one", () => {
  it.effect("name all stacks, and make no control for that", () =>
    Effect.gen(function*() {
      const { control, made } = yield* setUp
      assert.deepStrictEqual(yield* control.stacks, [shop, blog])
      assert.deepStrictEqual(yield* made, [])
    }))

  it.effect("give a stack to the control that has it", () =>
    Effect.gen(function*() {
      const { asked, control, made } = yield* setUp
      assert.strictEqual((yield* control.inspect(blog)).units.control, "command")
      yield* control.prepare(blog)
      yield* control.interference(blog, [])
      assert.deepStrictEqual(yield* asked, [
        "command: inspect blog",
        "command: prepare blog",
        "command: interference blog"
      ])
      assert.notInclude(yield* made, "docker")
    }))

  it.effect("give a unit to the control that can read it, whatever the configuration says now", () =>
    Effect.gen(function*() {
      const { asked, control } = yield* setUp
      for (const stack of [blog, gone]) {
        yield* control.observe(stack, unitOf("docker"))
        yield* control.stop(stack, unitOf("docker"))
        yield* control.start(stack, unitOf("docker"))
      }
      yield* control.start(shop, unitOf("command"))
      assert.deepStrictEqual(yield* asked, [
        ...["observe", "stop", "start"].map((what) => `docker: ${what} blog`),
        ...["observe", "stop", "start"].map((what) => `docker: ${what} gone`),
        "command: start shop"
      ])
    }))

  it.effect("give a unit that nobody can read to the control of its stack", () =>
    Effect.gen(function*() {
      const { asked, control } = yield* setUp
      yield* control.start(blog, unitOf("older"))
      assert.deepStrictEqual(yield* asked, ["command: start blog"])
    }))

  it.effect("know nothing of other stacks", () =>
    Effect.gen(function*() {
      const { asked, control } = yield* setUp
      const notFound = "there is no stack 'gone'; known: shop, blog"
      const errors = [
        yield* Effect.flip(control.inspect(gone)),
        yield* Effect.flip(control.prepare(gone)),
        yield* Effect.flip(control.interference(gone, []))
      ]
      assert.deepStrictEqual(errors.map(({ _tag, message }) => [_tag, message]), [
        ["StackNotFound", notFound],
        ["StackNotFound", notFound],
        ["StackControlError", `could not inspect stack 'gone': ${notFound}`]
      ])
      const strange = unitOf("strange")
      const reasons = [
        yield* Effect.flip(control.observe(gone, strange)),
        yield* Effect.flip(control.stop(gone, strange)),
        yield* Effect.flip(control.start(gone, strange))
      ]
      assert.deepStrictEqual(
        reasons.map(({ message }) => message),
        ["inspect", "stop", "start"].map((operation) =>
          `could not ${operation} stack 'gone' (unit 'web'): it is not configured, and its marker does not say how it is ` +
          "controlled; configure it again"
        )
      )
      assert.deepStrictEqual(yield* asked, [])
    }))
})
