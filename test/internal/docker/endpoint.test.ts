import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Endpoint from "../../../src/internal/docker/endpoint.ts"
import { tempDir } from "../../layers/fixtures/support.ts"

const within = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

const parse = (host: string, variables: Readonly<Record<string, string>> = {}) =>
  Endpoint.parse(host).pipe(within(variables))

const keys = Effect.map(tempDir, (directory) => {
  for (const name of ["ca", "cert", "key"]) Fs.writeFileSync(Path.join(directory, `${name}.pem`), `${name} of it`)
  return directory
})

describe("DOCKER_HOST", () => {
  it.effect("is the socket of this machine where nothing is said", () =>
    Effect.gen(function*() {
      const host = (value: Readonly<Record<string, string>>) => Endpoint.hostFromEnvironment.pipe(within(value))
      assert.strictEqual(yield* host({}), "unix:///var/run/docker.sock")
      assert.strictEqual(yield* host({ DOCKER_HOST: "" }), "unix:///var/run/docker.sock")
      assert.strictEqual(yield* host({ DOCKER_HOST: "tcp://h:1" }), "tcp://h:1")
    }))

  it.effect("can be a socket", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* parse("unix:///run/user/1000/docker.sock", { DOCKER_TLS_VERIFY: "1" }), {
        _tag: "Unix",
        host: "unix:///run/user/1000/docker.sock",
        origin: "http://docker",
        socketPath: "/run/user/1000/docker.sock"
      })
    }))

  const addresses: ReadonlyArray<readonly [host: string, origin: string]> = [
    ["tcp://engine", "http://engine:2375"],
    ["tcp://engine:99", "http://engine:99"],
    ["tcp://127.0.0.1:2375", "http://127.0.0.1:2375"],
    ["tcp://[::1]:2375", "http://[::1]:2375"],
    ["http://engine:99/", "http://engine:99"],
    ["https://engine", "https://engine:2376"]
  ]
  for (const [host, origin] of addresses) {
    it.effect(`can be ${host}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* parse(host), { _tag: "Tcp", host, origin, tls: undefined })
      }))
  }

  const bad = [
    "",
    "/var/run/docker.sock",
    "unix://",
    "unix://relative.sock",
    "ssh://user@host",
    "npipe:////./pipe/docker_engine",
    "fd://",
    "tcp://",
    "tcp://:2375",
    "tcp://engine:port",
    "tcp://engine:99999",
    "TCP://engine"
  ]
  for (const host of bad) {
    it.effect(`cannot be '${host}'`, () =>
      Effect.gen(function*() {
        assert.strictEqual(
          (yield* Effect.flip(parse(host))).message,
          `'${host}' is no address of a Docker engine that can be used here: expected unix:///path/to/docker.sock or ` +
            "tcp://address:port"
        )
      }))
  }
})

describe("TLS", () => {
  it.scoped("is used with the keys of DOCKER_CERT_PATH", () =>
    Effect.gen(function*() {
      const directory = yield* keys
      const tls = { ca: "ca of it", cert: "cert of it", key: "key of it" }
      assert.deepStrictEqual(yield* parse("tcp://engine", { DOCKER_CERT_PATH: directory }), {
        _tag: "Tcp",
        host: "tcp://engine",
        origin: "https://engine:2376",
        tls
      })
      const both = { DOCKER_CERT_PATH: directory, DOCKER_TLS_VERIFY: "1" }
      assert.deepInclude(yield* parse("tcp://engine:7", both), { origin: "https://engine:7", tls })
    }))

  it.scoped("takes the keys of the home where DOCKER_TLS_VERIFY alone is set", () =>
    Effect.gen(function*() {
      const home = yield* tempDir
      Fs.renameSync(yield* keys, Path.join(home, ".docker"))
      const found = yield* parse("tcp://engine", { DOCKER_TLS_VERIFY: "1", HOME: home })
      assert.deepInclude(found, { tls: { ca: "ca of it", cert: "cert of it", key: "key of it" } })
    }))

  for (const name of ["ca", "cert", "key"]) {
    it.scoped(`wants ${name}.pem`, () =>
      Effect.gen(function*() {
        const directory = yield* keys
        const file = Path.join(directory, `${name}.pem`)
        Fs.rmSync(file)
        const { message } = yield* Effect.flip(parse("tcp://engine", { DOCKER_CERT_PATH: directory }))
        assert.strictEqual(
          message,
          `DOCKER_CERT_PATH: ${file} cannot be read: ENOENT: no such file or directory, open '${file}'`
        )
      }))
  }
})
