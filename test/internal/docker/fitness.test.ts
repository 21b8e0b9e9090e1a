import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import type { Endpoint } from "../../../src/internal/docker/endpoint.ts"
import { check, type Place } from "../../../src/internal/docker/fitness.ts"
import type { Member } from "../../../src/internal/docker/members.ts"
import { type Given, idOf, member, service } from "./fixtures.ts"

const unix: Endpoint = { _tag: "Unix", host: "unix:///d.sock", origin: "http://docker", socketPath: "/d.sock" }
const tcp = (address: string): Endpoint => ({
  _tag: "Tcp",
  host: `tcp://${address}`,
  origin: `http://${address}`,
  tls: undefined
})

const refusal = (all: ReadonlyArray<Member>, place: Partial<Place> = {}) => {
  const result = Effect.runSync(Effect.either(check(all, { endpoint: unix, own: undefined, ...place })))
  return Either.isLeft(result) ? result.left.message : undefined
}

const none = { "quiesce.stop": "none" }
const way = "label it quiesce.stop=none"

/** Refused while it runs and is held; not when it is left alone or down. */
const refused = (message: string, given: Given, place: Partial<Place> = {}) => {
  assert.strictEqual(refusal([member("web", given)], place), message)
  assert.isUndefined(refusal([member("web", { ...given, labels: { ...given.labels, ...none } })], place))
  const down = member("web", { ...given, state: { Status: "exited" } })
  assert.isUndefined(refusal([down], place))
}

it("takes what can be stopped and started", () => {
  const all = [service("db"), service("web", "db:service_healthy:true"), member("other")]
  assert.isUndefined(refusal(all))
  assert.isUndefined(refusal([]))
})

describe("refuses", () => {
  it("a task of a Swarm", () =>
    refused(
      "web is a task of a Swarm service: Swarm starts another one when it is stopped; scale the service instead",
      { labels: { "com.docker.swarm.service.id": "x" } }
    ))

  it("what is removed when it stops", () =>
    refused(
      `web is removed when it stops (--rm, AutoRemove), so it could not be started again; make it without that, or ${way}`,
      { host: { AutoRemove: true } }
    ))

  it("our own container", () => {
    const message = `quiesce itself runs in web, and would stop itself; ${way}`
    refused(message, {}, { own: idOf("web") })
    assert.isUndefined(refusal([member("web")], { own: idOf("other") }))
    // its host files are those of the container whose network it shares
    refused(message, { host: { NetworkMode: `container:${idOf("other")}` } }, { own: idOf("other") })
    assert.isUndefined(refusal([member("web", { host: { NetworkMode: `container:${idOf("other")}` } })]))
  })

  it("the container through which the engine is reached", () => {
    const message = (host: string) =>
      `the Docker engine is reached by way of web (tcp://${host}), which could not be started again once it is ` +
      `stopped; ${way}`
    const networks = (network: object): Given => ({ top: { NetworkSettings: { Networks: { shop: network } } } })
    const cases: ReadonlyArray<readonly [address: string, Given]> = [
      ["web:2375", {}],
      ["proxy:2375", networks({ Aliases: ["a", "proxy"] })],
      ["proxy:2375", networks({ Aliases: null, DNSNames: ["proxy"] })],
      ["172.18.0.3:2375", networks({ IPAddress: "172.18.0.3" })],
      ["[fd00::3]:2375", networks({ GlobalIPv6Address: "fd00::3" })],
      ["127.0.0.1:2375", {
        top: { NetworkSettings: { Ports: { "80/tcp": null, "2375/tcp": [{ HostIp: "0.0.0.0", HostPort: "2375" }] } } }
      }]
    ]
    for (const [address, given] of cases) {
      refused(message(address), given, { endpoint: tcp(address) })
      assert.isUndefined(refusal([member("web", given)], { endpoint: tcp("elsewhere:2376") }), address)
      assert.isUndefined(refusal([member("web", given)]), address)
    }
    const socket = service("socket")
    const named = { ...socket, name: "shop-socket-1" }
    assert.include(refusal([named], { endpoint: tcp("socket:2375") }), "by way of shop-socket-1")
  })

  it("a job that is at work and that others wait for", () => {
    const message = "migrate is at work, and others wait for its completion (service_completed_successfully); " +
      "a run begins when it is over"
    const web = service("web", "migrate:service_completed_successfully:false")
    assert.strictEqual(refusal([service("migrate"), web]), message)
    assert.isUndefined(refusal([service("migrate", "", { state: { Status: "exited" } }), web]))
  })

  it("a circle", () => {
    assert.strictEqual(
      refusal([service("a", "b:service_started:true"), service("b", "a:service_started:true")]),
      "its containers wait for each other in a circle: a -> b -> a; change depends_on or quiesce.order"
    )
    // db must be first by its order, and comes after web by depends_on
    const order = (value: string) => ({ labels: { "quiesce.order": value } })
    const both = [service("db", "web:service_started:true", order("0")), service("web", "", order("1"))]
    assert.strictEqual(
      refusal(both),
      "its containers wait for each other in a circle: db -> web -> db; change depends_on or quiesce.order"
    )
    const down = both.map((one) => ({
      ...one,
      container: { ...one.container, State: { ...one.container.State, Status: "exited" } }
    }))
    assert.include(refusal(down), "in a circle")
    assert.isUndefined(refusal([service("a", "b"), service("b", "a", { labels: none })]))
  })
})
