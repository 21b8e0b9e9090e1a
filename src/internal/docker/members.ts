/**
 * Which containers a stack is made of, and what each of them is in it.
 */
import { Effect, Schema } from "effect"
import { UnitId } from "../../domain/Stack.ts"
import { hint } from "../suggest.ts"
import * as Compose from "./compose.ts"
import type { Engine } from "./engine.ts"
import type { EngineError } from "./errors.ts"
import type { Container, Summary } from "./schemas.ts"
import * as Settings from "./settings.ts"

/** How a stack chooses its containers. Labels may move one into another stack (`quiesce.stack`). */
export type Selector =
  | { readonly _tag: "Project"; readonly project: string }
  | { readonly _tag: "Containers"; readonly names: ReadonlyArray<string> }
  | { readonly _tag: "Enabled" }

/** One container of a stack. */
export interface Member {
  readonly unit: UnitId
  readonly name: string
  readonly container: Container
  readonly settings: Settings.Settings
  readonly compose: Compose.Membership | undefined
}

/** The stack cannot be made out, or not be held as it is. */
export class StackUnfit extends Schema.TaggedError<StackUnfit>()("StackUnfit", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

const names = (container: Summary) => container.Names.map((name) => name.replace(/^\//, ""))

/** An id may be given by its beginning, as everywhere in Docker. */
const isNamed = (container: Summary, wanted: string) =>
  names(container).includes(wanted) || (wanted.length >= 12 && container.Id.startsWith(wanted))

const chosen = (selector: Selector, container: Summary) => {
  switch (selector._tag) {
    case "Project":
      return Compose.projectOf(container.Labels) === selector.project
    case "Containers":
      return selector.names.some((name) => isNamed(container, name))
    case "Enabled":
      return Settings.isEnabled(container.Labels)
  }
}

/** Whether the container belongs to the stack of this name. What Compose makes for a moment belongs to none. */
export const belongs = (stack: string, selector: Selector, container: Summary): boolean => {
  if (Compose.isTransient(container.Labels)) return false
  const named = container.Labels[Settings.label.stack]
  return named === undefined ? chosen(selector, container) : named === stack
}

const noneFound = (host: string, selector: Selector, all: ReadonlyArray<Summary>) => {
  if (selector._tag === "Enabled") {
    return `no container at ${host} has the label ${Settings.label.enable}=true`
  }
  if (selector._tag === "Containers") return `there is no container '${selector.names.join("', '")}' at ${host}`
  const known = [...new Set(all.flatMap(({ Labels }) => Compose.projectOf(Labels) ?? []))].sort()
  const there = known.length === 0 ? "there are none" : `there are: ${known.join(", ")}`
  return `there is no Compose project '${selector.project}' at ${host}; ${there}${hint(selector.project, known)}`
}

/** The containers of a stack among all of an engine. */
export const select = (
  host: string,
  stack: string,
  selector: Selector,
  all: ReadonlyArray<Summary>
): Effect.Effect<ReadonlyArray<Summary>, StackUnfit> => {
  const found = all.filter((container) => belongs(stack, selector, container))
  if (found.length === 0) return new StackUnfit({ reason: noneFound(host, selector, all) })
  const missing = selector._tag === "Containers"
    ? selector.names.find((name) => !all.some((container) => isNamed(container, name)))
    : undefined
  return missing === undefined
    ? Effect.succeed(found)
    : new StackUnfit({ reason: `there is no container '${missing}' at ${host}` })
}

/** How long a container that has crashed before is looked at, to tell one that runs from one that crashes all the time. */
const crashLook = "1 second"

/** The engine counts restarts from the last start by hand, so the count alone does not say when they were. */
const inspectSettled = Effect.fnUntraced(function*(engine: Engine, id: string) {
  const first = yield* engine.inspect(id)
  if (first.RestartCount === 0 || first.State.Status !== "running") return first
  const second = yield* Effect.delay(engine.inspect(id), crashLook)
  return second.RestartCount === first.RestartCount
    ? second
    : { ...second, State: { ...second.State, Status: "restarting" } }
})

/** Asks the engine about each container, and reads its labels. */
export const describe = Effect.fnUntraced(function*(
  engine: Engine,
  containers: ReadonlyArray<Summary>
): Effect.fn.Return<ReadonlyArray<Member>, EngineError | Settings.LabelInvalid> {
  const found = containers.map(({ Labels }) => Compose.membership(Labels))
  const count = (one: Compose.Membership) =>
    found.filter((other) => other?.service === one.service && other.project === one.project).length
  const projects = new Set(found.map((one) => one?.project))
  const members = yield* Effect.forEach(containers, (summary, index) =>
    Effect.gen(function*() {
      const container = yield* inspectSettled(engine, summary.Id)
      const name = Compose.nameOf([container.Name])
      const compose = found[index]
      // services of several projects in one stack may have the same name
      const unit = compose === undefined || projects.size > 1 ? name : Compose.serviceName(compose, count(compose) > 1)
      const settings = yield* Settings.read(name, container.Config.Labels)
      return { unit: UnitId.make(unit), name, container, settings, compose }
    }), { concurrency: 16 })
  // two of one number, as an update that broke off leaves them; or a service that is called like a container of another
  const differ = new Set(members.map(({ unit }) => unit)).size === members.length
  return differ ? members : members.map((member) => Object.assign({}, member, { unit: UnitId.make(member.name) }))
})
