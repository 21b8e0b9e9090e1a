import { assert, describe, it } from "@effect/vitest"
import { edgesOf, isAwaitedJob } from "../../../src/internal/docker/edges.ts"
import type { Member } from "../../../src/internal/docker/members.ts"
import { composeLabels, idOf, member, service } from "./fixtures.ts"

/** The dependencies of the first on the others, as `unit: until`. */
const edges = (first: Member, ...others: ReadonlyArray<Member>) =>
  edgesOf(first, [first, ...others]).map(({ unit, until }) => `${unit}: ${until}`)

const order = (value: number) => ({ labels: { "quiesce.order": String(value) } })

describe("a container comes after", () => {
  it("the services that Compose says, until what it says", () => {
    const others = [service("db"), service("cache"), service("migrate"), service("other")]
    assert.deepStrictEqual(
      edges(
        service(
          "web",
          "db:service_healthy:true,cache:service_started:false,migrate:service_completed_successfully:false"
        ),
        ...others
      ),
      ["cache: started", "db: up", "migrate: started"]
    )
    assert.deepStrictEqual(edges(service("web", "db,gone:service_started:true"), ...others), ["db: up"])
    assert.deepStrictEqual(edges(service("web"), ...others), [])
  })

  it("all replicas of a service, and each replica for itself", () => {
    const replica = (name: string, number: number) =>
      member(name, { labels: composeLabels("db", { number, dependsOn: "seed:service_started:true" }) })
    const web = service("web", "db:service_healthy:true")
    assert.deepStrictEqual(edges(web, replica("db-1", 1), replica("db-2", 2)), ["db-1: up", "db-2: up"])
    assert.deepStrictEqual(edges(replica("db-1", 1), replica("db-2", 2), service("seed")), ["seed: started"])
  })

  it("no service of the same name in another project", () => {
    const other = member("other-db", { labels: composeLabels("db", { project: "other" }) })
    assert.deepStrictEqual(edges(service("web", "db:service_healthy:true"), other, member("db")), [])
  })

  for (const mode of ["NetworkMode", "IpcMode", "PidMode"]) {
    it(`the container that it lives in (${mode})`, () => {
      const db = member("db")
      const inside = (reference: string) => member("web", { host: { [mode]: reference } })
      assert.deepStrictEqual(edges(inside(`container:${idOf("db")}`), db), ["db: started"])
      assert.deepStrictEqual(edges(inside(`container:${idOf("db").slice(0, 12)}`), db), ["db: started"])
      assert.deepStrictEqual(edges(inside("container:db"), db), ["db: started"])
      for (const other of ["host", "none", "bridge", "db", "container:", "container:d", `container:${idOf("x")}`]) {
        assert.deepStrictEqual(edges(inside(other), db), [], other)
      }
      assert.deepStrictEqual(edges(inside(`container:${idOf("db").slice(0, 11)}`), db), [])
    })
  }

  it("those whose volumes it has", () => {
    const from = (...VolumesFrom: ReadonlyArray<string>) => member("web", { host: { VolumesFrom } })
    const others = [member("db"), member("files")]
    assert.deepStrictEqual(edges(from("db:ro", idOf("files")), ...others), ["db: started", "files: started"])
    assert.deepStrictEqual(edges(from("files"), ...others), ["files: started"])
    assert.deepStrictEqual(edges(from(""), ...others), [])
  })

  it("all of a lower order", () => {
    const all = [member("a", order(-1)), member("b"), member("c"), member("d", order(10))]
    const after = all.map((one) => edges(one, ...all.filter((other) => other !== one)))
    assert.deepStrictEqual(after, [[], ["a: up"], ["a: up"], ["a: up", "b: up", "c: up"]])
  })

  it("another one once only, until the stricter of two", () => {
    const db = service("db", "", order(-1))
    assert.deepStrictEqual(edges(service("web", "db:service_started:true"), db), ["db: up"])
    const inside = { host: { NetworkMode: `container:${idOf("db")}` } }
    assert.deepStrictEqual(edges(service("web", "db:service_healthy:true", inside), service("db")), ["db: up"])
    assert.deepStrictEqual(edges(service("web", "db:service_started:true", inside), service("db")), ["db: started"])
  })

  it("never itself", () => {
    const web = service("web", "web:service_healthy:true", { host: { NetworkMode: `container:${idOf("web")}` } })
    assert.deepStrictEqual(edges(web), [])
  })
})

describe("a job that others wait for", () => {
  const job = service("migrate")

  it("is one that must be completed", () => {
    const web = service("web", "migrate:service_completed_successfully:false")
    assert.isTrue(isAwaitedJob(job, [job, web]))
    assert.isFalse(isAwaitedJob(web, [job, web]))
  })

  it("is none for other conditions, other projects, or outside of Compose", () => {
    assert.isFalse(isAwaitedJob(job, [job, service("web", "migrate:service_started:true,x:service_healthy:true")]))
    const dependsOn = "migrate:service_completed_successfully:false"
    const other = member("web", { labels: composeLabels("web", { project: "other", dependsOn }) })
    assert.isFalse(isAwaitedJob(job, [job, other]))
    assert.isFalse(isAwaitedJob(member("migrate"), [member("migrate"), service("web", dependsOn)]))
  })
})
