import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { among, dependencies, findCycle, startOrder } from "../../src/domain/Order.ts"
import { type Dependency, type Unit, UnitId } from "../../src/domain/Stack.ts"

/** `web < left:started right` is a unit that comes after two others. */
const units = (...lines: ReadonlyArray<string>): ReadonlyArray<Unit> =>
  lines.map((line) => {
    const [id = "", , ...after] = line.split(" ")
    return {
      id: UnitId.make(id),
      stopTimeoutMs: 1_000,
      startTimeoutMs: 1_000,
      identity: {},
      ...(after.length === 0 ? {} : {
        after: after.map((word): Dependency => {
          const [unit = "", until = "up"] = word.split(":")
          return { unit: UnitId.make(unit), until: until === "started" ? "started" : "up" }
        })
      })
    }
  })

const show = (after: ReadonlyArray<Dependency> = []) =>
  after.map(({ unit, until }) => until === "up" ? String(unit) : `${unit}:${until}`)

const shown = (all: ReadonlyArray<Unit>) => Object.fromEntries(all.map(({ after, id }) => [id, show(after)]))

const names = (all: ReadonlyArray<Unit>) => all.map(({ id }) => String(id)).join(" ")

const diamond = units("web < left right", "left < db:started", "right < db", "db")

/** Any graph of up to seven units, with circles, and with dependencies on units that are not in the list. */
const graph = FastCheck.integer({ min: 0, max: 7 }).chain((size) => {
  const word = FastCheck.tuple(FastCheck.integer({ min: 0, max: 8 }), FastCheck.constantFrom("", ":started"))
    .map(([index, until]) => `u${index}${until}`)
  return FastCheck.array(FastCheck.array(word, { maxLength: 3 }), { minLength: size, maxLength: size }).map((lists) =>
    units(...lists.map((after, index) => [`u${index}`, ...(after.length === 0 ? [] : ["<", ...after])].join(" ")))
  )
})

const forAll = (property: (units: ReadonlyArray<Unit>) => void) =>
  FastCheck.assert(FastCheck.property(graph, property), { numRuns: 1_000 })

describe("dependencies", () => {
  it("are those among the units, with how far they must be", () => {
    const found = dependencies([...diamond, ...units("cron < gone web")])
    assert.deepStrictEqual([...found].map(([id, after]) => [String(id), show(after)]).sort(), [
      ["cron", ["web"]],
      ["db", []],
      ["left", ["db:started"]],
      ["right", ["db"]],
      ["web", ["left", "right"]]
    ])
  })

  it("leave out what closes a circle, and only that", () => {
    const found = dependencies(units("a < b", "b < c", "c < a d c", "d"))
    assert.deepStrictEqual([...found].map(([id, after]) => [String(id), show(after)]).sort(), [
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["d"]],
      ["d", []]
    ])
  })

  it("are never circular, and complete where nothing is", () => {
    forAll((units) => {
      const found = dependencies(units)
      assert.strictEqual(found.size, units.length)
      const kept = units.map((unit) => ({ id: unit.id, after: found.get(unit.id) ?? [] }))
      assert.isUndefined(findCycle(kept))
      if (findCycle(units) !== undefined) return
      for (const { after = [], id } of units) {
        assert.deepStrictEqual(found.get(id), after.filter((one) => units.some(({ id }) => id === one.unit)))
      }
    })
  })
})

describe("findCycle", () => {
  it("names the circle, with its first unit again at the end", () => {
    assert.deepStrictEqual(findCycle(units("x < a", "a < b", "b < c", "c < a"))?.join(" "), "a b c a")
    assert.deepStrictEqual(findCycle(units("a < a"))?.join(" "), "a a")
  })

  it("finds none where two ways lead to one unit, or out of the list", () => {
    assert.isUndefined(findCycle(diamond))
    assert.isUndefined(findCycle(units("a < gone")))
    assert.isUndefined(findCycle([]))
  })
})

describe("startOrder", () => {
  it("puts dependencies first, and keeps the order of the list where nothing is between two units", () => {
    assert.strictEqual(names(startOrder(diamond)), "db left right web")
    assert.strictEqual(names(startOrder(diamond.toReversed())), "db right left web")
    assert.strictEqual(names(startOrder(units("a", "b", "c"))), "a b c")
    assert.strictEqual(names(startOrder(units("a < c", "b", "c"))), "b c a")
  })

  it("loses nobody, not even of a circle or of two units with one name", () => {
    assert.strictEqual(names(startOrder(units("a < b", "b < a"))), "b a")
    assert.strictEqual(names(startOrder(units("a < b", "b", "b", "c"))), "b a c b")
    forAll((units) => assert.sameMembers([...startOrder(units)], [...units]))
  })

  it("puts every unit after all that it waits for", () => {
    forAll((units) => {
      const order = startOrder(units).map(({ id }) => id)
      for (const [id, after] of dependencies(units)) {
        for (const { unit } of after) assert.isBelow(order.indexOf(unit), order.indexOf(id))
      }
    })
  })
})

describe("among", () => {
  const all = units("web < job:started cache", "cache", "job < migrate db:started", "migrate < db", "db")
  const pick = (...ids: ReadonlyArray<string>) => all.filter(({ id }) => ids.includes(id))

  it("leaves a whole stack as it is", () => {
    assert.deepStrictEqual(among(all, all), all)
    assert.deepStrictEqual(among([], all), [])
  })

  it("goes through units that are not among them", () => {
    assert.deepStrictEqual(shown(among(pick("web", "db"), all)), { web: ["db", "db:started"], db: [] })
    assert.deepStrictEqual(shown(among(pick("web", "job", "db"), all)), {
      web: ["job:started"],
      job: ["db", "db:started"],
      db: []
    })
  })

  it("ends at a unit that nobody knows, and in a circle", () => {
    assert.deepStrictEqual(shown(among(units("a < gone"), units("a < gone"))), { a: [] })
    const circle = units("a < b", "b < c", "c < b a d", "d")
    const found = among(circle.filter(({ id }) => id === "a" || id === "d"), circle)
    assert.deepStrictEqual(shown(found), { a: ["a", "d"], d: [] })
    assert.strictEqual(names(startOrder(found)), "d a")
  })

  it("is what is left of the order of the whole stack", () => {
    forAll((units) => {
      if (findCycle(units) !== undefined) return
      const some = units.filter((_, index) => index % 2 === 0)
      const found = dependencies(among(some, units))
      const reaches = (from: UnitId, to: UnitId): boolean =>
        (dependencies(units).get(from) ?? []).some(({ unit }) => unit === to || reaches(unit, to))
      for (const { id } of some) {
        for (const { unit } of found.get(id) ?? []) assert.isTrue(reaches(id, unit))
        const below = some.filter((other) => reaches(id, other.id))
        const seen = (from: UnitId): ReadonlyArray<UnitId> =>
          (found.get(from) ?? []).flatMap(({ unit }) => [unit, ...seen(unit)])
        assert.sameMembers([...new Set(seen(id))], below.map(({ id }) => id))
      }
    })
  })
})
