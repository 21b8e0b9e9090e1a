/**
 * What every StackControl must keep, as tests without a test framework: for whoever writes a control of his own.
 */
import { Effect, Either, Schedule, Schema } from "effect"
import { findCycle, startOrder } from "../domain/Order.ts"
import { type StackInspection, StackName, Unit, type UnitState } from "../domain/Stack.ts"
import { StackControl, type StackControlError, type StackNotFound } from "../services/StackControl.ts"

/** The control does not keep its contract. */
export class ContractBroken extends Schema.TaggedError<ContractBroken>()("ContractBroken", {
  rule: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `${this.rule}: ${this.found}`
  }
}

/** A real stack that the control under test knows. It is up, and nobody else uses it. */
export interface ContractSubject {
  readonly stack: StackName
  /** Stops the whole stack without the control, as its user would. */
  readonly stopByHand: Effect.Effect<void>
}

/** One rule. A broken one fails; the stack is left up unless the control cannot bring it up. */
export interface ContractRule {
  readonly name: string
  readonly test: (
    subject: ContractSubject
  ) => Effect.Effect<void, ContractBroken | StackControlError | StackNotFound, StackControl>
}

type Test = ContractRule["test"]

const holds = (rule: string, kept: boolean, found: () => string) =>
  kept ? Effect.void : new ContractBroken({ rule, found: found() })

const pace = <A>() => Schedule.identity<A>().pipe(Schedule.addDelay(() => "50 millis"))

const until = Effect.fnUntraced(function*(stack: StackName, unit: Unit, wanted: UnitState) {
  const control = yield* StackControl
  const limit = wanted === "running" ? unit.startTimeoutMs : unit.stopTimeoutMs
  return yield* control.observe(stack, unit).pipe(
    Effect.repeat({ until: ({ state }) => state === wanted, schedule: pace() }),
    Effect.timeoutFail({
      duration: limit,
      onTimeout: () => new ContractBroken({ rule: `'${unit.id}' becomes ${wanted}`, found: `not within ${limit} ms` })
    })
  )
})

const unitsOf = Effect.fnUntraced(function*({ stack }: ContractSubject) {
  const { units } = yield* Effect.flatMap(StackControl, (control) => control.inspect(stack))
  return units.units
})

const stopAll = Effect.fnUntraced(function*(stack: StackName, units: ReadonlyArray<Unit>) {
  const control = yield* StackControl
  return yield* Effect.forEach(
    startOrder(units).toReversed(),
    (unit) => Effect.zipLeft(control.stop(stack, unit), until(stack, unit, "stopped"))
  )
})

const startAll = Effect.fnUntraced(function*(stack: StackName, units: ReadonlyArray<Unit>) {
  const control = yield* StackControl
  yield* Effect.forEach(
    startOrder(units),
    (unit) => Effect.zipRight(control.start(stack, unit), until(stack, unit, "running")),
    { discard: true }
  )
})

/** As a marker gives a unit back: nothing but its JSON is left. */
const fromMarker = (unit: Unit) =>
  Schema.encode(Schema.parseJson(Unit))(unit).pipe(Effect.flatMap(Schema.decode(Schema.parseJson(Unit))), Effect.orDie)

/** With the stack down by the control; up again at the end. */
const whileDown = (
  test: (
    stack: StackName,
    units: ReadonlyArray<Unit>
  ) => Effect.Effect<void, ContractBroken | StackControlError | StackNotFound, StackControl>
): Test =>
  Effect.fnUntraced(function*(subject) {
    const units = yield* unitsOf(subject)
    const tested = yield* Effect.either(Effect.zipRight(stopAll(subject.stack, units), test(subject.stack, units)))
    yield* startAll(subject.stack, units)
    if (Either.isLeft(tested)) return yield* tested.left
  })

const describe = ({ observations }: StackInspection) =>
  observations.map(({ state, unit }) => `${unit.id} ${state}`).join(", ")

