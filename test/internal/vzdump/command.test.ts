import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunId from "../../../src/domain/RunId.ts"
import * as Command from "../../../src/internal/vzdump/command.ts"
import { launch } from "../../../src/internal/vzdump/launch.ts"
import * as RunDirectory from "../../../src/internal/vzdump/runDirectory.ts"
import { eventually, tempDir } from "../../layers/fixtures/support.ts"
import { live } from "../../support/live.ts"

const runId = RunId.RunId.make("01939a00-0000-7000-8000-000000000001")
const valued = ["--mode", "--storage", "--remove", "--lockwait", "--compress", "--notes-template"]
const optional = ["--protected", "--bwlimit", "--fleecing"]

/** Texts that somebody could put into a configuration, or that an error could. */
const hostile = fc.oneof(
  fc.constantFrom(
    "--stop",
    "--script=/bin/sh",
    "-- 101",
    "101",
    "100 101",
    "x --quiet 1",
    "$(reboot)",
    "`reboot`",
    "; reboot",
    "a\nb",
    "\0",
    "{{vmid}} {{secret}} {{{node}}}",
    "\\n\\x\\",
    "'\"\"'",
    "\ud800",
    "../../etc"
  ),
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.stringMatching(/^[-{}\\ a-z\n]{0,40}$/)
)

const options = fc.record({
  vmid: fc.oneof(fc.constant(100), fc.integer({ min: -5, max: 2 ** 31 })),
  storage: fc.oneof(fc.constantFrom("local", "pbs-1", "a.b_c"), hostile),
  mode: fc.constantFrom("snapshot", "suspend", "stop"),
  compress: fc.constantFrom("none", "gzip", "lzo", "zstd"),
  notes: hostile,
  protected: fc.boolean(),
  prune: fc.boolean(),
  bandwidthLimit: fc.integer({ min: -1, max: 2 ** 20 }),
  fleecingStorage: fc.oneof(fc.constantFrom("fast", "local-lvm"), hostile)
}, { requiredKeys: ["vmid", "storage"] }) as fc.Arbitrary<Command.VzdumpOptions>

/** What vzdump itself refuses of a notes template (PVE 9). */
const flawOf = (template: string): string | undefined => {
  if (template.length > 1024) return "too long"
  if (/[\n\r\0]/.test(template)) return "a line feed"
  for (const [, char = ""] of template.matchAll(/\\(.)/gs)) if (!/^[n\\]$/.test(char)) return `an escape of ${char}`
  if (/(?<!\\)(?:\\\\)*\\$/.test(template)) return "an escape of nothing"
  for (const [, name = ""] of template.matchAll(/\{\{([^\s{}]+)\}\}/g)) {
    if (!/^(?:cluster|guestname|node|vmid)$/.test(name)) return `a variable ${name}`
  }
  return undefined
}

const argvOf = (given: Command.VzdumpOptions, type: "lxc" | "qemu") =>
  Either.map(Command.check(given), (checked) => Command.argv("/usr/bin/vzdump", checked, { type }, runId))

/** Fails when a word is there that was not meant. */
const judge = (given: Command.VzdumpOptions, type: "lxc" | "qemu", argv: ReadonlyArray<string>) => {
  const [program, vmid, ...rest] = argv
  assert.strictEqual(program, "/usr/bin/vzdump")
  assert.strictEqual(vmid, `${given.vmid}`)
  assert.strictEqual(rest.length % 2, 0)
  const pairs = rest.flatMap((word, index) => index % 2 === 0 ? [[word, rest[index + 1] ?? ""] as const] : [])
  assert.deepStrictEqual(pairs.slice(0, valued.length).map(([name]) => name), valued)
  assert.includeMembers(optional, pairs.slice(valued.length).map(([name]) => name))
  assert.strictEqual(new Set(pairs.map(([name]) => name)).size, pairs.length)
  const values = new Map(pairs)
  for (const [name, value] of pairs) assert.notMatch(value, /^-/, name)
  assert.match(values.get("--storage") ?? "", /^[A-Za-z0-9][\w.-]*$/)
  assert.match(values.get("--fleecing") ?? "enabled=1,storage=a", /^enabled=1,storage=[A-Za-z0-9][\w.-]*$/)
  assert.strictEqual(values.get("--remove"), given.prune === true ? "1" : "0")
  if (type === "lxc") assert.isFalse(values.has("--fleecing"))
  const notes = values.get("--notes-template") ?? ""
  assert.isUndefined(flawOf(notes), notes)
  assert.isTrue(notes.endsWith(` (quiesce run ${runId})`))
}

