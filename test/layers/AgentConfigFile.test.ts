import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import * as AgentConfigFile from "../../src/layers/AgentConfigFile.ts"

const good = `version: 1
guests:
  web:
    vzdump: { vmid: 100, storage: backup }
`
const F = "/etc/quiesce/agent.yaml"

const parse = (text: string) =>
  AgentConfigFile.parse(text, F, { cwd: "/", home: "/root", isRoot: true }).pipe(
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
  )

describe("the configuration of an agent", () => {
  const cases: ReadonlyArray<readonly [name: string, text: string, message: string]> = [
    ["no guest", "version: 1\nguests: {}\n", `${F}:2:1: guests: expected at least one guest; none is there`],
    [
      "a guest without an engine",
      "version: 1\nguests: { web: {} }\n",
      `${F}:2:11: guests.web: expected one engine of: vzdump, local; none is there`
    ],
    [
      "a guest whose name is a path",
      good.replace("web", "../web"),
      `${F}:3:3: guests["../web"]: this name cannot be used: letters, digits, '.', '_' and '-', at most 63, first a letter or digit`
    ],
    [
      "a certificate without its key",
      `${good}listen: { certificate: ./c.pem }\n`,
      `${F}:5:1: listen: expected certificate and key together; only one is there`
    ],
    [
      "a port that is none",
      `${good}listen: { port: 70000 }\n`,
      `${F}:5:17: listen.port: expected a whole number from 1 to 65535, found the number 70000`
    ],
    [
      "no backup at all",
      `${good}jobs: 0\n`,
      `${F}:5:7: jobs: expected a whole number from 1 to 64, found the number 0`
    ],
    [
      "the option that kills what runs",
      good.replace("vmid: 100", "vmid: 100, stop: true"),
      `${F}:4:26: guests.web.vzdump.stop: unknown key; known here: vmid, storage, mode, compress, fleecingStorage, protected, prune`
    ],
    [
      "archives in their own source",
      good.replace(
        "vzdump: { vmid: 100, storage: backup }",
        "local: { source: ./d, transfer: { archive: { to: ./d/b } } }"
      ),
      `${F}:4:54: guests.web.local.transfer.archive.to: expected a directory outside guests.web.local.source; ` +
      "each archive would hold the ones before it"
    ]
  ]
  for (const [name, text, message] of cases) {
    it.effect(`refuses ${name}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(parse(text))).message, message)
      }))
  }

  it.effect("its defaults", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* parse(good), {
        file: F,
        stateDir: "/var/lib/quiesce-agent",
        listen: { host: "0.0.0.0", port: 8443, certificate: undefined },
        sockets: undefined,
        division: undefined,
        jobs: 1,
        readyTimeout: Duration.minutes(10),
        requestsPerMinute: undefined,
        connections: undefined,
        guests: [{ name: "web", engine: { _tag: "Vzdump", vzdump: { vmid: 100, storage: "backup" } } }]
      })
    }))

  it.effect("with sockets alone it is not on the network; its paths are those of the file", () =>
    Effect.gen(function*() {
      const found = yield* parse(
        `${good}  files:\n    local: { source: ./d, transfer: { archive: { to: /b } } }\nsockets: ../run\nstateDir: ./s\n`
      )
      assert.isUndefined(found.listen)
      assert.deepStrictEqual([found.sockets, found.stateDir], ["/etc/run", "/etc/quiesce/s"])
      assert.deepStrictEqual(found.guests[1], {
        name: "files",
        engine: {
          _tag: "Source",
          source: "/etc/quiesce/d",
          snapshot: "auto",
          transfer: { _tag: "Archive", to: "/b" }
        }
      })
      const both = yield* parse(`${good}sockets: ./run\nlisten: { certificate: ./c, key: ./k }\n`)
      assert.deepStrictEqual(both.listen?.certificate, { certificate: "/etc/quiesce/c", key: "/etc/quiesce/k" })
    }))
})