/** The rules, in an order in which a first failure says most. */
export const stackControlContract: ReadonlyArray<ContractRule> = [
  {
    name: "it names its stacks",
    test: Effect.fnUntraced(function*({ stack }) {
      const names = yield* Effect.flatMap(StackControl, ({ stacks }) => stacks)
      yield* holds("the stack is among them", names.includes(stack), () => names.join(", "))
    })
  },
  {
    name: "an unknown stack is not found",
    test: Effect.fnUntraced(function*() {
      const control = yield* StackControl
      const found = yield* Effect.either(control.inspect(StackName.make("no-such-stack-of-anybody")))
      const kept = Either.isLeft(found) && found.left._tag === "StackNotFound"
      yield* holds("inspect fails with StackNotFound", kept, () => JSON.stringify(found))
    })
  },
  {
    name: "a stack that is up has running units, each once, in an order",
    test: Effect.fnUntraced(function*({ stack }) {
      const control = yield* StackControl
      const seen = yield* control.inspect(stack)
      const ids = seen.units.units.map(({ id }) => id)
      const observed = seen.observations.map(({ unit }) => unit.id)
      yield* holds("there are units", ids.length > 0, () => "none")
      yield* holds("their ids differ", new Set(ids).size === ids.length, () => ids.join(", "))
      yield* holds("each is observed", ids.join() === observed.join(), () => observed.join(", "))
      yield* holds("all run", seen.observations.every(({ state }) => state === "running"), () => describe(seen))
      yield* holds("none waits for itself", findCycle(seen.units.units) === undefined, () => ids.join(", "))
    })
  },
  {
    name: "looking changes nothing",
    test: Effect.fnUntraced(function*({ stack }) {
      const control = yield* StackControl
      const before = yield* control.inspect(stack)
      const seen = yield* Effect.forEach(before.units.units, (unit) => control.observe(stack, unit))
      const after = yield* control.inspect(stack)
      const stamps = ({ observations }: StackInspection) => observations.map(({ stamp }) => stamp ?? "").join()
      yield* holds("the states stay", describe(before) === describe(after), () => describe(after))
      yield* holds("the stamps stay", stamps(before) === stamps(after), () => stamps(after))
      yield* holds(
        "observe agrees",
        seen.every(({ state }) => state === "running"),
        () => seen.map(({ detail, state }) => `${state} (${detail})`).join(", ")
      )
    })
  },
  {
    name: "prepare leaves the stack up",
    test: Effect.fnUntraced(function*({ stack }) {
      const control = yield* StackControl
      yield* control.prepare(stack)
      const seen = yield* control.inspect(stack)
      yield* holds("all run", seen.observations.every(({ state }) => state === "running"), () => describe(seen))
    })
  },
  {
    name: "nothing interferes where nothing else is",
    test: Effect.fnUntraced(function*(subject) {
      const control = yield* StackControl
      const found = yield* control.interference(subject.stack, yield* unitsOf(subject))
      yield* holds("no interference", found.length === 0, () => found.map(({ detail }) => detail).join(", "))
    })
  },
  {
    name: "a clean stop is called clean, and is seen",
    test: Effect.fnUntraced(function*(subject) {
      const units = yield* unitsOf(subject)
      const results = yield* stopAll(subject.stack, units)
      yield* startAll(subject.stack, units)
      yield* holds("clean", results.every(({ clean }) => clean), () => JSON.stringify(results))
    })
  },
  {
    name: "what is down stays down, and inspect says so",
    test: whileDown(Effect.fnUntraced(function*(stack) {
      const control = yield* StackControl
      const seen = yield* control.inspect(stack)
      yield* holds("all are stopped", seen.observations.every(({ state }) => state === "stopped"), () => describe(seen))
    }))
  },
  {
    name: "a stop of what is down does no harm",
    test: whileDown(Effect.fnUntraced(function*(stack, units) {
      const control = yield* StackControl
      for (const unit of units) {
        yield* Effect.either(control.stop(stack, unit))
        yield* until(stack, unit, "stopped")
      }
    }))
  },
  {
    name: "a start of what runs does no harm",
    test: Effect.fnUntraced(function*(subject) {
      const control = yield* StackControl
      for (const unit of startOrder(yield* unitsOf(subject))) {
        const before = yield* control.observe(subject.stack, unit)
        yield* Effect.either(control.start(subject.stack, unit))
        const after = yield* until(subject.stack, unit, "running")
        yield* holds("it is the same", before.stamp === after.stamp, () => `${before.stamp} became ${after.stamp}`)
      }
    })
  },
  {
    name: "a stamp, where there is one, tells a stop and start in between",
    test: Effect.fnUntraced(function*(subject) {
      const control = yield* StackControl
      const units = yield* unitsOf(subject)
      const look = Effect.forEach(units, (unit) => control.observe(subject.stack, unit))
      const before = yield* look
      yield* stopAll(subject.stack, units)
      yield* startAll(subject.stack, units)
      const after = yield* look
      const same = before.filter(({ stamp }, index) => stamp !== undefined && stamp === after[index]?.stamp)
      yield* holds("every stamp has changed", same.length === 0, () => same.map(({ unit }) => unit.id).join(", "))
    })
  },
  {
    name: "a unit is known by its identity alone",
    test: Effect.fnUntraced(function*(subject) {
      const control = yield* StackControl
      const { stack } = subject
      const units = yield* Effect.forEach(yield* unitsOf(subject), fromMarker)
      yield* stopAll(stack, units)
      yield* startAll(stack, units)
      for (const unit of units) {
        const { state } = yield* control.observe(stack, unit)
        yield* holds(`'${unit.id}' runs`, state === "running", () => state)
      }
    })
  },
  {
    name: "what somebody else has stopped is seen",
    test: Effect.fnUntraced(function*(subject) {
      const units = yield* unitsOf(subject)
      yield* subject.stopByHand
      const seen = yield* Effect.either(Effect.forEach(units, (unit) => until(subject.stack, unit, "stopped")))
      yield* startAll(subject.stack, units)
      if (Either.isLeft(seen)) return yield* seen.left
    })
  }
]
