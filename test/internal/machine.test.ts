import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Machine from "../../src/internal/machine.ts"
import * as MachineFile from "../../src/internal/machineFile.ts"
import { tempDir } from "../layers/fixtures/support.ts"
import { live } from "../support/live.ts"

const [id, otherId] = ["3d1219c7c4c5404aaa1f6d2a48adfda4", "0f2f3b1e0a7c4bd89bb7a2b0a3f6a1c2"]
const [uuid, otherUuid] = ["4c4c4544-0051-3210-8052-b4c04f4e4d32", "93c0f2d6-51ba-4c1d-9a41-0c21f0a7a001"]

/** What is read of a machine with these files. */
const machineOf = (files: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const root = yield* tempDir
    for (const [name, content] of Object.entries(files)) {
      Fs.mkdirSync(Path.dirname(Path.join(root, name)), { recursive: true })
      Fs.writeFileSync(Path.join(root, name), content)
    }
    return yield* Machine.read(root)
  })

const dmi = "sys/class/dmi/id/product_uuid"

describe("machine", () => {
  for (
    const [what, files, known] of [
      ["both ids", { "etc/machine-id": `${id}\n`, [dmi]: `${uuid.toUpperCase()}\n` }, [id, uuid]],
      ["nothing at all", {}, ["", ""]],
      ["an image before its first boot", { "etc/machine-id": "uninitialized\n" }, ["", ""]],
      ["an empty id", { "etc/machine-id": "" }, ["", ""]],
      ["an id that lasts until the next boot", { "etc/machine-id": `${id}\n`, "run/machine-id": `${id}\n` }, ["", ""]],
      ["firmware without an id", { [dmi]: "00000000-0000-0000-0000-000000000000\n" }, ["", ""]],
      ["firmware with an id that is not set", { [dmi]: "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\n" }, ["", ""]],
      ["firmware with words", { [dmi]: "Not Settable\n" }, ["", ""]],
      ...["run/systemd/container", "run/host/container-manager", ".dockerenv", "run/.containerenv"].map((sign) =>
        [`a container (${sign}) on a host`, { "etc/machine-id": id, [dmi]: uuid, [sign]: "" }, [id, ""]] as const
      ),
      ["a container of LXC", { [dmi]: uuid, "proc/1/environ": "TERM=linux\0container=lxc\0" }, ["", ""]]
    ] as const
  ) {
    live(`${what}`, [], () =>
      Effect.gen(function*() {
        const { machineId, productUuid } = yield* machineOf(files)
        assert.deepStrictEqual([machineId, productUuid], [...known])
      }))
  }

  it("what is known of both and is not the same makes two machines", () => {
    const differs = (a: readonly [string, string], b: readonly [string, string]) =>
      Option.getOrNull(Machine.difference(
        { machineId: a[0], productUuid: a[1] },
        { machineId: b[0], productUuid: b[1] }
      ))
    assert.isNull(differs([id, uuid], [id, uuid]))
    assert.isNull(differs([id, uuid], ["", ""]))
    assert.isNull(differs(["", uuid], [id, ""]))
    assert.strictEqual(differs([id, uuid], [otherId, uuid]), "/etc/machine-id")
    assert.strictEqual(differs([id, uuid], [id, otherUuid]), "/sys/class/dmi/id/product_uuid")
    assert.strictEqual(differs(["", uuid], [id, otherUuid]), "/sys/class/dmi/id/product_uuid")
    assert.strictEqual(
      differs([id, uuid], [otherId, otherUuid]),
      "/etc/machine-id and /sys/class/dmi/id/product_uuid"
    )
  })
})

describe("the file of the machine", () => {
  const here = Effect.succeed({ machineId: id, productUuid: uuid })
  const sandbox = Effect.gen(function*() {
    const stateDir = yield* tempDir
    const as = (machine: typeof here) => ({ stateDir, machine })
    return { stateDir, file: Path.join(stateDir, "machine"), as }
  })

  live("the first one that uses the directory has it, for good; no other one", [], () =>
    Effect.gen(function*() {
      const { as, file, stateDir } = yield* sandbox
      assert.isFalse(yield* MachineFile.check(as(here)))
      assert.isFalse(Fs.existsSync(file))
      yield* Effect.all([MachineFile.bind(as(here)), MachineFile.bind(as(here))], { concurrency: 2 })
      assert.deepStrictEqual(Fs.readdirSync(stateDir), ["machine"])
      assert.strictEqual(Fs.statSync(file).mode & 0o7777, 0o600)
      const { ino } = Fs.statSync(file)
      yield* MachineFile.bind(as(here))
      assert.strictEqual(Fs.statSync(file).ino, ino, "it was written again")
      assert.isTrue(yield* MachineFile.check(as(here)))
      assert.isTrue(yield* MachineFile.check(as(Effect.succeed({ machineId: "", productUuid: "" }))))
      const clone = as(Effect.succeed({ machineId: id, productUuid: otherUuid }))
      for (const attempt of [MachineFile.check(clone), MachineFile.bind(clone)]) {
        const error = yield* Effect.flip(attempt)
        assert(error._tag === "OtherMachine")
        assert.include(error.message, `${file}: /sys/class/dmi/id/product_uuid was another one there`)
        assert.include(error.message, `remove ${file}`)
        // machine-id(5): it is to be treated as confidential
        assert.notInclude(error.message, id)
      }
      Fs.rmSync(file)
      yield* MachineFile.bind(clone)
      assert.strictEqual((yield* Effect.flip(MachineFile.check(as(here))))._tag, "OtherMachine")
    }))

  live("a file that does not say whose it is belongs to nobody", [], () =>
    Effect.gen(function*() {
      const { as, file } = yield* sandbox
      for (const content of ["", "{}", "{\"version\":2,\"machineId\":\"\",\"productUuid\":\"\"}"]) {
        Fs.writeFileSync(file, content)
        const error = yield* Effect.flip(MachineFile.bind(as(here)))
        assert.include(error.message, "it does not say whose it is")
      }
      Fs.rmSync(file)
      Fs.symlinkSync("/etc/hostname", file)
      assert.match((yield* Effect.flip(MachineFile.check(as(here)))).message, /it is a symbolic link/)
    }))
})
