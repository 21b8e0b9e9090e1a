import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ContainerNotFound } from "../../../src/internal/docker/errors.ts"
import * as Members from "../../../src/internal/docker/members.ts"
import type { Summary } from "../../../src/internal/docker/schemas.ts"
import { composeLabels, container, engineOf, idOf, summary } from "./fixtures.ts"

const host = "unix:///d.sock"
const project = (name: string): Members.Selector => ({ _tag: "Project", project: name })
const containers = (...names: ReadonlyArray<string>): Members.Selector => ({ _tag: "Containers", names })
const enabled: Members.Selector = { _tag: "Enabled" }

const all = [
  summary("shop-db-1", composeLabels("db")),
  summary("shop-web-1", { ...composeLabels("web"), "quiesce.stack": "front" }),
  summary("shop-run", { ...composeLabels("web"), "com.docker.compose.oneoff": "True" }),
  summary("shop-hook", { ...composeLabels("db"), "com.docker.compose.hook": "pre_start" }),
  summary("blog-db-1", { ...composeLabels("db", { project: "blog" }), "quiesce.enable": "true" }),
  summary("lonely", { "quiesce.enable": "yes" }),
  summary("off", { "quiesce.enable": "false" }),
  summary("moved", { "quiesce.stack": "shop" })
]

const select = (stack: string, selector: Members.Selector, from: ReadonlyArray<Summary> = all) =>
  Effect.map(Members.select(host, stack, selector, from), (found) => found.map(({ Names }) => Names[0]))

const refusal = (stack: string, selector: Members.Selector, from?: ReadonlyArray<Summary>) =>
  Effect.map(Effect.flip(select(stack, selector, from)), ({ message }) => message)

describe("the containers of a stack", () => {
  it.effect("are those of a project, and what a label moves", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* select("shop", project("shop")), ["/shop-db-1", "/moved"])
      assert.deepStrictEqual(yield* select("front", project("blog")), ["/shop-web-1", "/blog-db-1"])
      assert.deepStrictEqual(yield* select("other", project("shop")), ["/shop-db-1"])
    }))

  it.effect("are those that are named, by name or the beginning of the id", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* select("x", containers("lonely", "shop-db-1")), ["/shop-db-1", "/lonely"])
      assert.deepStrictEqual(yield* select("x", containers(idOf("lonely"))), ["/lonely"])
      assert.deepStrictEqual(yield* select("x", containers(idOf("lonely").slice(0, 12))), ["/lonely"])
      assert.strictEqual(
        yield* refusal("x", containers(idOf("lonely").slice(0, 11))),
        `there is no container '${idOf("lonely").slice(0, 11)}' at ${host}`
      )
    }))

  it.effect("are those that ask for it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* select("x", enabled), ["/blog-db-1", "/lonely"])
    }))

  it.effect("are never nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* refusal("x", project("shpo")),
        `there is no Compose project 'shpo' at ${host}; there are: blog, shop; did you mean 'shop'?`
      )
      assert.strictEqual(
        yield* refusal("x", project("completely-else")),
        `there is no Compose project 'completely-else' at ${host}; there are: blog, shop`
      )
      assert.strictEqual(
        yield* refusal("x", project("shop"), [summary("a")]),
        `there is no Compose project 'shop' at ${host}; there are none`
      )
      assert.strictEqual(
        yield* refusal("x", enabled, [summary("a")]),
        `no container at ${host} has the label quiesce.enable=true`
      )
      assert.strictEqual(yield* refusal("x", containers("a", "b")), `there is no container 'a', 'b' at ${host}`)
      assert.strictEqual(
        yield* refusal("x", containers("lonely", "gone", "lost")),
        `there is no container 'gone' at ${host}`
      )
    }))

  it("are none that Compose makes for a moment, even by name", () => {
    const [, , run, hook] = all
    assert.isDefined(run)
    for (const selector of [project("shop"), containers("shop-run", "shop-hook")]) {
      for (const one of [run, hook]) assert.isFalse(one === undefined || Members.belongs("shop", selector, one))
    }
  })
})

const nobody = engineOf({
  inspect: (id) => new ContainerNotFound({ host, route: "GET", reason: `No such container: ${id}` })
})

type Made = ReadonlyArray<readonly [name: string, labels: Readonly<Record<string, string>>]>

const describeAll = (...made: Made) => {
  const found = new Map(made.map(([name, labels]) => [idOf(name), container(name, { labels })]))
  const engine = engineOf({
    inspect: (id) => {
      const one = found.get(id)
      return one === undefined ? nobody.inspect(id) : Effect.succeed(one)
    }
  })
  return Members.describe(engine, made.map(([name, labels]) => summary(name, labels)))
}

const unitsOf = (...made: Made) =>
  Effect.map(describeAll(...made), (members) => members.map(({ unit }) => String(unit)))

describe("the unit of a container is called", () => {
  it.effect("after its service, with the number where there are several", () =>
    Effect.gen(function*() {
      const found = yield* unitsOf(
        ["shop-db-1", composeLabels("db")],
        ["shop-web-1", composeLabels("web")],
        ["shop-web-2", composeLabels("web", { number: 2 })]
      )
      assert.deepStrictEqual(found, ["db", "web-1", "web-2"])
    }))

  it.effect("as it is, outside of Compose or where there are several projects", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* unitsOf(["a", {}], ["b", {}]), ["a", "b"])
      assert.deepStrictEqual(yield* unitsOf(["shop-db-1", composeLabels("db")], ["b", {}]), ["shop-db-1", "b"])
      assert.deepStrictEqual(
        yield* unitsOf(["one", composeLabels("db")], ["two", composeLabels("db", { project: "blog" })]),
        ["one", "two"]
      )
    }))

  it.effect("as it is, where two would have one name", () =>
    Effect.gen(function*() {
      // what an update leaves that broke off in the middle
      assert.deepStrictEqual(
        yield* unitsOf(["shop-db-1", composeLabels("db")], ["0123_shop-db-1", composeLabels("db")]),
        ["shop-db-1", "0123_shop-db-1"]
      )
      assert.deepStrictEqual(
        yield* unitsOf(
          ["shop-web-1", composeLabels("web")],
          ["shop-web-2", composeLabels("web", { number: 2 })],
          ["odd", composeLabels("web-1")]
        ),
        ["shop-web-1", "shop-web-2", "odd"]
      )
    }))
})

describe("a container is described", () => {
  it.effect("by its labels", () =>
    Effect.gen(function*() {
      const [one] = yield* describeAll(["shop-db-1", { ...composeLabels("db"), "quiesce.stop": "pause" }])
      assert.strictEqual(one?.name, "shop-db-1")
      assert.strictEqual(one?.settings.how, "pause")
      assert.strictEqual(one?.compose?.service, "db")
    }))

  it.effect("or not at all, where a label means nothing or it has gone", () =>
    Effect.gen(function*() {
      const invalid = yield* Effect.flip(describeAll(["db", { "quiesce.stop": "never" }]))
      assert.strictEqual(
        invalid.message,
        "container db: label quiesce.stop: expected stop, pause, exec, none, found \"never\""
      )
      const gone = yield* Effect.flip(Members.describe(nobody, [summary("db")]))
      assert.strictEqual(gone.message, `No such container: ${idOf("db")}`)
    }))
})
