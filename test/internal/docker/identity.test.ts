import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Marker } from "../../../src/domain/Marker.ts"
import { Identity, isIdentity } from "../../../src/internal/docker/identity.ts"

const least = { engine: "unix:///d.sock", id: "0123", name: "web", how: "stop", gate: "running" }
const most = {
  ...least,
  how: "exec",
  gate: "docker",
  grace: 0,
  freeze: { argv: ["sh", "-c", "freeze \"ü\"\n"], timeoutMs: 1 },
  thaw: { argv: [], timeoutMs: 0 },
  compose: { project: "shop", service: "web", number: 2, workingDir: "/srv/a b", configFiles: ["/srv/a,b"] }
}

it.effect("a marker gives an identity back as it was written", () =>
  Effect.gen(function*() {
    const text = JSON.stringify({
      version: 1,
      bootId: "b",
      machineId: "m",
      runId: "018d0f0e-0000-7000-8000-000000000000",
      createdAt: "2026-01-02T03:04:05Z",
      stacks: [{
        stack: "shop",
        control: "docker",
        units: [least, most].map((identity, index) => ({
          id: `u${index}`,
          stopTimeoutMs: 1,
          startTimeoutMs: 1,
          after: [],
          identity
        }))
      }]
    })
    const marker = yield* Schema.decodeUnknown(Schema.parseJson(Marker))(text)
    const written = yield* Schema.encode(Schema.parseJson(Marker))(marker)
    const again = yield* Schema.decodeUnknown(Schema.parseJson(Marker))(written)
    const identities = again.stacks[0]?.units.map(({ identity }) => identity) ?? []
    assert.isTrue(identities.every((identity) => isIdentity(identity)))
    assert.deepStrictEqual(yield* Effect.forEach(identities, (one) => Schema.decodeUnknown(Identity)(one)), [
      least,
      most
    ])
  }))

it("knows what is no identity of a container", () => {
  assert.isTrue(isIdentity(least))
  assert.isTrue(isIdentity({ ...least, later: "a field of a later version" }))
  const broken: ReadonlyArray<unknown> = [
    undefined,
    {},
    { start: ["up"], stop: ["down"], status: ["is it up"], cwd: "/" },
    ...Object.keys(least).map((key) => ({ ...least, [key]: undefined })),
    { ...least, engine: "" },
    { ...least, how: "none" },
    { ...least, gate: "none" },
    { ...least, grace: -1 },
    { ...least, grace: null },
    { ...least, freeze: { argv: "x", timeoutMs: 1 } },
    { ...least, compose: { project: "shop" } }
  ]
  for (const one of broken) assert.isFalse(isIdentity(one), JSON.stringify(one))
})
