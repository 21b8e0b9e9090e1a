import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { read } from "../../../src/internal/docker/composeHooks.ts"
import { tempDir } from "../../layers/fixtures/support.ts"

const written = (text: string | Buffer, name = "compose.yaml") =>
  Effect.map(tempDir, (directory) => {
    const file = Path.join(directory, name)
    Fs.writeFileSync(file, text)
    return file
  })

/** The hooks in one file that can be read. */
const hooks = Effect.fnUntraced(function*(text: string) {
  const found = yield* read([yield* written(text)])
  assert.deepStrictEqual(found.unread, [])
  return found.hooks
})

describe("the hooks of Compose", () => {
  it.scoped("are found", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* hooks(`
services:
  db:
    image: postgres
    pre_stop:
      - command: pg_ctl stop
  web:
    post_start:
      - command: ["chown", "-R", "1000", "/data"]
        user: root
    pre_stop: [{ command: ./bye }]
  idle:
    image: busybox
`),
        ["db: pre_stop", "web: pre_stop", "web: post_start"]
      )
    }))

  it.scoped("are found through anchors and merge keys, and once", () =>
    Effect.gen(function*() {
      const text = `
x-common: &common
  pre_stop: [{ command: ./bye }]
services:
  a: { <<: *common, image: x }
  b:
    <<: [*common]
    post_start: [{ command: ./hello }]
  c: *common
`
      assert.deepStrictEqual(yield* hooks(text), ["a: pre_stop", "b: pre_stop", "b: post_start", "c: pre_stop"])
      const [one, two] = [yield* written(text), yield* written(text)]
      assert.strictEqual((yield* read([one, two])).hooks.length, 4)
    }))

  it.scoped("are none where nothing is in them, or the tags of Compose took it away", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* hooks(`
services:
  a: { pre_stop: }
  b: { pre_stop: [] }
  c: { pre_stop: !reset null }
  d: { pre_stop: !reset [] }
  e: !reset null
  f: { environment: !override [A=1], ports: !reset [] }
`),
        []
      )
      assert.deepStrictEqual(
        yield* hooks("services: { a: { pre_stop: !override [{ command: x }] } }"),
        ["a: pre_stop"]
      )
    }))

  it.scoped("are none in what is no Compose file", () =>
    Effect.gen(function*() {
      for (const text of ["", "[]", "text", "services: [pre_stop]", "services: {a: [pre_stop]}", "services: text"]) {
        assert.deepStrictEqual(yield* hooks(text), [], text)
      }
    }))
})

describe("a file is unread", () => {
  const unread = Effect.fnUntraced(function*(file: string) {
    assert.deepStrictEqual(yield* read([file]), { hooks: [], unread: [file] })
  })

  it.scoped("when it is not there, or is no file", () =>
    Effect.gen(function*() {
      const directory = yield* tempDir
      yield* unread(Path.join(directory, "gone.yaml"))
      yield* unread(directory)
      yield* unread("-")
      yield* unread("bad\0name")
      const pipe = Path.join(directory, "pipe")
      execFileSync("mkfifo", [pipe])
      yield* unread(pipe)
      yield* unread("/dev/zero")
    }))

  it.scoped("when it is no YAML", () =>
    Effect.gen(function*() {
      const bomb = [
        "a: &a [x, x, x, x, x, x, x, x, x]",
        ..."bcdefgh".split("").map((name, index) => {
          const before = "abcdefgh"[index]
          return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(", ")}]`
        })
      ]
      for (
        const text of ["services: {", "a: b: c", "\tx: 1", "a: *nowhere", "---\na: 1\n---\nb: 2\n", bomb.join("\n")]
      ) {
        yield* unread(yield* written(text))
      }
    }))

  it.scoped("when it is larger than anybody would write it", () =>
    Effect.gen(function*() {
      const hook = "services: { a: { pre_stop: [{ command: x }] } }\n"
      yield* unread(yield* written(`${hook}${"# and so on\n".repeat(400_000)}`))
      const file = yield* written(hook)
      Fs.truncateSync(file, 64e9)
      const [took] = yield* Effect.timed(unread(file))
      assert.isBelow(Duration.toMillis(took), 1000)
    }))

  it.scoped("and the others are read all the same", () =>
    Effect.gen(function*() {
      const good = yield* written("services: { a: { pre_stop: [{ command: x }] } }")
      assert.deepStrictEqual(yield* read(["/gone.yaml", good]), { hooks: ["a: pre_stop"], unread: ["/gone.yaml"] })
    }))
})

it.scoped("garbage never throws", () =>
  Effect.gen(function*() {
    const file = yield* written("")
    const line = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.constantFrom("services:", " a: &a", "  <<: *a", "  pre_stop: [x]", "? [", "- -", "!!binary x", "!reset")
    )
    yield* Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.array(line), async (lines) => {
          Fs.writeFileSync(file, lines.join("\n"))
          const { hooks, unread } = await Effect.runPromise(read([file]))
          assert.isTrue(Array.isArray(hooks) && unread.length <= 1)
        }),
        { numRuns: 200 }
      )
    )
    Fs.writeFileSync(file, `${"[".repeat(200_000)}`)
    assert.deepStrictEqual((yield* read([file])).unread, [file])
    Fs.writeFileSync(file, Buffer.from([0xff, 0xfe, 0, 1, 2, 0x80]))
    assert.isAtMost((yield* read([file])).unread.length, 1)
  }))