describe("the command line of vzdump", () => {
  it("has no word that was not meant, whatever the configuration says", () => {
    let accepted = 0
    fc.assert(
      fc.property(options, fc.constantFrom("lxc" as const, "qemu" as const), (given, type) => {
        const argv = argvOf(given, type)
        if (Either.isLeft(argv)) return
        accepted++
        judge(given, type, argv.right)
      }),
      { numRuns: 20_000 }
    )
    assert.isAbove(accepted, 1_000)
  })

  it("takes good options, and says what is wrong with others", () => {
    const good: Command.VzdumpOptions = { vmid: 100, storage: "local" }
    const notes = (text: string) =>
      Either.getOrThrow(argvOf({ ...good, notes: text }, "lxc")).at(-1)?.replace(/ \(quiesce run .*$/, "")
    assert.strictEqual(notes("weekly\nof {{guestname}}"), "weekly\\nof {{guestname}}")
    assert.strictEqual(notes(" -- C:\\temp {{x}}"), "C:\\\\temp { {x}}")
    assert.strictEqual(notes("  "), "{{guestname}}")
    assert.include(
      Either.getOrThrow(argvOf({ ...good, fleecingStorage: "fast" }, "qemu")),
      "enabled=1,storage=fast"
    )
    const wrong = (given: Partial<Command.VzdumpOptions>) =>
      Either.getOrThrow(Either.flip(Command.check({ ...good, ...given })))
    assert.match(wrong({ storage: "--stop" }), /^storage: expected a name/)
    assert.match(wrong({ vmid: 7 }), /^vmid: expected the id/)
    assert.match(wrong({ bandwidthLimit: -1 }), /^bandwidthLimit: /)
  })

  live("is not run where an agent has given it up", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* tempDir
      const proof = Path.join(stateDir, "proof")
      const directory = RunDirectory.at(stateDir, runId)
      const argv = ["/usr/bin/touch", proof]
      // the directory is removed at the end of the scope, whether or not the shell has come so far
      for (let round = 0; round < 40; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const log = yield* RunDirectory.prepare(stateDir, directory)
          yield* launch(directory, log.fd, argv)
          yield* Effect.sleep(round % 8)
        }))
        const isThere = Fs.existsSync(directory.path)
        if (isThere) yield* eventually("it has ended", () => Fs.existsSync(directory.exit))
        else yield* Effect.sleep("30 millis")
        assert.strictEqual(Fs.existsSync(proof), isThere, `round ${round}`)
        Fs.rmSync(proof, { force: true })
        // its shell may still be at its last line
        Fs.rmSync(directory.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* RunDirectory.prepare(stateDir, directory)
        assert.isTrue(yield* RunDirectory.giveUp(directory))
        assert.isTrue(yield* RunDirectory.giveUp(directory))
        yield* launch(directory, log.fd, argv)
        yield* eventually("it has ended", () => Fs.existsSync(directory.exit))
        assert.strictEqual(yield* RunDirectory.exitCode(directory), 1)
        assert.isFalse(Fs.existsSync(proof))
      }))
    }))

  live("arrives as it was meant", [], () =>
    Effect.gen(function*() {
      const stateDir = yield* tempDir
      const recorder = Path.join(stateDir, "recorder $(x) 'é")
      // the words as the kernel has them; the shell and its own file name come first
      Fs.writeFileSync(recorder, `#!/bin/sh\ncat /proc/$$/cmdline\n`, { mode: 0o755 })
      const given = fc.sample(options.filter((one) => Either.isRight(Command.check(one))), { numRuns: 1_000, seed: 7 })
      const ids = yield* Effect.forEach(given, () => RunId.make)
      yield* Effect.forEach(given, (one, index) =>
        Effect.scoped(Effect.gen(function*() {
          const directory = RunDirectory.at(stateDir, ids[index] ?? runId)
          const log = yield* RunDirectory.prepare(stateDir, directory)
          const argv = Command.argv(recorder, one, { type: "qemu" }, runId)
          yield* launch(directory, log.fd, argv)
          yield* eventually("it has ended", () => Fs.existsSync(directory.exit))
          const words = Fs.readFileSync(directory.log, "utf8").split("\0").slice(1, -1)
          assert.deepStrictEqual(words, [...argv])
          judge(one, "qemu", ["/usr/bin/vzdump", ...words.slice(1)])
          assert.strictEqual(yield* RunDirectory.exitCode(directory), 0)
        })), { concurrency: 2 })
    }), 120_000)
})
