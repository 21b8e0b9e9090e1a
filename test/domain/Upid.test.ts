import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import * as Path from "node:path"
import { decode, taskLogPath, Upid } from "../../src/domain/Upid.ts"

const is = Schema.is(Upid)
const vzdump = "UPID:pve1:0000C5A2:00A1B2C3:68A50CAC:vzdump:100:root@pam:"

const hex = (digits: number) =>
  FastCheck.integer({ min: 0, max: 16 ** digits - 1 }).map((value) => [value, value.toString(16)] as const)
const number = (digits: number, upper: boolean) =>
  hex(digits).map(([value, text]) => {
    const padded = text.padStart(8, "0")
    return { value, text: upper ? padded.toUpperCase() : padded }
  })

/** A UPID, and what it is made of. */
const made = FastCheck.boolean().chain((upper) =>
  FastCheck.record({
    node: FastCheck.constantFrom("pve1", "a", "Node-2", "x--9"),
    pid: number(8, upper),
    pstart: FastCheck.oneof(number(8, upper), number(9, upper)),
    startTime: number(8, upper),
    type: FastCheck.constantFrom("vzdump", "qmstart", "a.b_c", "..", "%2F"),
    id: FastCheck.constantFrom("", "100", "local%3Ax", ".."),
    user: FastCheck.constantFrom("root@pam", "root@pam!backup", "jörg@ldap")
  })
).map((fields) => ({
  fields,
  text: `UPID:${fields.node}:${fields.pid.text}:${fields.pstart.text}:${fields.startTime.text}:` +
    `${fields.type}:${fields.id}:${fields.user}:`
}))

describe("Upid", () => {
  it("tells what it is made of", () => {
    assert.deepStrictEqual(decode(Upid.make(vzdump)), {
      node: "pve1",
      pid: 50_594,
      pstart: 10_597_059,
      startTime: 1_755_647_148,
      type: "vzdump",
      id: "100",
      user: "root@pam"
    })
    FastCheck.assert(FastCheck.property(made, ({ fields, text }) => {
      const { node, pid, pstart, startTime, ...rest } = decode(Upid.make(text))
      assert.deepStrictEqual([pid, pstart, startTime], [
        fields.pid.value,
        fields.pstart.value,
        fields.startTime.value
      ])
      assert.deepStrictEqual({ node, ...rest }, {
        node: fields.node,
        type: fields.type,
        id: fields.id,
        user: fields.user
      })
    }))
  })

  it("may have nine digits of pstart, no guest, and a token", () => {
    const upid = Upid.make("UPID:pve-2:0000C5A2:1F0A1B2C3:68A50CAC:vzdump::backup@pve!quiesce:")
    assert.deepStrictEqual(decode(upid), {
      node: "pve-2",
      pid: 50_594,
      pstart: 0x1f0a1b2c3,
      startTime: 1_755_647_148,
      type: "vzdump",
      id: "",
      user: "backup@pve!quiesce"
    })
  })

  it("has its log in the directory of the last digit of its start", () => {
    const upid = Upid.make(vzdump)
    assert.strictEqual(taskLogPath(upid), `/var/log/pve/tasks/C/${vzdump}`)
    assert.strictEqual(taskLogPath(upid, "/elsewhere"), `/elsewhere/C/${vzdump}`)
  })

  it("is one name in a path, whatever is in it", () => {
    FastCheck.assert(FastCheck.property(made, ({ fields, text }) => {
      const path = taskLogPath(Upid.make(text), "/tasks")
      assert.strictEqual(Path.normalize(path), path)
      assert.deepStrictEqual(path.split("/"), ["", "tasks", fields.startTime.text.slice(-1), text])
    }))
  })

  it("is nothing else", () => {
    for (
      const text of [
        "",
        "OK",
        "UPID:",
        vzdump.slice(0, -1),
        `${vzdump}\n`,
        ` ${vzdump}`,
        `${vzdump}:`,
        `/${vzdump}`,
        vzdump.toLowerCase(),
        vzdump.replace("pve1", ""),
        vzdump.replace("pve1", "-pve"),
        vzdump.replace("pve1", "pve-"),
        vzdump.replace("pve1", ".."),
        vzdump.replace("pve1", "pve.1"),
        vzdump.replace("pve1", "../pve1"),
        vzdump.replace("0000C5A2", "C5A2"),
        vzdump.replace("0000C5A2", "0000C5AG"),
        vzdump.replace("0000C5A2", "00000C5A2"),
        vzdump.replace("00A1B2C3", "1200A1B2C3"),
        vzdump.replace("68A50CAC", "068A50CAC"),
        vzdump.replace("68A50CAC", "68A50CA/"),
        vzdump.replace("vzdump", ""),
        vzdump.replace("vzdump", "vz/dump"),
        vzdump.replace("100", "../100"),
        vzdump.replace("100", "1 0"),
        vzdump.replace("100", "1\n0"),
        vzdump.replace("100", "1\0"),
        vzdump.replace("root@pam", ""),
        vzdump.replace("root@pam", "root/@pam"),
        vzdump.replace("root@pam", "root\u0007@pam"),
        vzdump.replace("root@pam", "x".repeat(255))
      ]
    ) assert.isFalse(is(text), JSON.stringify(text))
    for (const other of [undefined, 7, {}, null]) assert.isFalse(is(other))
    assert.isTrue(is(vzdump))
  })

  it("says what it expected", () => {
    const refused = Schema.decodeUnknownEither(Upid)("OK")
    assert.isTrue(refused._tag === "Left" && refused.left.message.includes("expected the id of a Proxmox task"))
  })
})
